//! One connection that is reopened for ever. This is the only loop that reconnects; what stands on a connection
//! (channels, prefetch, queues, consumers) is made anew by whoever needs it, in that order.

use super::{
    failed,
    server::{Backoff, Server},
};
use futures::StreamExt;
use imagefleet_common::error::{Error, Result};
use lapin::{Channel, Connection};
use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

type Current = Option<Arc<Connection>>;

pub(super) struct Link {
    current: watch::Receiver<Current>,
    version: Arc<Mutex<String>>,
}

impl Link {
    /// Connects, and keeps connected until `stop`; the task ends when the last connection is closed.
    pub(super) async fn open(
        server: Arc<Server>,
        purpose: &'static str,
        stop: watch::Receiver<bool>,
    ) -> Result<(Self, JoinHandle<()>)> {
        let (connection, version) = server.connect(purpose).await?;
        let (set_current, current) = watch::channel(Some(Arc::new(connection)));
        let version = Arc::new(Mutex::new(version));
        let keeper = Keeper { server, purpose, set_current, version: Arc::clone(&version) };
        Ok((Self { current, version }, tokio::spawn(keeper.run(stop))))
    }

    pub(super) fn version(&self) -> String {
        self.version.lock().expect("nothing panics while it holds this lock").clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.current.borrow().as_ref().is_some_and(|connection| connection.status().connected())
    }

    /// The connection, as soon as there is one; `None` when there will be none any more.
    pub(super) async fn connection(&self) -> Current {
        let mut current = self.current.clone();
        let up = current.wait_for(|current| current.as_ref().is_some_and(|open| open.status().connected())).await;
        up.ok().and_then(|current| current.clone())
    }

    pub(super) async fn channel(&self, doing: impl Fn() -> String) -> Result<Channel> {
        let Some(connection) = self.connection().await else {
            return Err(Error::permanent(format!("{}: the connection was closed", doing())));
        };
        connection.create_channel().await.map_err(|error| failed(doing(), error))
    }
}

struct Keeper {
    server: Arc<Server>,
    purpose: &'static str,
    set_current: watch::Sender<Current>,
    version: Arc<Mutex<String>>,
}

impl Keeper {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.keep() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        let current = self.set_current.send_replace(None);
        if let Some(connection) = current {
            let closed = tokio::time::timeout(self.server.settings.timeout, connection.close(200, "OK".into())).await;
            tracing::debug!(purpose = self.purpose, ?closed, "the connection to the broker was closed");
        }
    }

    async fn keep(&self) {
        let mut backoff = Backoff::new(self.server.settings.max_rest);
        let mut opened = Instant::now();
        loop {
            let current = self.set_current.borrow().clone();
            if let Some(connection) = current {
                lost(&connection).await;
                tracing::warn!(server = %self.server, purpose = self.purpose, "the connection to the broker was lost");
                self.set_current.send_replace(None);
                backoff.held(opened);
            }
            backoff.rest().await;
            match self.server.connect(self.purpose).await {
                Ok((connection, version)) => {
                    tracing::info!(server = %self.server, purpose = self.purpose, "connected to the broker again");
                    *self.version.lock().expect("nothing panics while it holds this lock") = version;
                    opened = Instant::now();
                    self.set_current.send_replace(Some(Arc::new(connection)));
                }
                Err(error) => {
                    tracing::warn!(%error, purpose = self.purpose, "the broker cannot be reached, trying again")
                }
            }
        }
    }
}

/// Returns when the connection is no longer open.
async fn lost(connection: &Connection) {
    // An event may come before the state changes, so the state is looked at from time to time as well.
    const LOOK_AGAIN: Duration = Duration::from_millis(250);
    let mut events = pin!(connection.events_listener());
    while connection.status().connected() {
        let _ = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
    }
}
