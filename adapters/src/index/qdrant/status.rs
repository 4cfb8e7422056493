//! What a failed call means to its caller.

use imagefleet_common::error::{Error, Result};
use qdrant_client::qdrant::{PointsOperationResponse, UpdateStatus};
use std::{error::Error as _, time::Duration};
use tonic::{Code, Status};

/// The error of a call that was doing this. Headers of the call are no part of it.
pub(super) fn failed(doing: impl Into<String>, status: Status) -> Error {
    let mut cause = format!("{:?}: {}", status.code(), status.message());
    let mut source = status.source();
    while let Some(error) = source {
        cause = format!("{cause}: {error}");
        source = error.source();
    }
    match status.code() {
        Code::ResourceExhausted => {
            let error = Error::transient(doing).because(cause);
            match status.metadata().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok()) {
                Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
                None => error,
            }
        }
        Code::Unauthenticated | Code::PermissionDenied => {
            let remedy = "the index refuses the API key; set IMAGEFLEET_INDEX_API_KEY to one that may read and write";
            Error::permanent(format!("{}: {remedy}", doing.into())).because(cause)
        }
        Code::NotFound | Code::InvalidArgument | Code::AlreadyExists | Code::OutOfRange | Code::Unimplemented => {
            Error::permanent(doing).because(cause)
        }
        // The rest is the server's state or the network's: FailedPrecondition too, as of a shard that is being moved.
        _ => Error::transient(doing).because(cause),
    }
}

/// A change is done only where the server says so.
pub(super) fn confirmed(doing: impl Into<String>, answer: PointsOperationResponse) -> Result<()> {
    let status = answer.result.map(|result| result.status()).unwrap_or_default();
    let why = match status {
        UpdateStatus::Completed => return Ok(()),
        UpdateStatus::Acknowledged => "the index has received it and not applied it",
        UpdateStatus::ClockRejected => "a replica has seen a later write",
        UpdateStatus::WaitTimeout => "the index did not apply it in time",
        UpdateStatus::UnknownUpdateStatus => "the index does not say what became of it",
    };
    Err(Error::transient(doing).because(why))
}
