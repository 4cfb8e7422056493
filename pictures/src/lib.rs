//! Pictures: archives, decoding, resampling and model preprocessing, on the CPU only.
//!
//! The way of one picture: [`archive`] finds its bytes in a shard, [`decode`] turns them into RGB as Pillow's
//! `Image.open(p).convert("RGB")` does, [`processor`] makes of that what a vision model takes. [`metadata`] knows whose
//! picture it is, [`thumbnail`] makes it small for people to look at.
//!
//! Two kinds of failure are never mixed: a picture that is bad in itself is a
//! [`Rejection`](imagefleet_common::ledger::Rejection), a read that failed is an [`Error`](imagefleet_common::Error).

pub mod archive;
pub mod decode;
pub mod metadata;
pub mod processor;
pub mod resample;
pub mod thumbnail;
