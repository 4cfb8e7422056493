//! The hub's three endpoints that a pull needs: what a revision is, what a file is, a file's bytes.

use super::{HubConfig, HubModel};
use imagefleet_common::{Context, Error, Result, error::Next};
use serde::Deserialize;
use std::{fs, io::Read, thread, time::Duration};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Response, Uri},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// How often one thing is tried without coming further.
const ATTEMPTS: u32 = 5;
/// Nobody waits longer than this at a stretch; a hub that asks for more is told to the user.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// The hub goes once to its own cache and once to the store of large files.
const MOST_REDIRECTS: usize = 5;
/// A listing of a few thousand files is less than one megabyte.
const LONGEST_LISTING: u64 = 16 << 20;

pub(super) struct Client<'a> {
    agent: Agent,
    config: &'a HubConfig,
    model: &'a HubModel,
}

/// What a revision is at this moment.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// The commit.
    pub(super) sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Listing {
    pub(super) fn has(&self, file: &str) -> bool {
        self.siblings.iter().any(|sibling| sibling.rfilename == file)
    }
}

/// What the hub says of a file before it sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileInfo {
    /// Hex: SHA-256 of a large file, git's SHA-1 of a small one.
    pub(super) hash: String,
    pub(super) size: u64,
}

impl<'a> Client<'a> {
    pub(super) fn new(model: &'a HubModel, config: &'a HubConfig) -> Result<Self> {
        let mut agent = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, so that the token goes to the hub only.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("imagefleet/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(config.longest_silence))
            .timeout_per_read(Some(config.longest_silence));
        if let Some(file) = &config.certificates {
            let pem = fs::read(file).permanent(|| format!("read certificates {}", file.display()))?;
            let certificates: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(Error::permanent(format!("read certificates {}: it holds none", file.display())));
            }
            let roots = RootCerts::new_with_certs(&certificates);
            agent = agent.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { agent: agent.build().new_agent(), config, model })
    }

    pub(super) fn listing(&self) -> Result<Listing> {
        let HubConfig { endpoint, .. } = self.config;
        // A branch's slashes are part of its name here, not of the address.
        let revision = self.model.revision().replace('/', "%2F");
        let url = format!("{endpoint}/api/models/{}/revision/{revision}", self.model.id());
        self.patiently(|| {
            let (answer, _) = self.get(&url, None)?;
            let mut text = Vec::new();
            let read = answer.into_body().into_reader().take(LONGEST_LISTING).read_to_end(&mut text);
            read.transient(|| format!("read {url}"))?;
            serde_json::from_slice(&text).permanent(|| format!("read {url}: this is no answer of a hub"))
        })
    }

    /// What `file` is at `commit`.
    pub(super) fn file_info(&self, commit: &str, file: &str) -> Result<FileInfo> {
        let url = self.file_url(commit, file);
        self.patiently(|| {
            let seen = self.head(&url)?;
            let no = |what: &str| Error::permanent(format!("{url}: the hub gives no {what}; is this a hub's mirror?"));
            if seen.commit.as_deref().is_some_and(|of| of != commit) {
                return Err(Error::permanent(format!("{url}: the hub answered with a file of another commit")));
            }
            let hash = seen.hash.filter(|hash| {
                matches!(hash.len(), 40 | 64) && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            });
            Ok(FileInfo { hash: hash.ok_or_else(|| no("checksum"))?, size: seen.size.ok_or_else(|| no("size"))? })
        })
    }

    /// The bytes of `file` from `start` on, and where they really start: a server may send all of them.
    pub(super) fn bytes(&self, commit: &str, file: &str, start: u64) -> Result<(impl Read + use<>, u64)> {
        let (answer, status) = self.get(&self.file_url(commit, file), Some(start).filter(|&start| start > 0))?;
        let start = if status == 206 { range_start(answer.headers()).unwrap_or(start) } else { 0 };
        Ok((answer.into_body().into_with_config().limit(u64::MAX).reader(), start))
    }

