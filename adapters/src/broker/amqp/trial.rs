//! Queues that the server cannot serve prove themselves on a connection of their own.
//!
//! Where somebody consumes a queue that is on record and that nobody keeps, the server ends the whole connection and
//! names no queue: all other consumers go with it, and would go again with every next try. RabbitMQ 3.10 leaves such
//! queues behind where it is killed soon after they were made, and not only those that somebody publishes to. So whoever
//! was ended like that asks alone first. A queue that goes on failing alone for as long as two exchanges may take is
//! removed, to be made again: what it loses is a window of the table.

use super::{consumer::consume, failed, is_internal, line::Line, link::Link, remove, server::Server};
use imagefleet_common::error::{Error, Result};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What was found so lately holds for all consumers of the queue.
const JUST_NOW: Duration = Duration::from_secs(1);

/// Returns where the queue may be consumed beside others. One trial at a time, and none while the server cannot be
/// reached: they are rare, and connections are not for the many.
pub(super) async fn stand(line: &Line, server: &Server, link: &Link) -> Result<()> {
    let _turn = server.trials.lock().await;
    let doing = || format!("consume queue {} on a connection of its own", line.name);
    if link.connection().await.is_none() {
        return Err(Error::permanent(format!("{}: the connection was closed", doing())));
    }
    if !line.is_suspect() {
        return Ok(());
    }
    if line.failed_last().is_some_and(|last| last.elapsed() < JUST_NOW) {
        return Err(Error::transient(format!("{}: it failed a moment ago", doing())));
    }
    let settings = &server.settings;
    let (connection, _) = server.connect("trying a queue").await?;
    let tried = server.in_time(doing, async {
        let channel = connection.create_channel().await.map_err(|error| failed(doing(), error))?;
        Ok(consume(&channel, &line.name).await.map(drop))
    });
    let tried = tried.await;
    let _ = timeout(settings.timeout, connection.close(200, "OK".into())).await;
    match tried {
        Ok(Ok(())) => {
            line.acquit();
            Ok(())
        }
        Ok(Err(error)) if is_internal(&error) => {
            let pause = 2 * settings.timeout + settings.max_rest;
            if line.failing_since(Instant::now(), pause).elapsed() >= 2 * settings.timeout
                && make_room(line, server).await?
            {
                line.acquit();
            }
            Err(failed(doing(), error))
        }
        // That says nothing of the queue.
        Ok(Err(error)) => Err(failed(doing(), error)),
        Err(error) => Err(error),
    }
}

/// Removes the queue; was it?
async fn make_room(line: &Line, server: &Server) -> Result<bool> {
    let (connection, _) = server.connect("removing a queue").await?;
    let doing = || format!("remove queue {}, which fails", line.name);
    let channel = async { connection.create_channel().await.map_err(|error| failed(doing(), error)) };
    let is_removed = remove(&line.name, channel).await;
    let _ = timeout(server.settings.timeout, connection.close(200, "OK".into())).await;
    Ok(is_removed)
}
