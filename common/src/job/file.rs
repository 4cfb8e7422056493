//! Reads and checks a job file.
