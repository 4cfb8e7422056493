//! Faults on purpose: a hook sees every call and says what becomes of it.

use qdrant_client::qdrant::UpdateStatus;
use std::{future::Future, pin::Pin};
use tonic::Status;

/// A call, before anything was done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// As the protocol has it: `upsert`, `create_field_index`, …
    pub method: &'static str,
    /// Empty where the call is about none.
    pub collection: String,
    /// Of the request.
    pub bytes: usize,
    /// That an upsert brings.
    pub points: usize,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Verdict {
    Go,
    /// Nothing is done.
    Refuse(Status),
    /// It is done, and the answer is lost.
    LoseAnswer(Status),
    /// A change is confirmed and never done.
    Drop,
    /// A change is done, and answered with this status.
    Answer(UpdateStatus),
    /// An upsert is confirmed and reached one replica only: reads from all of them do not find it.
    OneReplica,
}

/// Asked for every call; may wait before it answers.
pub type Hook = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync>;
