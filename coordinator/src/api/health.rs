//! Is this coordinator able to do its duties?

use super::{PROBE, Shared, State};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use imagefleet_common::{Result, work::Kind};
use serde::Serialize;
use std::future::Future;

/// `ok`, or what is wrong; details are in the log, for anyone may ask.
#[derive(Serialize)]
struct Readiness {
    store: &'static str,
    broker: &'static str,
}

const OK: &str = "ok";

pub(super) async fn ready(shared: State) -> Response {
    let (store, broker) = tokio::join!(store(&shared), broker(&shared));
    let status = if (store, broker) == (OK, OK) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { store, broker })).into_response()
}

async fn store(shared: &Shared) -> &'static str {
    answers("store", shared.api.ports.tasks.now()).await
}

/// Any queue will do: a broker that counts its messages is there.
async fn broker(shared: &Shared) -> &'static str {
    answers("broker", shared.api.ports.broker.depth(&Kind::List.queue(""))).await
}

async fn answers<T>(service: &'static str, asked: impl Future<Output = Result<T>>) -> &'static str {
    match tokio::time::timeout(PROBE, asked).await {
        Ok(Ok(_)) => OK,
        Ok(Err(error)) => {
            tracing::warn!(service, %error, "not ready");
            "failed"
        }
        Err(_) => {
            tracing::warn!(service, "not ready: no answer");
            "no answer"
        }
    }
}