    fn file_url(&self, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{file}", self.config.endpoint, self.model.id())
    }

    /// Tries until it is done, a permanent error says that it never will be, or patience ends.
    pub(super) fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut failed = 0;
        loop {
            match attempt() {
                Err(error) if error.is_transient() => self.pause(&mut failed, error)?,
                done => return done,
            }
        }
    }

    /// Waits before the next attempt; gives the error back when there is to be none.
    pub(super) fn pause(&self, failed: &mut u32, error: Error) -> Result<()> {
        let asked = if let Next::Retry { after } = error.next() { after } else { None };
        let pause = asked.unwrap_or_else(|| self.config.first_pause.saturating_mul(1 << (*failed).min(8)));
        *failed += 1;
        if *failed >= ATTEMPTS || !error.is_transient() || pause > LONGEST_PAUSE {
            return Err(error);
        }
        thread::sleep(pause);
        Ok(())
    }

    /// Follows redirects to the end.
    fn get(&self, url: &str, start: Option<u64>) -> Result<(Response<Body>, u16)> {
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.agent.get(&url);
            if let Some(start) = start {
                request = request.header("Range", format!("bytes={start}-"));
            }
            if let Some(token) = self.token_for(&url) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call().map_err(|error| self.unreachable(&url, error))?;
            match answer.status().as_u16() {
                status @ (200 | 206) => return Ok((answer, status)),
                301 | 302 | 303 | 307 | 308 => url = next_url(&url, answer.headers())?,
                status => return Err(self.refused(&url, status, answer.headers())),
            }
        }
        Err(Error::permanent(format!("{url}: redirected more than {MOST_REDIRECTS} times")))
    }

    /// Follows redirects within the hub; where one leads out of it, the hub has said what the file is.
    fn head(&self, url: &str) -> Result<Seen> {
        let mut url = url.to_owned();
        let mut seen = Seen::default();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.agent.head(&url);
            if let Some(token) = self.token_for(&url) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let answer = request.call().map_err(|error| self.unreachable(&url, error))?;
            let headers = answer.headers();
            seen.add(headers);
            match answer.status().as_u16() {
                200 => {
                    seen.hash = seen.hash.or_else(|| hash_in(headers, "etag"));
                    seen.size = seen.size.or_else(|| number_in(headers, "content-length"));
                    return Ok(seen);
                }
                301 | 302 | 303 | 307 | 308 => {
                    let next = next_url(&url, headers)?;
                    if origin(&next) != origin(&url) {
                        return Ok(seen);
                    }
                    url = next;
                }
                status => return Err(self.refused(&url, status, headers)),
            }
        }
        Err(Error::permanent(format!("{url}: redirected more than {MOST_REDIRECTS} times")))
    }

    /// The token, where `url` is the hub's own.
    fn token_for(&self, url: &str) -> Option<&str> {
        self.config.token.as_deref().filter(|_| origin(url) == origin(&self.config.endpoint))
    }

    fn unreachable(&self, url: &str, error: ureq::Error) -> Error {
        let HubConfig { endpoint, cache, .. } = self.config;
        let (model, folder, url) = (self.model, cache.join(self.model.folder()), without_query(url));
        Error::transient(format!(
            "{url}: the hub {endpoint} cannot be reached ({error}). Without it, run `imagefleet models pull {model}` on \
             a machine that has it and copy its {} here, or give the model's files as a local folder; HF_HUB_OFFLINE=1 \
             keeps to what the cache has",
            folder.display()
        ))
    }

    fn refused(&self, url: &str, status: u16, headers: &HeaderMap) -> Error {
        let (model, endpoint) = (self.model, &self.config.endpoint);
        let said = text_in(headers, "x-error-message").map(|text| format!(" ({text})")).unwrap_or_default();
        let is_the_hubs = origin(url) == origin(endpoint);
        let url = without_query(url);
        match status {
            // A store's links are signed and run out; the hub gives a new one.
            401 | 403 if !is_the_hubs => {
                Error::transient(format!("{url}: the store that the hub names answered {status}; try again"))
            }
            401 | 403 => {
                let token =
                    if self.config.token.is_some() { "HF_TOKEN has no right to it" } else { "HF_TOKEN is not set" };
                Error::permanent(format!(
                    "{url}: the hub answered {status}{said}: there is no {model}, or it is gated and {token}; accept its \
                     terms at {endpoint}/{} and set HF_TOKEN to a token that may read it",
                    model.id()
                ))
            }
            404 => Error::permanent(format!("{url}: the hub answered 404{said}: it has no {model}, or not this file")),
            408 | 429 | 500.. => {
                let error = Error::transient(format!("{url}: the hub answered {status}{said}; try again later"));
                match number_in(headers, "retry-after") {
                    Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
                    None => error,
                }
            }
            _ => Error::permanent(format!("{url}: the hub answered {status}{said}")),
        }
    }
}

