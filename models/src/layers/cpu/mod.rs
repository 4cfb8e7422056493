//! The layers on the CPU: plain f32 in memory that is used again, without candle.
//!
//! - `simd`: 16 numbers at a time; `functions`: exp and activations on them
//! - `matrix`: rows in memory; `product`: their products with packed weights
//! - `layer_norm`, `attention`: what stands between products; `tower`: all of it, from rows to features
//! - `rooms`: how pictures and titles spread over cores; `pack`: from a checkpoint's tensors

mod attention;
mod functions;
mod layer_norm;
mod matrix;
mod pack;
mod product;
mod rooms;
mod simd;
mod tower;

pub(crate) use layer_norm::LayerNorm;
pub(crate) use pack::numbers;
pub(crate) use rooms::{Rooms, group_size};
pub(crate) use tower::{Block, Linear, Pooled, Tower, Workspace};
