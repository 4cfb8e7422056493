//! Models by name: a folder, or a model of the Hugging Face hub, as other tools on this machine keep it.
//!
//! The cache is laid out as Python's `huggingface_hub` lays it out, so that either finds what the other fetched:
//!
//! ```text
//! CACHE/models--OWNER--NAME/blobs/HASH             the contents, by their checksum
//!                           blobs/HASH.incomplete  what a download that was cut left; the next goes on from it
//!                           snapshots/COMMIT/FILE  a link to a blob
//!                           refs/BRANCH            the commit that the branch had when it was last pulled
//! CACHE/.locks/models--OWNER--NAME/HASH.lock       held by whoever downloads that blob
//! ```
//!
//! A blob gets its name when its checksum is right, a link when its blob is there, and the branch its commit
//! when all links are there: whoever reads sees whole models only. Only [`pull`] uses the network.

mod cache;
mod config;
mod download;
mod http;
mod name;
mod pull;

pub use cache::{CachedModel, list, resolve};
pub use config::HubConfig;
pub use name::{HubModel, ModelName};
pub use pull::{Progress, pull};