/// What the answers to one question said of a file, the first word being the hub's.
#[derive(Default)]
struct Seen {
    hash: Option<String>,
    size: Option<u64>,
    commit: Option<String>,
}

impl Seen {
    fn add(&mut self, headers: &HeaderMap) {
        self.hash = self.hash.take().or_else(|| hash_in(headers, "x-linked-etag"));
        self.size = self.size.or_else(|| number_in(headers, "x-linked-size"));
        self.commit = self.commit.take().or_else(|| text_in(headers, "x-repo-commit"));
    }
}

fn text_in(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn number_in(headers: &HeaderMap, name: &str) -> Option<u64> {
    text_in(headers, name)?.trim().parse().ok()
}

/// `W/"HASH"` or `"HASH"`
fn hash_in(headers: &HeaderMap, name: &str) -> Option<String> {
    let tag = text_in(headers, name)?;
    Some(tag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// `bytes START-END/ALL`
fn range_start(headers: &HeaderMap) -> Option<u64> {
    text_in(headers, "content-range")?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// An address as people may see it: a store's signature stands in the query.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

fn next_url(from: &str, headers: &HeaderMap) -> Result<String> {
    let no = |why: &str| Error::permanent(format!("{from}: redirected {why}"));
    let to = text_in(headers, "location").ok_or_else(|| no("without an address"))?;
    if to.starts_with('/') && !to.starts_with("//") {
        return origin(from).map(|origin| origin + &to).ok_or_else(|| no("from no address"));
    }
    match (to.starts_with("https://"), to.starts_with("http://") && from.starts_with("http://")) {
        (false, false) => Err(no(&format!("to {to}, which is not safe to follow"))),
        _ => Ok(to),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn redirected(from: &str, to: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("location", to.parse().unwrap());
        next_url(from, &headers).ok()
    }

    #[test]
    fn a_redirect_is_followed_within_the_host_and_to_safe_ones() {
        let hub = "https://hub:8080/a/resolve/b";
        assert_eq!(redirected(hub, "/api/x?y=z").unwrap(), "https://hub:8080/api/x?y=z");
        assert_eq!(redirected(hub, "https://store/x?y=z").unwrap(), "https://store/x?y=z");
        assert_eq!(redirected("http://hub/a", "http://store/x").unwrap(), "http://store/x");
        for unsafe_one in ["http://store/x", "//store/x", "file:///etc/passwd", "x", ""] {
            assert_eq!(redirected(hub, unsafe_one), None, "{unsafe_one}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://hub/a/b?c"), origin("https://hub"));
        for other in ["http://hub", "https://hub:444", "https://hub.evil", "https://evil/hub"] {
            assert_ne!(origin(other), origin("https://hub"), "{other}");
        }
    }

    #[test]
    fn a_checksum_is_what_stands_in_the_tag() {
        let mut headers = HeaderMap::new();
        for (tag, expected) in [("\"ab12\"", "ab12"), ("W/\"ab12\"", "ab12"), ("ab12", "ab12")] {
            headers.insert("etag", tag.parse().unwrap());
            assert_eq!(hash_in(&headers, "etag").unwrap(), expected);
        }
    }
}
