//! The ports, each method a transaction: what is done stands in the modules beside this one.

use super::{
    Database, Done, Fault, Lock, Store, Tell, advance, catalog, claim,
    claim::Ask,
    control,
    ends::{self, End, Ending},
    forget, pace, plan, poison, publish, search, sessions, submit, takedown, views,
};
use async_trait::async_trait;
use imagefleet_common::{
    error::{Error, Result},
    ids::{CollectionId, CorpusId, Epoch, JobId, Millis, Queue, SessionId, TaskId},
    job::spec::{CollectionSpec, CorpusSpec},
    ledger::{RejectedRow, Takedown},
    ports::{
        broker::Message,
        catalog::{Catalog, Chunk, ChunkLedger, Shard, Writers},
        index::Stored,
        jobs::{
            Control, JobState, JobView, Jobs, NewJob, NewSearch, OldSearch, Pace, Plan, Planned, Progress, Step,
            Submitted, TaskDetail, TaskView,
        },
        tasks::{Beat, Claim, Failure, Holding, NewSession, Outcome, QueueLoad, SessionView, Tasks, Written},
    },
    task::State,
    work::{ChunkRef, Kind},
};
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// One transaction that writes: `write!(store, Lock, Tell, "what is done", |conn| future)`.
macro_rules! write {
    ($store:expr, $lock:expr, $tell:expr, $doing:expr, |$conn:ident| $body:expr) => {{
        let done = async {
            let mut conn = $store.database.begin($lock).await?;
            let $conn = &mut conn;
            let done = $body.await?;
            let tell = $tell(&done);
            $store.commit(conn, tell).await?;
            Ok::<_, Fault>(done)
        };
        in_time($store.database.limit(), done).await.map_err(|fault| fault.doing($doing))
    }};
}

/// One snapshot.
macro_rules! read {
    ($store:expr, $doing:expr, |$conn:ident| $body:expr) => {{
        let done = async {
            let mut conn = $store.database.snapshot().await?;
            let $conn = &mut conn;
            $body.await
        };
        in_time($store.database.limit(), done).await.map_err(|fault: Fault| fault.doing($doing))
    }};
}

/// Gives a transaction up that takes too long, and its connection with it: its other end may be gone without a word, and
/// whoever waits for it holds a slot, or all claims and ends of this process.
async fn in_time<T>(limit: Duration, transaction: impl Future<Output = Done<T>>) -> Done<T> {
    match tokio::time::timeout(limit, transaction).await {
        Ok(done) => done,
        Err(_) => Err(Fault::Rule(Error::transient(format!("no answer from the database within {limit:?}")))),
    }
}

fn always<T>(_: &T) -> Tell {
    Tell::Everyone
}

fn never<T>(_: &T) -> Tell {
    Tell::Nobody
}

/// Nothing follows from stale writes alone.
fn if_written(written: &[Written]) -> Tell {
    if written.contains(&Written::Done) { Tell::Everyone } else { Tell::Nobody }
}

/// A claim makes room in the window.
fn if_granted(claims: &[Claim]) -> Tell {
    let granted = claims.iter().any(|claim| matches!(claim, Claim::Granted(_)));
    if granted { Tell::Everyone } else { Tell::Nobody }
}

#[async_trait]
impl<D: Database> Tasks for Store<D> {
    async fn queues(&self, republish_after: Duration, count_to: u32) -> Result<Vec<QueueLoad>> {
        read!(self, "count the queues' tasks", |conn| publish::queues(conn, republish_after, count_to))
    }

    async fn running(&self) -> Result<Vec<(Queue, u64)>> {
        read!(self, "count the tasks that run", |conn| publish::running(conn))
    }

    async fn mark(&self, queue: &Queue, limit: usize, token: Uuid, republish_after: Duration) -> Result<Vec<Message>> {
        let doing = || format!("mark tasks of queue {queue}");
        write!(self, Lock::Publishing, never, doing(), |conn| publish::mark(conn, queue, limit, token, republish_after))
    }

    async fn published(&self, token: Uuid) -> Result<()> {
        write!(self, Lock::Nothing, never, "mark tasks as published", |conn| publish::published(conn, token))
    }

    async fn open_session(&self, session: &NewSession) -> Result<()> {
        let doing = || format!("open session {}", session.id);
        write!(self, Lock::Structure, always, doing(), |conn| sessions::open(conn, session, &self.retry))
    }

