//! The connection: one channel, which calls share and which connects again by itself.

use super::{Settings, status::failed};
use imagefleet_common::error::{Context, Error, Result};
use qdrant_client::qdrant::{
    HealthCheckRequest, ListCollectionsRequest, collections_client::CollectionsClient, points_client::PointsClient,
    qdrant_client::QdrantClient,
};
use std::time::Duration;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};

/// Bytes of an answer. What is asked for at once is held far below it.
const MAX_ANSWER: usize = 256 << 20;
/// A peer that answers no ping for this long is gone: a call on such a connection fails instead of waiting.
const PING: Duration = Duration::from_secs(10);
/// The first version with conditional upserts, and with metadata of collections.
const OLDEST: (u32, u32) = (1, 16);

pub(super) struct Wire {
    channel: Channel,
    key: Key,
    url: String,
    pub(super) timeout: Duration,
}

type Keyed = InterceptedService<Channel, Key>;

/// Gives each call the API key. Marked sensitive: no log of headers shows it.
#[derive(Clone)]
pub(super) struct Key(Option<MetadataValue<Ascii>>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("api-key", key.clone());
        }
        Ok(request)
    }
}

impl Wire {
    /// Connects at the first call. Must be made within a runtime.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let key = settings.api_key.as_ref().map(|key| {
            let mut key: MetadataValue<Ascii> = key.parse().ok()?;
            key.set_sensitive(true);
            Some(key)
        });
        if key == Some(None) {
            let message =
                "use the index's API key: it has characters that no header can hold; give it as it was issued";
            return Err(Error::permanent(message));
        }
        let uri: Uri = settings.url.parse().map_err(|_| refused(&settings.url))?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused(&settings.url)),
        };
        // Names and passwords in a URL would stand in every message.
        if uri.path() != "/" || uri.query().is_some() || uri.authority().is_none_or(|it| it.as_str().contains('@')) {
            return Err(refused(&settings.url));
        }
        let mut endpoint = Endpoint::from(uri)
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true);
        if is_https {
            let mut tls = ClientTlsConfig::new().with_native_roots();
            if let Some(pem) = &settings.ca {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint.tls_config(tls).permanent(|| "use the index's certificates".to_owned())?;
        }
        let url = settings.url.clone();
        Ok(Self { channel: endpoint.connect_lazy(), key: Key(key.flatten()), url, timeout: settings.timeout })
    }

    pub(super) fn points(&self) -> PointsClient<Keyed> {
        PointsClient::with_interceptor(self.channel.clone(), self.key.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(super) fn collections(&self) -> CollectionsClient<Keyed> {
        CollectionsClient::with_interceptor(self.channel.clone(), self.key.clone())
            .max_decoding_message_size(MAX_ANSWER)
    }

    /// How long the server may take to apply a change, in the protocol's unit.
    pub(super) fn seconds(&self) -> u64 {
        self.timeout.as_secs().max(1)
    }

    /// The server's version. Is it one that this adapter can use, and does it take the key? The health check alone needs none.
    pub(super) async fn check_server(&self) -> Result<String> {
        let url = &self.url;
        let doing = || format!("reach the index at {url} (the port of gRPC, by default 6334)");
        let mut server = QdrantClient::with_interceptor(self.channel.clone(), self.key.clone());
        let answer = server.health_check(HealthCheckRequest {}).await.map_err(|status| failed(doing(), status))?;
        let version = answer.into_inner().version;
        if version_of(&version).is_none_or(|found| found < OLDEST) {
            let (major, minor) = OLDEST;
            return Err(Error::permanent(format!(
                "use the index at {url}: the server is version {version:?}, and its upserts have conditions from \
                 {major}.{minor} on; upgrade it"
            )));
        }
        let listed = self.collections().list(ListCollectionsRequest {}).await;
        listed.map(|_| version).map_err(|status| failed(doing(), status))
    }
}

/// Not the URL itself: it may hold a password.
fn refused(url: &str) -> Error {
    let shown = if url.contains('@') { "one with a name in it" } else { url };
    Error::permanent(format!("use the index's URL: found {shown}, expected http://host:6334 or https://host:6334"))
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (text, version) in [("1.16.0", Some((1, 16))), ("v1.9.2-dev", Some((1, 9))), ("2.0", Some((2, 0)))] {
            assert_eq!(version_of(text), version, "{text}");
        }
        assert_eq!((version_of(""), version_of("one.two")), (None, None));
    }
}
