//! Object stores.

#[cfg(feature = "embedded")]
pub mod fs;
#[cfg(any(feature = "embedded", feature = "fleet"))]
mod path;
#[cfg(feature = "fleet")]
pub mod s3;
