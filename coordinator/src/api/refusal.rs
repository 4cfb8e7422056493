//! Answers that refuse: a status, and JSON that says why.

use super::LARGEST_BODY;
use axum::{
    Json,
    extract::rejection::BytesRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use imagefleet_common::Error;
use serde::Serialize;

#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    why: String,
}

#[derive(Serialize)]
struct Body {
    error: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    pub(super) fn not_found(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }
}

/// A body that is too large, or did not come as a whole.
impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {LARGEST_BODY} bytes"))
            }
            status => Self::new(status, rejection.body_text()),
        }
    }
}

/// What a port refused. It is logged here, where it is handled.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "a request could not be answered");
        let status = match error.is_permanent() {
            true => StatusCode::INTERNAL_SERVER_ERROR,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Body { error: self.why })).into_response()
    }
}
