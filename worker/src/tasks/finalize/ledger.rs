//! The ledger's lines and sums, over the job's shards.

use super::Finalize;
use imagefleet_common::{
    Context, Result,
    ledger::RejectedRow,
    ports::catalog::{ChunkLedger, Shard},
    task::State,
};
use imagefleet_retrieval::results::{LEDGER, Pictures, ShardRow, Unprocessed, write_ledger};
use std::collections::BTreeMap;

impl Finalize<'_> {
    /// A row a shard, by path.
    pub(super) fn shard_rows(&self) -> Vec<ShardRow> {
        let mut rows: BTreeMap<i64, ShardRow> =
            self.shards.iter().map(|shard| (shard.number, shard_row(shard))).collect();
        for chunk in &self.ledger {
            if let Some(row) = rows.get_mut(&chunk.at.shard) {
                add(row, chunk);
            }
        }
        let mut rows: Vec<ShardRow> = rows.into_values().collect();
        rows.sort_by(|a, b| a.shard.cmp(&b.shard));
        rows
    }

    /// Every rejected picture of the job's shards.
    pub(super) async fn rejected(&self) -> Result<Vec<RejectedRow>> {
        let mut rejected = Vec::new();
        for chunk in &self.ledger {
            if chunk.counts.as_ref().is_some_and(|counts| !counts.rejected.is_empty()) {
                rejected.extend(self.worker.ports.catalog.rejected(&self.collection.id, chunk.at).await?);
            }
        }
        Ok(rejected)
    }

    /// The sums over all shards.
    pub(super) fn pictures(&self) -> Pictures {
        let missing = self.shards.iter().map(|shard| shard.missing).sum();
        let mut pictures = Pictures { missing, ..Pictures::default() };
        for chunk in &self.ledger {
            match (unprocessed(chunk), &chunk.counts) {
                (None, Some(counts)) => pictures.add(counts),
                (why, _) => pictures.add_unprocessed(why.unwrap_or(Unprocessed::Dead), chunk.pictures.unwrap_or(0)),
            }
        }
        pictures
    }
}

/// `ledger.jsonl`.
pub(super) fn lines(shards: Vec<ShardRow>, rejected: Vec<RejectedRow>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_ledger(&mut bytes, shards, rejected).permanent(|| format!("write {LEDGER}"))?;
    Ok(bytes)
}

fn shard_row(shard: &Shard) -> ShardRow {
    ShardRow { shard: shard.path.clone(), version: shard.version, missing: shard.missing, ..ShardRow::default() }
}

fn add(row: &mut ShardRow, chunk: &ChunkLedger) {
    match (unprocessed(chunk), &chunk.counts) {
        (None, Some(counts)) => {
            row.seen += counts.seen;
            row.embedded += counts.embedded;
            for (reason, count) in &counts.rejected {
                *row.rejected.entry(*reason).or_default() += count;
            }
        }
        (why, _) => {
            let pictures = chunk.pictures.unwrap_or(0);
            row.seen += pictures;
            if pictures > 0 {
                *row.unprocessed.entry(why.unwrap_or(Unprocessed::Dead)).or_default() += pictures;
            }
        }
    }
}

fn unprocessed(chunk: &ChunkLedger) -> Option<Unprocessed> {
    match chunk.state {
        State::Succeeded => None,
        State::Cancelled => Some(Unprocessed::Cancelled),
        _ => Some(Unprocessed::Dead),
    }
}
