//! HTTP: health, metrics, and a JSON API under `/v1`, described by `openapi.json` in this crate's folder.
//!
//! A GET changes nothing. With a token set, `/v1` is for those who bear it; the rest is open to whoever reaches the
//! port, as probes and scrapers need it, and says nothing of any job. Answers are views of the store: a coordinator
//! keeps nothing, so that any of several may be asked.

mod auth;
mod connections;
mod health;
mod jobs;
mod listings;
mod metrics;
mod refusal;
mod search;

use crate::{Ports, stats::Stats};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, header::CONTENT_TYPE},
    middleware,
    response::IntoResponse,
    routing::{MethodRouter, get, post},
};
use connections::{Bounded, in_time};
use imagefleet_common::{Context, Result, ports::jobs::Control};
use refusal::Refusal;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

/// No request has more to say.
const LARGEST_BODY: usize = 16 << 10;

/// A probe, and each part of a scrape, waits this long for a service's answer.
const PROBE: Duration = Duration::from_secs(3);

/// More than workers answer soon.
const SEARCHES: usize = 64;

/// The document that describes every route and answer.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// What the API shows.
pub struct Api {
    pub ports: Ports,
    /// Counts the commits after which there may be something to see.
    pub changed: watch::Receiver<u64>,
    pub stats: Arc<Stats>,
    /// Whoever asks for `/v1` must bear it; `None`: everyone may ask.
    pub token: Option<String>,
    /// Of the binary.
    pub version: String,
}

/// What is shared by all requests.
struct Shared {
    api: Api,
    figures: metrics::Cache,
    /// Searches that may be waited for at a time.
    searches: Semaphore,
}

type State = axum::extract::State<Arc<Shared>>;

/// A route as it is described.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    handler: MethodRouter<Arc<Shared>>,
}

impl Route {
    fn get(path: &'static str, handler: MethodRouter<Arc<Shared>>) -> Self {
        Self { method: Method::GET, path, handler }
    }

    fn post(path: &'static str, handler: MethodRouter<Arc<Shared>>) -> Self {
        Self { method: Method::POST, path, handler }
    }

    fn control(path: &'static str, control: Control) -> Self {
        Self::post(path, post(async move |shared, id, body| jobs::control(shared, id, control, body).await))
    }

    fn needs_token(&self) -> bool {
        self.path.starts_with("/v1/")
    }
}

/// Everything that can be asked for.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/healthz", get(async || "ok\n")),
        Route::get("/readyz", get(health::ready)),
        Route::get("/metrics", get(metrics::show)),
        Route::get("/openapi.json", get(async || ([(CONTENT_TYPE, "application/json")], OPENAPI))),
        Route::get("/v1/jobs", get(jobs::list)),
        Route::get("/v1/jobs/{id}", get(jobs::show)),
        Route::get("/v1/jobs/{id}/tasks", get(jobs::tasks)),
        Route::control("/v1/jobs/{id}/cancel", Control::Cancel),
        Route::control("/v1/jobs/{id}/pause", Control::Pause),
        Route::control("/v1/jobs/{id}/resume", Control::Resume),
        Route::control("/v1/jobs/{id}/retry", Control::RetryDead),
        Route::control("/v1/jobs/{id}/accept-dead", Control::AcceptDead),
        Route::post("/v1/search", post(search::search)),
        Route::get("/v1/workers", get(listings::workers)),
        Route::get("/v1/collections", get(listings::collections)),
    ]
}

pub fn router(api: Api) -> Router {
    let shared = Arc::new(Shared { api, figures: metrics::Cache::default(), searches: Semaphore::new(SEARCHES) });
    let (guarded, open): (Vec<Route>, Vec<Route>) = routes().into_iter().partition(Route::needs_token);
    let of = |routes: Vec<Route>| {
        routes.into_iter().fold(Router::new(), |router, Route { path, handler, .. }| router.route(path, handler))
    };
    of(guarded)
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), auth::admit))
        .merge(of(open))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; see /openapi.json")
                .into_response()
        })
        .fallback(async || Refusal::not_found("there is nothing at this path; see /openapi.json").into_response())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(shared)
}

/// Answers until `shutdown` ends, and then what was asked before that. Connections are bounded in number, and ended where
/// they keep the server waiting; every request is answered in time, if only by a refusal. Permanent error where the
/// listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    axum::serve(Bounded::new(listener), in_time(router))
        .with_graceful_shutdown(shutdown)
        .await
        .permanent(|| "serve HTTP".to_owned())
}
