//! Word of changes, from process to process.

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

/// Commits within this time are told together.
const TOGETHER: Duration = Duration::from_millis(5);

/// How long a connection that failed rests.
const REST: Duration = Duration::from_secs(1);

pub(super) struct Changes {
    counted: watch::Sender<u64>,
    /// A commit of this process is to be told.
    due: Arc<Notify>,
    tasks: [JoinHandle<()>; 2],
}

impl Changes {
    pub(super) fn start(options: PgConnectOptions, namespace: &str) -> Self {
        let (counted, due) = (watch::Sender::new(0), Arc::new(Notify::new()));
        let channel = format!("imagefleet_{namespace}");
        let tasks = [
            tokio::spawn(listen(options.clone(), channel.clone(), counted.clone())),
            tokio::spawn(speak(options, channel, Arc::clone(&due))),
        ];
        Self { counted, due, tasks }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.counted.subscribe()
    }

    /// This process hears of it at once, others in a moment.
    pub(super) fn tell(&self) {
        self.counted.send_modify(|count| *count += 1);
        self.due.notify_one();
    }

    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(options: PgConnectOptions, channel: String, counted: watch::Sender<u64>) {
    loop {
        if let Err(error) = listen_once(&options, &channel, &counted).await {
            tracing::debug!(%error, "changes of other processes are not heard; looking once a second");
        }
        tokio::time::sleep(REST).await;
    }
}

async fn listen_once(options: &PgConnectOptions, channel: &str, counted: &watch::Sender<u64>) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    loop {
        // What was said while nobody listened is made up for by one look.
        counted.send_modify(|count| *count += 1);
        if listener.try_recv().await?.is_none() {
            return Ok(());
        }
    }
}

async fn speak(options: PgConnectOptions, channel: String, due: Arc<Notify>) {
    let mut connection = None;
    loop {
        due.notified().await;
        if let Err(error) = say(&options, &mut connection, &channel).await {
            tracing::debug!(%error, "a change was not told to other processes; they look once a second");
            connection = None;
            tokio::time::sleep(REST).await;
        }
        tokio::time::sleep(TOGETHER).await;
    }
}

async fn say(
    options: &PgConnectOptions,
    connection: &mut Option<sqlx::PgConnection>,
    channel: &str,
) -> sqlx::Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(sqlx::PgConnection::connect_with(options).await?),
    };
    sqlx::query("SELECT pg_notify($1, '')").bind(channel).execute(connection).await?;
    Ok(())
}
