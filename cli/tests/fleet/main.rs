//! A fleet of real processes on real services: PostgreSQL and RabbitMQ as scripts/services starts them, and in this
//! process an S3 server over files and a server of Qdrant's protocol.
//!
//! `IMAGEFLEET_TEST_DATABASE_URL` and `IMAGEFLEET_TEST_BROKER_URL` say where the first two are; with
//! `IMAGEFLEET_TEST_INDEX_URL` a real Qdrant takes the place of the last.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fleet;
mod operators;
mod runs;
mod upsets;
