//! What happens to messages on their way: doubled, late and in another order, or lost.

use futures::{StreamExt, future::select_all};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions,
        QueueDeleteOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a meddler waits for a message to come.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    Double,
    Reorder,
    Drop,
}

/// Takes every message that comes to these queues, ahead of all workers, for so long after the first; then does this with
/// them. Returns the queue of each.
pub async fn meddle(url: &str, queues: &[String], how: Meddling, lasts: Duration) -> lapin::Result<Vec<String>> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    let mut consumers = Vec::new();
    for queue in queues {
        declare(&channel, queue).await?;
        let mut first = FieldTable::default();
        first.insert("x-priority".into(), AMQPValue::LongInt(10));
        let options = BasicConsumeOptions::default();
        consumers.push(channel.basic_consume(queue.as_str().into(), "".into(), options, first).await?);
    }
    let mut taken: Vec<Delivery> = Vec::new();
    let mut until = Instant::now() + PATIENCE;
    while let Ok((Some(Ok(delivery)), ..)) =
        timeout_at(until, select_all(consumers.iter_mut().map(|it| it.next()))).await
    {
        if taken.is_empty() {
            until = Instant::now() + lasts;
        }
        taken.push(delivery);
    }
    for consumer in &mut consumers {
        // What is published again must not come here again.
        channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
    }
    if how == Meddling::Reorder {
        taken.reverse();
    }
    let copies = match how {
        Meddling::Double => 2,
        Meddling::Reorder => 1,
        Meddling::Drop => 0,
    };
    for delivery in &taken {
        for _ in 0..copies {
            let queue = delivery.routing_key.clone();
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish("".into(), queue, options, &delivery.data, properties).await?;
            published.await?;
        }
        delivery.acker.ack(BasicAckOptions::default()).await?;
    }
    // Its end comes after the acknowledgements.
    channel.close(200, "OK".into()).await?;
    connection.close(200, "OK".into()).await?;
    Ok(taken.into_iter().map(|delivery| delivery.routing_key.to_string()).collect())
}

/// Empties or removes queues, as an operator may.
pub async fn clear(url: &str, queues: &[String], delete: bool) -> lapin::Result<()> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    for queue in queues {
        declare(&channel, queue).await?;
        match delete {
            true => channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?,
            false => channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await?,
        };
    }
    connection.close(200, "OK".into()).await
}

/// Does the server take connections?
pub async fn answers(url: &str) -> bool {
    match connect(url).await {
        Ok(connection) => connection.close(200, "OK".into()).await.is_ok(),
        Err(_) => false,
    }
}

async fn connect(url: &str) -> lapin::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await
}

/// As the fleet does.
async fn declare(channel: &Channel, queue: &str) -> lapin::Result<lapin::Queue> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await
}