    async fn beat(&self, session: SessionId) -> Result<Beat> {
        let doing = || format!("extend the lease of session {session}");
        write!(self, Lock::Beat, never, doing(), |conn| sessions::beat(conn, session))
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        let doing = || format!("close session {session}");
        write!(self, Lock::Structure, always, doing(), |conn| sessions::close(conn, session, &self.retry))
    }

    async fn reap(&self) -> Result<Vec<SessionId>> {
        let doing = "end sessions that are past their lease";
        if !read!(self, doing, |conn| sessions::any_expired(conn))? {
            return Ok(Vec::new());
        }
        write!(self, Lock::Structure, always, doing, |conn| sessions::reap(conn, &self.retry))
    }

    async fn claim(&self, message: &Message, session: SessionId, claim: Uuid) -> Result<Claim> {
        let ask = Ask { message: *message, session, claim };
        self.claims.call(ask, |asks| Box::pin(self.claim_together(asks))).await
    }

    async fn progress(&self, holding: Holding, done: u64) -> Result<Written> {
        let doing = || format!("note the progress of task {}", holding.task);
        write!(self, Lock::Nothing, never, doing(), |conn| ends::progress(conn, holding, done))
    }

    async fn stands_at(&self, holding: Holding, ordinal: Option<u64>) -> Result<Written> {
        let doing = || format!("note where task {} stands", holding.task);
        write!(self, Lock::Nothing, never, doing(), |conn| poison::stands_at(conn, holding, ordinal))
    }

    async fn succeed(&self, holding: Holding, outcome: &Outcome) -> Result<Written> {
        self.end(Ending { holding, end: End::Succeeded(outcome.clone()) }).await
    }

    async fn fail(&self, holding: Holding, failure: &Failure) -> Result<Written> {
        self.end(Ending { holding, end: End::Failed(failure.clone()) }).await
    }

    async fn hand_back(&self, holding: Holding, delay: Duration, why: Option<&str>) -> Result<Written> {
        self.end(Ending { holding, end: End::HandedBack { delay, why: why.map(str::to_owned) } }).await
    }

    async fn embed_again(&self, seal: Holding, chunk: ChunkRef) -> Result<bool> {
        let doing = || format!("have {chunk} embedded again");
        write!(self, Lock::Structure, always, doing(), |conn| ends::embed_again(conn, seal, chunk, &self.retry))
    }

    async fn counts(&self) -> Result<Vec<(Kind, State, u64)>> {
        read!(self, "count the tasks", |conn| views::counts(conn))
    }

    async fn sessions(&self) -> Result<Vec<SessionView>> {
        read!(self, "list the sessions", |conn| sessions::open_ones(conn))
    }

    async fn drain(&self, sessions: &[SessionId]) -> Result<u64> {
        let ids = sessions.iter().map(|session| session.0).collect();
        write!(self, Lock::Nothing, never, "ask workers to drain", |conn| sessions::drain(conn, ids))
    }

    async fn now(&self) -> Result<Millis> {
        read!(self, "read the database's clock", |conn| conn.now())
    }
}

#[expect(private_bounds, reason = "a store is made by the modules of its databases alone")]
impl<D: Database> Store<D> {
    async fn claim_together(&self, asks: Vec<Ask>) -> Result<Vec<Claim>> {
        let doing = || match &asks[..] {
            [ask] => format!("claim task {}", ask.message.task),
            asks => format!("claim {} tasks", asks.len()),
        };
        write!(self, Lock::Rows, if_granted, doing(), |conn| claim::claim(conn, &asks, &self.retry))
    }

    async fn end(&self, ending: Ending) -> Result<Written> {
        match ending.end.lock() {
            Lock::Rows => self.ends.call(ending, |endings| Box::pin(self.end_together(endings, Lock::Rows))).await,
            lock => Ok(self.end_together(vec![ending], lock).await?.pop().unwrap_or(Written::Stale)),
        }
    }

    async fn end_together(&self, endings: Vec<Ending>, lock: Lock) -> Result<Vec<Written>> {
        let doing = || match &endings[..] {
            [ending] => format!("end task {}", ending.holding.task),
            endings => format!("end {} tasks", endings.len()),
        };
        write!(self, lock, if_written, doing(), |conn| ends::end(conn, &endings, &self.retry))
    }
}

#[async_trait]
impl<D: Database> Jobs for Store<D> {
    async fn submit(&self, job: &NewJob) -> Result<Submitted> {
        let doing = || format!("submit job {:?}", job.name);
        write!(self, Lock::Structure, always, doing(), |conn| submit::submit(conn, job, &self.retry))
    }

