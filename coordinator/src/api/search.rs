//! `/v1/search`: a text against a collection, now.

use super::{Refusal, State};
use crate::search::Searches;
use axum::{Json, body::Bytes, extract::rejection::BytesRejection, http::StatusCode};
use imagefleet_common::{Error, filter::Filter, job::search::Search, ports::catalog::named_collection};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Below the time that any answer may take.
const WITHIN: Duration = Duration::from_secs(25);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    text: String,
    #[serde(default = "usual")]
    top: u16,
    /// An id, or the name of a corpus with one collection; may be left out where there is only one.
    collection: Option<String>,
    /// Rules by key, as on the command line: lists have commas between their values.
    #[serde(default)]
    filter: BTreeMap<String, String>,
}

fn usual() -> u16 {
    10
}

#[derive(Serialize)]
struct Query {
    text: String,
}

#[derive(Serialize)]
pub(super) struct Found {
    query: Query,
    collection: String,
    results: Value,
}

pub(super) async fn search(shared: State, body: Result<Bytes, BytesRejection>) -> Result<Json<Found>, Refusal> {
    let asked: Asked = serde_json::from_slice(&body?).map_err(|wrong| {
        Refusal::bad(format!("the body is not what is expected, as in {{\"text\": \"a red bicycle\"}}: {wrong}"))
    })?;
    let bad = |error: Error| Refusal::bad(error.to_string());
    let mut filter = Filter::default();
    for (key, value) in &asked.filter {
        filter.set(key, value).map_err(bad)?;
    }
    let search = Search::new(asked.text, asked.top, filter).map_err(bad)?;
    let Ok(_slot) = shared.searches.try_acquire() else {
        let why = "too many searches are waited for; ask again in a moment";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let ports = &shared.api.ports;
    let collection = named_collection(ports.catalog.as_ref(), asked.collection.as_deref()).await;
    let collection = collection.map_err(|error| match error.is_permanent() {
        true => bad(error),
        false => error.into(),
    })?;
    let searches = Searches {
        jobs: Arc::clone(&ports.jobs),
        artifacts: Arc::clone(&ports.artifacts),
        changed: shared.api.changed.clone(),
    };
    let results = searches.ask(&collection.id, &search, WITHIN).await?;
    Ok(Json(Found { query: Query { text: search.text }, collection: collection.id.0, results }))
}
