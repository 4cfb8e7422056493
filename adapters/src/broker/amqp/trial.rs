//! Queues that the server cannot serve prove themselves on a connection of their own.
//!
//! Where somebody consumes a queue that is on record and that nobody keeps, the server ends the whole connection and
//! names no queue: all other consumers go with it, and would go again with every next try. RabbitMQ 3.10 leaves such
//! queues behind where it is killed soon after they were made, and not only those that somebody publishes to. So whoever
//! was ended like that asks alone first. A queue that goes on failing alone for as long as two exchanges may take is
//! removed, to be made again: what it loses is a window of the table.

use super::{consumer::consume, failed, is_internal, line::Line, remove, server::Server};
use imagefleet_common::error::Result;
use tokio::time::{Instant, timeout};

/// Returns where the queue may be consumed beside others. One trial at a time: they are rare, and connections are not for
/// the many.
pub(super) async fn stand(line: &Line, server: &Server) -> Result<()> {
    let _turn = server.trials.lock().await;
    if !line.is_suspect() {
        return Ok(());
    }
    let began = Instant::now();
    let doing = || format!("consume queue {} on a connection of its own", line.name);
    let (connection, _) = server.connect("trying a queue").await?;
    let tried = server.in_time(doing, async {
        let consumed = async { consume(&connection.create_channel().await?, &line.name).await };
        Ok(consumed.await.map(drop))
    });
    let tried = tried.await?;
    let _ = timeout(server.settings.timeout, connection.close(200, "OK".into())).await;
    let Err(error) = tried else {
        line.acquit();
        return Ok(());
    };
    if is_internal(&error) && line.failing_since(began).elapsed() >= 2 * server.settings.timeout {
        let (connection, _) = server.connect("removing a queue").await?;
        let channel = async { connection.create_channel().await.map_err(|error| failed(doing(), error)) };
        remove(&line.name, channel).await;
        let _ = timeout(server.settings.timeout, connection.close(200, "OK".into())).await;
        line.acquit();
    }
    Err(failed(doing(), error))
}
