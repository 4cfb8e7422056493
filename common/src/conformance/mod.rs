//! One suite per port, which every adapter runs unchanged: the embedded one, the fleet's, and those yet to come.

pub mod broker;
pub mod catalog;
pub mod index;
pub mod jobs;
pub mod objects;
pub mod operators;
pub mod seed;
pub mod tasks;