    async fn search(&self, search: &NewSearch) -> Result<()> {
        let doing = || format!("search collection {}", search.collection);
        write!(self, Lock::Structure, always, doing(), |conn| search::search(conn, search))
    }

    async fn old_searches(&self, age: Duration) -> Result<Vec<OldSearch>> {
        read!(self, "look for old searches", |conn| search::old(conn, age))
    }

    async fn forget_searches(&self, searches: &[JobId]) -> Result<()> {
        write!(self, Lock::Structure, never, "forget searches", |conn| search::forget(conn, searches))
    }

    async fn not_planned(&self, job: JobId, why: &str) -> Result<()> {
        let doing = || format!("note why job {job} is not planned");
        write!(self, Lock::Nothing, never, doing(), |conn| plan::not_planned(conn, job, why))
    }

    async fn submitted(&self) -> Result<Vec<JobView>> {
        read!(self, "list the jobs to plan", |conn| views::submitted(conn))
    }

    async fn job(&self, job: JobId) -> Result<Option<JobView>> {
        read!(self, format!("look up job {job}"), |conn| views::job(conn, job))
    }

    async fn jobs(&self) -> Result<Vec<JobView>> {
        read!(self, "list the jobs", |conn| views::jobs(conn))
    }

    async fn plan(&self, job: JobId, plan: &Plan) -> Result<Planned> {
        write!(self, Lock::Structure, always, format!("plan job {job}"), |conn| plan::plan(
            conn,
            job,
            plan,
            &self.retry
        ))
    }

    async fn advance(&self) -> Result<Vec<(JobId, Step)>> {
        let candidates = read!(self, "look for jobs to advance", |conn| advance::candidates(conn))?;
        let mut steps = Vec::new();
        for (job, state) in candidates {
            if state == JobState::Cancelling {
                steps.extend(self.advance_cancelling(job).await?.map(|step| (job, step)));
                continue;
            }
            while let Some(step) = self.advance_once(job).await? {
                steps.push((job, step));
            }
        }
        Ok(steps)
    }

    async fn control(&self, job: JobId, control: Control) -> Result<()> {
        let doing = || format!("control job {job} ({control:?})");
        write!(self, Lock::Structure, always, doing(), |conn| control::control(conn, job, control, &self.retry))?;
        if control == Control::Cancel {
            self.cancel_tasks(job).await?;
        }
        Ok(())
    }

    async fn repair(&self, job: JobId, chunks: &[ChunkRef]) -> Result<()> {
        let doing = || format!("repair job {job}");
        write!(self, Lock::Structure, always, doing(), |conn| control::repair(conn, job, chunks, &self.retry))
    }

    async fn progress(&self, job: JobId) -> Result<Progress> {
        read!(self, format!("count the progress of job {job}"), |conn| views::progress(conn, job))
    }

    async fn pace(&self, job: JobId, lately: Duration) -> Result<Pace> {
        read!(self, format!("see how fast job {job} goes"), |conn| pace::pace(conn, job, lately))
    }

    async fn tasks(&self, job: JobId) -> Result<Vec<TaskView>> {
        read!(self, format!("list the tasks of job {job}"), |conn| views::tasks(conn, job))
    }

    async fn task(&self, task: TaskId) -> Result<Option<TaskDetail>> {
        read!(self, format!("look up task {task}"), |conn| views::task(conn, task))
    }

    async fn dead(&self) -> Result<Vec<(TaskView, Vec<JobId>)>> {
        read!(self, "list the dead tasks", |conn| views::dead(conn))
    }

    /// In as many transactions as the job is large; the job itself goes with the last.
    async fn remove(&self, job: JobId) -> Result<()> {
        let doing = || format!("remove job {job}");
        while write!(self, Lock::Structure, never, doing(), |conn| forget::let_go(conn, job))? {}
        write!(self, Lock::Structure, never, doing(), |conn| forget::job(conn, job))
    }
}

#[expect(private_bounds, reason = "a store is made by the modules of its databases alone")]
impl<D: Database> Store<D> {
    async fn advance_once(&self, job: JobId) -> Result<Option<Step>> {
        let tell = |step: &Option<Step>| if step.is_some() { Tell::Everyone } else { Tell::Nobody };
        write!(self, Lock::Structure, tell, format!("advance job {job}"), |conn| advance::step(conn, job, &self.retry))
    }

    async fn advance_cancelling(&self, job: JobId) -> Result<Option<Step>> {
        self.cancel_tasks(job).await?;
        let tell = |step: &Option<Step>| if step.is_some() { Tell::Everyone } else { Tell::Nobody };
        write!(self, Lock::Structure, tell, format!("cancel job {job}"), |conn| advance::finish_cancelling(conn, job))
    }

