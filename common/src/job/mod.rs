//! The job file: what it says ([`spec`]) and how it is read and checked ([`mod@file`]);
//! [`pattern`] is how it names objects and entries. [`search`] is what is asked apart from any job file.

pub mod file;
pub mod pattern;
pub mod search;
pub mod spec;
