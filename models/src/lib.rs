//! Titles and pictures to unit vectors.
//!
//! [`load`] opens a Hugging Face checkpoint folder and gives an [`Encoder`], which one thread owns. Nothing
//! here knows tasks, archives or indexes; nothing here does I/O after loading, and only [`hub::pull`] uses the network.
//!
//! - [`encoder`]: the port, its batch and its vectors
//! - [`hub`]: models by name, in the cache and from the Hugging Face hub
//! - [`checkpoint`]: which files make a checkpoint, and its revision; [`check`]: whether they are sound
//! - [`clip`]: one folder a model family; [`head`]: linear heads on a picture's vector
//! - `layers`: what families share; `weights`, `tokenizer`: how files become tensors and ids

mod check;
pub mod checkpoint;
pub mod clip;
pub mod device;
pub mod encoder;
pub mod head;
pub mod hub;
mod layers;
pub mod tokenizer;
mod weights;

pub use check::{Report, check};
pub use checkpoint::{hashes, open_checkpoint, revision, revision_of};
pub use device::Device;
pub use encoder::{Encoder, PictureBatch, Vectors, is_out_of_memory};

use checkpoint::Family;
use imagefleet_common::Result;
use std::path::Path;

/// Loads the model in `dir` to `device`, in f32 whatever the checkpoint stores.
///
/// Every error is permanent, but for files that could not be read for a reason that may pass.
pub fn load(dir: &Path, device: Device) -> Result<Box<dyn Encoder>> {
    let checkpoint = open_checkpoint(dir)?;
    let loaded = match checkpoint.family() {
        Family::Clip => clip::Clip::load(&checkpoint, &device.open()?).map(|clip| Box::new(clip) as Box<dyn Encoder>),
    };
    loaded.map_err(|error| error.while_doing(format_args!("load model {}", dir.display())))
}
