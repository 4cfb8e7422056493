//! The S3 adapter against the objects suite, a server whose answers go wrong, and a server that says no.
//!
//! The server is one of `tests/services`, in this process. With `IMAGEFLEET_TEST_S3_URL` set, in the form that
//! `Settings::parse` reads, the suite also runs below a prefix of its own of that bucket, which it empties at the end;
//! credentials come from the environment (`AWS_ACCESS_KEY_ID`, …) as in production.
#![cfg(feature = "fleet")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod answers;
mod conformance;
mod listing;
mod running;
mod settings;
mod tls;
mod uploads;
