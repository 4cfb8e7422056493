//! The job file: what it says ([`spec`]) and how it is read and checked ([`mod@file`]);
//! [`pattern`] is how it names objects and entries.

pub mod file;
pub mod pattern;
pub mod spec;
