//! The job file: what it says ([`spec`]) and how it is read and checked ([`file`]).

pub mod file;
pub mod spec;
