//! The ports on real things. `embedded`: one process, no services; `fleet`: RabbitMQ, Postgres, S3, Qdrant.
//! [`faults`] goes around any of them.

pub mod broker;
pub mod faults;
pub mod index;
pub mod objects;
pub mod store;
