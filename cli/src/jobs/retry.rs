//! `imagefleet jobs retry JOB --rejected REASON`

use super::{find, say_who_runs, tell};
use crate::{args::Global, exit::Exit, logging::say, run::counted, site::Site};
use imagefleet_common::{Error, Result, ledger::Reason, work::ChunkRef};

/// Has the chunks embedded again in which pictures were rejected for this reason, and then all that comes after. What is
/// right is embedded along with what was rejected: a chunk is the smallest unit of that.
pub(super) async fn rejected(global: &Global, site: &Site, wanted: &str, reason: &str) -> Result<Exit> {
    let named = Reason::from_name(reason);
    let reason = named.ok_or_else(|| {
        Error::permanent(format!(
            "retry pictures that were rejected({reason}): there is no such reason; `imagefleet jobs show` lists those of a job"
        ))
    })?;
    if reason == Reason::Takedown {
        return Err(Error::permanent("retry pictures that were taken down: a takedown is for good"));
    }
    let (lock, world) = site.take().await?;
    let job = find(world.jobs.as_ref(), wanted).await?;
    let (mut chunks, mut pictures) = (Vec::<ChunkRef>::new(), 0);
    for chunk in world.catalog.ledger(job.id).await? {
        let count = chunk.counts.as_ref().and_then(|counts| counts.rejected.get(&reason)).copied().unwrap_or(0);
        if count > 0 {
            chunks.push(chunk.at);
            pictures += count;
        }
    }
    if chunks.is_empty() {
        return Err(Error::permanent(format!("retry job {}: none of its pictures is rejected({reason})", job.name)));
    }
    world.jobs.repair(job.id, &chunks).await?;
    say(format_args!(
        "{} with {} that were rejected({reason}) {} embedded again",
        counted(chunks.len(), "chunk"),
        counted(usize::try_from(pictures).unwrap_or(usize::MAX), "picture"),
        if chunks.len() == 1 { "is" } else { "are" },
    ));
    let after = find(world.jobs.as_ref(), &job.id.to_string()).await?;
    tell(global, &after);
    drop(lock);
    say_who_runs(site, &after);
    Ok(Exit::Done)
}
