//! The events of a run that a kill can fall between: every call that changes something outside the process.
//!
//! An event belongs to a stage: that of the claim which its tokio task was granted, or that its coordinator began. Before
//! either it is `list`, and what people see is written in `results`. Its number counts the calls of its method in its
//! stage, so that an event of one run can be found again in another.

use async_trait::async_trait;
use imagefleet_adapters::faults::{Moment, die};
use imagefleet_common::{
    Result,
    ids::JobId,
    ports::{
        jobs::Step,
        layered::{Effect, Layer, Op},
        tasks::Claim,
    },
};
use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    fmt,
    io::Write,
    str::FromStr,
    sync::{Arc, Mutex},
};
use tokio::task;

pub const STAGES: [&str; 7] = ["list", "embed", "seal", "retrieve", "rerank", "finalize", "results"];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    pub stage: String,
    /// Port and method.
    pub call: String,
    /// From 1.
    pub number: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.stage, self.call, self.number)
    }
}

/// A place in a run: before an event took effect or after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub moment: Moment,
    pub event: Event,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{moment} {}", self.event)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = |text: &str| {
            let mut words = text.split(' ');
            let moment = match words.next()? {
                "before" => Moment::Before,
                "after" => Moment::After,
                _ => return None,
            };
            let (stage, call) = (words.next()?.to_owned(), words.next()?.to_owned());
            let number = words.next()?.parse().ok()?;
            words.next().is_none().then_some(Self { moment, event: Event { stage, call, number } })
        };
        place(text).ok_or_else(|| format!("{text:?} is no place of a run"))
    }
}

/// Reports each place on standard output, a line each, and kills the process at one of them. Clones count together.
#[derive(Clone)]
pub struct Events {
    kill: Option<Arc<Place>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What each tokio task works for.
    stages: HashMap<task::Id, &'static str>,
    calls: BTreeMap<(&'static str, Op), u64>,
}

impl Events {
    pub fn new(kill: Option<Place>) -> Self {
        Self { kill: kill.map(Arc::new), seen: Arc::default() }
    }

    fn event(&self, op: Op) -> Event {
        let mut seen = self.seen.lock().unwrap();
        let stage = match op.port {
            "files" => "results",
            _ => task::try_id().and_then(|task| seen.stages.get(&task).copied()).unwrap_or("list"),
        };
        let number = seen.calls.entry((stage, op)).or_default();
        *number += 1;
        Event { stage: stage.to_owned(), call: format!("{}.{}", op.port, op.method), number: *number }
    }

    /// Says that the run has come to a place, and dies where it is the one.
    fn reach(&self, moment: Moment, event: &Event) {
        let place = Place { moment, event: event.clone() };
        // Past the test harness, which would keep what is printed.
        let mut out = std::io::stdout().lock();
        writeln!(out, "{place}").unwrap();
        if self.kill.as_deref() == Some(&place) {
            die();
        }
    }
}

/// Does the call change something? `None`: only its answer says so.
fn changes(op: Op) -> Option<bool> {
    match (op.port, op.method) {
        ("tasks", "claim") | ("jobs", "advance") => None,
        ("tasks", "open_session" | "mark" | "published" | "succeed") => Some(true),
        ("jobs", "submit" | "plan") => Some(true),
        ("index", "ensure" | "put" | "delete" | "seal") => Some(true),
        ("files" | "artifacts", "put" | "delete") => Some(true),
        _ => Some(false),
    }
}

/// The stage that an answer puts its caller to work for.
fn stage_of(answer: &dyn Any) -> Option<&'static str> {
    if let Some(Claim::Granted(claimed)) = answer.downcast_ref() {
        return Some(claimed.work.kind().name());
    }
    let steps: &Vec<(JobId, Step)> = answer.downcast_ref()?;
    steps.iter().rev().find_map(|(_, step)| match step {
        Step::Began(stage) => Some(stage.name()),
        Step::Succeeded => Some("finalize"),
        _ => None,
    })
}

#[async_trait]
impl Layer for Events {
    async fn call<'a, T: Any + Send>(
        &'a self,
        op: Op,
        effect: &'a (dyn Fn() -> Effect<'a, T> + Send + Sync),
    ) -> Result<T> {
        match changes(op) {
            Some(false) => effect().await,
            Some(true) => {
                let event = self.event(op);
                self.reach(Moment::Before, &event);
                let answer = effect().await?;
                self.reach(Moment::After, &event);
                Ok(answer)
            }
            None => {
                let answer = effect().await?;
                if let Some(stage) = stage_of(&answer) {
                    if let Some(task) = task::try_id() {
                        self.seen.lock().unwrap().stages.insert(task, stage);
                    }
                    self.reach(Moment::After, &self.event(op));
                }
                Ok(answer)
            }
        }
    }
}
