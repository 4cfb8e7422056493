//! Layers that model families share, in f32, on packed rows.
//!
//! Activations are `rows × width` and contiguous, a row being one token of one sequence, sequences one after
//! the other; only [`attention`] sees where a sequence begins. On the CPU the steps between matrix products
//! are single passes over all cores; on other devices they are candle's tensor operations.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod block;
pub(crate) mod layer_norm;
pub(crate) mod linear;
mod rows;

pub(crate) use activation::Activation;
pub(crate) use attention::{Attention, Visible};
pub(crate) use block::{Block, BlockShape};
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
