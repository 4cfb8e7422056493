//! The server as the settings name it, checked once; opening a connection to it.

use super::{Settings, failed};
use futures::{AsyncReadExt, AsyncWriteExt};
use imagefleet_common::{
    error::{Context, Error, Result},
    ids::Queue,
};
use lapin::{
    Connection, ConnectionProperties,
    protocol::{AMQPClass, connection::AMQPMethod, parse_class},
    tcp::{AMQPUriTcpExt, OwnedTLSConfig},
    types::AMQPValue,
    uri::AMQPUri,
};
use std::{fmt, io, time::Duration};

pub(super) struct Server {
    pub(super) settings: Settings,
    /// Held by the one queue that is tried alone.
    pub(super) trials: tokio::sync::Mutex<()>,
    uri: AMQPUri,
    tls: OwnedTLSConfig,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        write!(f, "{scheme}://{}:{} (virtual host {vhost})", authority.host, authority.port)
    }
}

/// Permanent error where it is no URL of a broker.
pub(super) fn uri(url: &str) -> Result<AMQPUri> {
    // The parser's error may quote the URL, and with it the password.
    let mut uri: AMQPUri = url.parse().map_err(|_| {
        Error::permanent("the broker's URL is not of the form amqp://user:password@host:port/vhost, or amqps://")
    })?;
    if let Some(host) = ipv6_host(url) {
        uri.authority.host = host.to_owned();
    }
    Ok(uri)
}

impl Server {
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let mut uri = uri(&settings.url)?;
        let heartbeat = u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
        uri.query.heartbeat.get_or_insert(heartbeat);
        let authorities = settings.authorities.as_ref().map(|path| {
            std::fs::read_to_string(path)
                .permanent(|| format!("read the broker's certificate authorities {}", path.display()))
        });
        let tls = OwnedTLSConfig { identity: None, cert_chain: authorities.transpose()? };
        Ok(Self { settings, trials: tokio::sync::Mutex::default(), uri, tls })
    }

    pub(super) fn queue_name(&self, queue: &Queue) -> String {
        format!("{}.{queue}", self.settings.namespace)
    }

    /// Ends an exchange with the server that takes too long.
    pub(super) async fn in_time<T>(
        &self,
        doing: impl Fn() -> String,
        exchange: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let timeout = self.settings.timeout;
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
            Err(Error::transient(format!("{}: no answer from {self} within {} ms", doing(), timeout.as_millis())))
        })
    }

    /// A connection, and the server's version.
    pub(super) async fn connect(&self, purpose: &str) -> Result<(Connection, String)> {
        let doing = || format!("connect to {self}");
        // The client's attempts cannot be called off: each would keep a thread for as long as a server that accepts
        // connections says nothing. So it is asked first by something that can.
        let version = self.in_time(doing, async { self.version().await.transient(doing) }).await?;
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("imagefleet {} {purpose}", self.settings.namespace).into());
        let connection = self
            .in_time(doing, async {
                let runtime = lapin::runtime::default_runtime().map_err(|error| failed(doing(), error))?;
                Connection::connect_uri_with_config(self.uri.clone(), properties, self.tls.clone(), runtime)
                    .await
                    .map_err(|error| failed(doing(), error))
            })
            .await?;
        Ok((connection, version))
    }

    /// Reads the first frame of a connection of its own, in which a server introduces itself (AMQP 0-9-1, 1.4.2.1).
    async fn version(&self) -> io::Result<String> {
        const FRAME_HEAD: usize = 7;
        let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
        let mut stream = self.uri.connect_with_config_async(self.tls.as_ref(), &runtime).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.flush().await?;
        let mut head = [0; FRAME_HEAD];
        stream.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        if &head[..4] == b"AMQP" || size > 1 << 20 {
            return Err(io::Error::other("it does not speak AMQP 0-9-1"));
        }
        let mut start = vec![0; size as usize];
        stream.read_exact(&mut start).await?;
        let Ok((_, AMQPClass::Connection(AMQPMethod::Start(start)))) = parse_class(&start[..]) else {
            return Err(io::Error::other("it does not introduce itself as AMQP 0-9-1 has it"));
        };
        match start.server_properties.inner().get("version") {
            Some(AMQPValue::LongString(version)) => Ok(version.to_string()),
            _ => Ok("unknown".into()),
        }
    }
}

/// The URL's host where it is an IPv6 address, which the parser takes for no host at all.
fn ipv6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?;
    host.strip_prefix('[')?.split_once(']').map(|(host, _)| host)
}

/// Rests between tries, each about twice the last. Half of a rest is chance, so that a fleet does not come back at once.
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);

    pub(super) fn new(max: Duration) -> Self {
        Self { next: Self::FIRST.min(max), max }
    }

    pub(super) async fn rest(&mut self) {
        let rest = self.next.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        self.next = (self.next * 2).min(self.max);
        tokio::time::sleep(rest).await;
    }

    /// Starts again with short rests, where what was opened held longer than the longest of them.
    pub(super) fn held(&mut self, since: tokio::time::Instant) {
        if since.elapsed() > self.max {
            *self = Self::new(self.max);
        }
    }
}