    /// In as many transactions as the job is large. Whatever is left when this is interrupted, `advance` does.
    async fn cancel_tasks(&self, job: JobId) -> Result<()> {
        let rules = &self.retry;
        while write!(self, Lock::Structure, never, format!("cancel tasks of job {job}"), |conn| control::cancel_some(
            conn, job, rules
        ))? {}
        Ok(())
    }
}

#[async_trait]
impl<D: Database> Catalog for Store<D> {
    async fn corpus(&self, id: &CorpusId) -> Result<Option<CorpusSpec>> {
        read!(self, format!("look up corpus {id}"), |conn| catalog::corpus(conn, id))
    }

    async fn collection(&self, id: &CollectionId) -> Result<Option<CollectionSpec>> {
        read!(self, format!("look up collection {id}"), |conn| catalog::collection(conn, id))
    }

    async fn collections(&self) -> Result<Vec<CollectionSpec>> {
        read!(self, "list collections".to_owned(), |conn| catalog::collections(conn))
    }

    async fn adopt(&self, corpus: &CorpusSpec, collection: &CollectionSpec) -> Result<()> {
        let doing = || format!("take in collection {}", collection.id);
        write!(self, Lock::Structure, never, doing(), |conn| catalog::adopt(conn, corpus, collection))
    }

    async fn shards(&self, corpus: &CorpusId) -> Result<Vec<Shard>> {
        read!(self, format!("list the shards of corpus {corpus}"), |conn| catalog::shards(conn, corpus))
    }

    async fn shard(&self, corpus: &CorpusId, number: i64) -> Result<Option<Shard>> {
        read!(self, format!("look up shard {number} of corpus {corpus}"), |conn| catalog::shard(conn, corpus, number))
    }

    async fn job_shards(&self, job: JobId) -> Result<Vec<Shard>> {
        read!(self, format!("list the shards of job {job}"), |conn| catalog::job_shards(conn, job))
    }

    async fn chunks(&self, collection: &CollectionId, shard: i64) -> Result<Vec<Chunk>> {
        read!(self, format!("list the chunks of shard {shard}"), |conn| catalog::chunks(conn, collection, shard))
    }

    async fn ledger(&self, job: JobId) -> Result<Vec<ChunkLedger>> {
        read!(self, format!("read the ledger of job {job}"), |conn| catalog::ledger(conn, job))
    }

    async fn writers(&self, job: JobId) -> Result<Writers> {
        read!(self, format!("see who writes for job {job}"), |conn| catalog::writers(conn, job))
    }

    async fn last_epoch(&self) -> Result<Epoch> {
        read!(self, "read the last epoch", |conn| catalog::last_epoch(conn))
    }

    async fn rejected(&self, collection: &CollectionId, chunk: ChunkRef) -> Result<Vec<RejectedRow>> {
        read!(self, format!("list the rejected pictures of {chunk}"), |conn| catalog::rejected(conn, collection, chunk))
    }

    async fn swept(&self, corpus: &CorpusId, shard: i64) -> Result<()> {
        let doing = || format!("forget shard {shard} of corpus {corpus}");
        write!(self, Lock::Structure, never, doing(), |conn| catalog::swept(conn, corpus, shard))
    }

    async fn take_down(&self, key: &str, why: &str) -> Result<Takedown> {
        write!(self, Lock::Structure, never, format!("take {key} down"), |conn| takedown::take_down(conn, key, why))
    }

    async fn takedowns(&self, after: i64) -> Result<Vec<Takedown>> {
        read!(self, "list the takedowns", |conn| takedown::since(conn, after))
    }

    async fn take_out(&self, collection: &CollectionId, point: &Stored) -> Result<bool> {
        let doing = || format!("take {} out of the ledger of collection {collection}", point.head.key);
        write!(self, Lock::Structure, never, doing(), |conn| takedown::take_out(conn, collection, point))
    }

    async fn taken_from(&self, key: &str) -> Result<Vec<(CollectionId, ChunkRef)>> {
        read!(self, format!("look for {key} in the ledger"), |conn| takedown::taken_from(conn, key))
    }

    async fn forget(&self, collection: &CollectionId) -> Result<Vec<TaskId>> {
        let doing = || format!("forget collection {collection}");
        write!(self, Lock::Structure, never, doing(), |conn| forget::collection(conn, collection))
    }
}
