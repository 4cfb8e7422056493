//! A chunk whose object has changed: its task ends and its shard is listed again, in one transaction.

use super::{
    Done, attempts, ends,
    query::{Conn, query},
    rows::{self, TaskRow},
};
use imagefleet_common::{
    ids::CorpusId,
    ports::jobs::AttemptEnd,
    task::{Event, Holder, RetryRules},
    work::{ChunkRef, Work},
};

/// The change of a shard, counted since it was last planned, at which a person must look at it (protocol §5).
const UNSTABLE: i64 = 3;

pub(super) async fn supersede(
    conn: &mut Conn,
    row: &mut TaskRow,
    chunk: ChunkRef,
    holder: Holder,
    detail: &str,
    rules: &RetryRules,
) -> Done<()> {
    let corpus = ends::corpus(conn, row).await?;
    attempts::note(conn, row.id, AttemptEnd::Superseded, Some(detail)).await?;
    let superseded = Event::Superseded { holder };
    let list = rows::task(conn, Work::List { corpus: CorpusId(corpus.clone()), shard: chunk.shard }.id()).await?;
    let relist = match list {
        Some(list) if !list.task.state.is_open() && rows::is_current(conn, &corpus, chunk).await? => Some(list),
        // Listed again since, or about to be.
        _ => None,
    };
    let Some(mut list) = relist else {
        let _ = rows::apply(conn, row, &superseded, rules).await?;
        return ends::explain(conn, row, detail).await;
    };
    let changes: i64 = query("UPDATE task SET supersessions = supersessions + 1 WHERE id = $1 RETURNING supersessions")
        .bind(list.id)
        .fetch_one(conn)
        .await?
        .get("supersessions")?;
    let now = conn.now().await?;
    if changes >= UNSTABLE {
        let dead = Event::Failed { holder, permanent: true, retry_after: None, now, jitter: 0.0 };
        let _ = rows::apply(conn, row, &dead, rules).await?;
        return ends::explain(conn, row, &format!("unstable: changed {changes} times within one job: {detail}")).await;
    }
    let _ = rows::apply(conn, row, &superseded, rules).await?;
    // Whatever the next listing finds, it is not what was known: the shard is cut anew even where its objects are back
    // at what they were.
    query("UPDATE shard SET listing = listing || ' superseded' WHERE corpus = $1 AND number = $2")
        .bind(&corpus)
        .bind(chunk.shard)
        .execute(conn)
        .await?;
    let _ = rows::apply(conn, &mut list, &Event::Reopened { now }, rules).await?;
    rows::cancel_unless_wanted(conn, &mut list, rules).await?;
    ends::explain(conn, row, detail).await
}
