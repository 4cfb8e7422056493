//! Layers that model families share, in f32, on packed rows.
//!
//! Activations are `rows × width`, a row being one token of one sequence, sequences one after the other; only
//! attention sees where a sequence begins. A checkpoint is read into layers of candle's tensors, which compute on
//! any device; on the CPU they are packed into those of [`cpu`], which do the same faster.

mod activation;
mod attention;
mod block;
pub(crate) mod cpu;
mod layer_norm;
mod linear;

pub(crate) use activation::Activation;
pub(crate) use attention::{Attention, Visible};
pub(crate) use block::{Block, BlockShape};
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
