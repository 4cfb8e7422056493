//! Everything at once: publishers, workers, reapers and people work on two jobs over one corpus, and whatever the order,
//! nothing is lost, nothing is stuck and nothing counts twice.
#![expect(clippy::unwrap_used, reason = "a suite may panic")]

use crate::{
    conformance::seed::{HOUR, Lab, Store, cut, embedded, failure, job, listing, open_session},
    ids::{SessionId, TaskId},
    ports::{
        broker::Message,
        jobs::{Control, How, JobState, NewJob, Plan},
        tasks::{Claim, Claimed, NewSession, Outcome, Written},
    },
    task::State,
    work::{Kind, Work},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use uuid::Uuid;

const SHARDS: [&str; 5] = ["a.zip", "b.zip", "c.zip", "d.zip", "e.zip"];
const CHUNKS: i64 = 3;
const TURNS: usize = 60;

/// What actors saw: grants and successes, by task and attempt.
#[derive(Default)]
struct Seen {
    granted: HashSet<(TaskId, u32)>,
    /// The artifact of each success that was written.
    succeeded: HashMap<(TaskId, u32), String>,
}

struct Actor {
    store: Arc<dyn Store>,
    jobs: [NewJob; 2],
    seen: Arc<Mutex<Seen>>,
    session: SessionId,
    random: StdRng,
}

pub async fn whatever_happens_at_once_nothing_is_lost_or_stuck_or_counted_twice(lab: &Lab) {
    for seed in 0..3 {
        storm(lab, seed).await;
    }
}

async fn storm(lab: &Lab, seed: u64) {
    let corpus = format!("storm-{seed}");
    let jobs = ["bound", "free"].map(|name| job(&format!("{name} {seed}")).over(&corpus));
    let jobs = [NewJob { max_tasks: 4, ..jobs[0].clone() }, jobs[1].clone()];
    for job in &jobs {
        lab.start(job, &SHARDS).await;
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut actors = Vec::new();
    for number in 0..8 {
        let (store, jobs, seen) = (Arc::clone(&lab.store), jobs.clone(), Arc::clone(&seen));
        let session = open_session(&store, HOUR).await;
        let random = StdRng::seed_from_u64(seed * 8 + number);
        let actor = Actor { store, jobs, seen, session, random };
        actors.push(tokio::spawn(actor.act()));
    }
    let mut calm = None;
    for actor in actors {
        calm = Some(actor.await.unwrap());
    }
    let mut calm = calm.unwrap();
    calm.finish().await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    for job in &jobs {
        check(lab, job, &seen).await;
    }
}

impl Actor {
    async fn act(mut self) -> Self {
        for _ in 0..TURNS {
            match self.random.random_range(0..100) {
                0..70 => self.work().await,
                70..80 => drop(self.store.advance().await.unwrap()),
                80..85 => self.change_session().await,
                85..88 => drop(self.store.beat(self.session).await.unwrap()),
                88..91 => self.lose_a_session().await,
                91..93 => self.control(Control::Cancel).await,
                93..95 => self.control(Control::Pause).await,
                95..97 => self.control(Control::Resume).await,
                _ => self.submit_again().await,
            }
        }
        self.store.close_session(self.session).await.unwrap();
        self
    }

    fn some_job(&mut self) -> NewJob {
        self.jobs[self.random.random_range(0..2)].clone()
    }

    async fn control(&mut self, control: Control) {
        let job = self.some_job();
        self.store.control(job.id, control).await.unwrap();
    }

    async fn submit_again(&mut self) {
        let job = self.some_job();
        let submitted = self.store.submit(&job).await.unwrap();
        // As a coordinator does, whose plan may also come much later or twice.
        if submitted.how != How::Active || self.random.random_bool(0.5) {
            let plan = Plan { shards: SHARDS.map(str::to_owned).to_vec() };
            self.store.plan(job.id, &plan).await.unwrap();
        }
    }

    /// The process lives on and names its old session, or ends in good order.
    async fn change_session(&mut self) {
        let old = self.session;
        let replaces = self.random.random_bool(0.5).then_some(old);
        if replaces.is_none() {
            self.store.close_session(old).await.unwrap();
        }
        self.session = SessionId::random();
        let session = NewSession { id: self.session, worker: "a worker".into(), slots: 2, lease: HOUR, replaces };
        self.store.open_session(&session).await.unwrap();
    }

    /// Another process claims something and dies.
    async fn lose_a_session(&mut self) {
        let dying = open_session(&self.store, Duration::ZERO).await;
        for message in self.published().await {
            self.claim(message, dying).await;
        }
        self.store.reap().await.unwrap();
    }

    async fn published(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for load in self.store.queues(Duration::ZERO, 10).await.unwrap() {
            let (token, count) = (Uuid::now_v7(), self.random.random_range(1..4));
            // Every message may come twice: what was published goes again at once.
            messages.extend(self.store.mark(&load.queue, count, token, Duration::ZERO).await.unwrap());
            if self.random.random_bool(0.8) {
                self.store.published(token).await.unwrap();
            }
        }
        messages
    }

    async fn work(&mut self) {
        for message in self.published().await {
            if let Some(claimed) = self.claim(message, self.session).await {
                self.end(claimed).await;
            }
        }
    }

    async fn claim(&self, message: Message, session: SessionId) -> Option<Claimed> {
        let Claim::Granted(claimed) = self.store.claim(&message, session, Uuid::now_v7()).await.unwrap() else {
            return None;
        };
        let attempt = claimed.holding.holder.attempt;
        assert!(self.seen.lock().unwrap().granted.insert((message.task, attempt)), "{message:?} was granted twice");
        Some(claimed)
    }

    async fn end(&mut self, claimed: Claimed) {
        let holding = claimed.holding;
        let written = match self.random.random_range(0..100) {
            0..5 => self.store.hand_back(holding, Duration::ZERO, None).await,
            5..12 => self.store.fail(holding, &failure(false)).await,
            // Held until its session ends.
            12..15 => return,
            15..20 if claimed.work.kind() == Kind::Embed => {
                self.store.succeed(holding, &Outcome::Superseded { detail: "it has changed".into() }).await
            }
            _ => return self.succeed(claimed).await,
        };
        // Stale where its session was lost or its job is gone.
        let (Written::Done | Written::Stale) = written.unwrap();
    }

    async fn succeed(&mut self, claimed: Claimed) {
        let holding = claimed.holding;
        let artifact = format!("{}/{}", holding.task, holding.holder.attempt);
        let outcome = match claimed.work {
            Work::List { .. } => {
                let tag = self.random.random_range(0..2);
                Outcome::Listed(listing(&format!("etag {tag}"), (0..CHUNKS).map(cut).collect()))
            }
            Work::Embed { .. } => Outcome::Embedded(embedded(&artifact, &[])),
            _ => Outcome::Finished { artifact: Some(artifact.clone()) },
        };
        if self.store.succeed(holding, &outcome).await.unwrap() == Written::Done {
            self.seen.lock().unwrap().succeeded.insert((holding.task, holding.holder.attempt), artifact);
        }
    }

    /// Nothing more goes wrong: both jobs, submitted once more, succeed within a bounded number of turns.
    async fn finish(&mut self) {
        let jobs = self.jobs.clone();
        for _ in 0..200 {
            let mut ended = 0;
            for job in &jobs {
                match self.store.job(job.id).await.unwrap().unwrap() {
                    view if view.state == JobState::Succeeded => ended += 1,
                    view if view.state == JobState::Blocked => {
                        self.store.control(job.id, Control::RetryDead).await.unwrap();
                    }
                    view if matches!(view.state, JobState::Cancelled | JobState::Submitted) => {
                        self.store.submit(job).await.unwrap();
                        let plan = Plan { shards: SHARDS.map(str::to_owned).to_vec() };
                        self.store.plan(job.id, &plan).await.unwrap();
                    }
                    view if view.paused => self.store.control(job.id, Control::Resume).await.unwrap(),
                    _ => {}
                }
            }
            if ended == jobs.len() {
                return;
            }
            // Whoever held something is gone.
            self.change_session().await;
            self.store.reap().await.unwrap();
            let messages = self.published().await;
            if messages.is_empty() {
                // What was refused while its job was paused rests for a second.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            for message in messages {
                if let Some(claimed) = self.claim(message, self.session).await {
                    self.succeed(claimed).await;
                }
            }
            self.store.advance().await.unwrap();
        }
        let mut left = Vec::new();
        for job in &jobs {
            let open = self.store.tasks(job.id).await.unwrap().into_iter().filter(|task| task.state.is_open());
            left.push((self.store.job(job.id).await.unwrap().map(|view| view.state), open.collect::<Vec<_>>()));
        }
        panic!("a job is stuck: {left:#?}");
    }
}

/// Every chunk of the corpus is in the ledger once, as the attempt that won has written it.
async fn check(lab: &Lab, job: &NewJob, seen: &Seen) {
    let ledger = lab.ledger(job).await;
    assert_eq!(ledger.len(), SHARDS.len() * usize::try_from(CHUNKS).unwrap());
    for shard in 1..=5 {
        let version = lab.shard(job, shard).await.version;
        assert_eq!(
            lab.chunks(job, shard).await.iter().map(|chunk| (chunk.0, chunk.1 <= version)).collect::<Vec<_>>(),
            (0..CHUNKS).map(|chunk| (chunk, true)).collect::<Vec<_>>()
        );
    }
    let mut epochs = HashSet::new();
    for chunk in &ledger {
        assert_eq!(chunk.state, State::Succeeded, "{chunk:?}");
        let artifact = chunk.artifact.as_ref().unwrap();
        assert!(seen.succeeded.values().any(|written| written == artifact), "nobody wrote {artifact}");
        assert!(epochs.insert(chunk.epoch), "two chunks have the epoch {}", chunk.epoch);
    }
    for task in lab.store.tasks(job.id).await.unwrap() {
        assert!(!task.state.is_open(), "{task:?} is open in a job that has ended");
    }
}
