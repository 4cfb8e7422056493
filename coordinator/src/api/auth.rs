//! Who may ask for `/v1`, and for how long an answer may take. Without a token that is whoever reaches the port, but no
//! page that a browser on this machine happens to show: those say where they come from.

use super::{Refusal, State};
use axum::{
    extract::Request,
    http::{
        StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use imagefleet_common::ids::content_hash;
use std::{net::IpAddr, time::Duration};

/// A store that does not answer must not collect requests.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn admit(shared: State, request: Request, next: Next) -> Response {
    if let Some(token) = &shared.api.token {
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        if !given.is_some_and(|given| is_same(given, token)) {
            let why = "ask with the header \"Authorization: Bearer TOKEN\" and this fleet's token";
            return Refusal::new(StatusCode::UNAUTHORIZED, why).into_response();
        }
    }
    if shared.api.token.is_none() && (request.headers().contains_key(ORIGIN) || !is_asked_here(&request)) {
        let why = "pages are answered only where there is a token; set one with IMAGEFLEET_TOKEN";
        return Refusal::new(StatusCode::FORBIDDEN, why).into_response();
    }
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let why = format!("the store gave no answer within {} s; try again", LONGEST.as_secs());
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

/// Is this machine called by a name of its own? A page can have a name of its own lead here.
fn is_asked_here(request: &Request) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// The scheme's name is not case-sensitive (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// In a time that tells nothing of where they differ: hashes of one length are compared to their ends.
fn is_same(given: &str, token: &str) -> bool {
    let (given, token) = (content_hash(given.as_bytes()), content_hash(token.as_bytes()));
    let differing = given.bytes().zip(token.bytes()).fold(0, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0
}
