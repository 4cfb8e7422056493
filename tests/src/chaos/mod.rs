//! The fault campaign: a fleet of real processes is broken in every stage of its work, run after run, and whenever it has
//! come to rest everything must be as if nothing had happened.
//!
//! [`fault`] says what there is to break and [`table`] which of it comes next; [`inject`] breaks and heals it. Processes
//! reach their services through a [`proxy`] each; PostgreSQL and RabbitMQ are a campaign's own ([`services`]), S3 and
//! Qdrant's protocol are served in this process ([`servers`]). A [`run`] is one job under at most 25 faults, after which
//! [`checks`] are made.
//!
//! One seed chooses the same faults in the same order, as far as the same stages are met at the same time; the journal
//! of a run says what it was, and can be replayed.

pub mod campaign;
pub mod checks;
pub mod fault;
pub mod fleet;
pub mod inject;
pub mod messages;
pub mod process;
pub mod proxy;
pub mod run;
pub mod servers;
pub mod services;
pub mod site;
pub mod table;
pub mod upgrade;
