//! The heart: what may happen to a task, as one pure function.
//!
//! Every store calls [`Task::after`] inside the transaction that reads and writes the row, so that a laptop and
//! a fleet cannot disagree. "Holder" is the pair (attempt, session) that a claim returned: an event that names
//! another holder is stale and changes nothing.
//!
//! | from | event | if | to |
//! |---|---|---|---|
//! | pending | `StageBegun` | | ready |
//! | ready | `Claimed` | its attempt = the message's, `run_after` ≤ now | running, attempt + 1 |
//! | running | `Claimed` | the same claim asked again by the session that holds it | running, unchanged |
//! | ready | `Deferred` | its attempt = the message's | ready, later |
//! | running | `Succeeded` | holder | succeeded |
//! | running | `Superseded` | holder | superseded |
//! | running | `Failed` | holder, transient, failures + 1 < limit | ready after back-off, failures + 1 |
//! | running | `Failed` | holder, permanent or the last failure | dead |
//! | running | `HandedBack` | holder | ready |
//! | running | `SessionLost` | its session, crashes + 1 < limit | ready, crashes + 1 |
//! | running | `SessionLost` | its session, the last crash | dead |
//! | running | `SessionEnded` | its session | ready |
//! | any but running | `CrashTakenBack` | crashes > 0 | unchanged but crashes − 1 |
//! | pending, ready | `Unneeded` | | cancelled |
//! | succeeded, dead, cancelled | `Reopened` | | ready, failures and crashes forgotten |
//! | any | `Rewound` | | pending, failures and crashes forgotten |
//!
//! All else is refused. `attempt` only grows; a hand-back or a refusal counts neither as failure nor as crash.

use crate::ids::{Millis, SessionId};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its stage has not begun.
    Pending,
    /// May be published and claimed.
    Ready,
    /// A session holds it.
    Running,
    Succeeded,
    /// What it was to read is no longer there in this form; other tasks took over.
    Superseded,
    /// Given up; a person decides.
    Dead,
    /// Nobody needs it any more.
    Cancelled,
}

impl State {
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Ready, Self::Running, Self::Succeeded, Self::Superseded, Self::Dead, Self::Cancelled];

    /// May something still happen to it without a person's doing?
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Ready | Self::Running)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The part of a task's row that this machine owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub state: State,
    /// Claims granted so far.
    pub attempt: u32,
    /// Attempts that failed since the task was last opened.
    pub failures: u32,
    /// Attempts whose session was lost since the task was last opened. From [`ALONE_AFTER`] on it runs alone.
    pub crashes: u32,
    /// Not to be claimed before this time.
    pub run_after: Millis,
    /// Who runs it.
    pub session: Option<SessionId>,
    /// The claim that was granted, so that a claim whose answer was lost can be asked again.
    pub claim: Option<Uuid>,
}

/// Who may write: the attempt and the session that a claim returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    pub attempt: u32,
    pub session: SessionId,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    StageBegun,
    Claimed {
        /// The attempt that the message carries.
        attempt: u32,
        session: SessionId,
        claim: Uuid,
        now: Millis,
    },
    Deferred {
        attempt: u32,
        until: Millis,
    },
    Succeeded {
        holder: Holder,
    },
    Superseded {
        holder: Holder,
    },
    Failed {
        holder: Holder,
        permanent: bool,
        retry_after: Option<Duration>,
        now: Millis,
        /// In [0, 1): spreads retries.
        jitter: f64,
    },
    HandedBack {
        holder: Holder,
        until: Millis,
    },
    SessionLost {
        session: SessionId,
    },
    SessionEnded {
        session: SessionId,
    },
    CrashTakenBack,
    Unneeded,
    Reopened {
        now: Millis,
    },
    Rewound,
}

/// Why an event changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The message or the holder belongs to another attempt, or the task has ended: acknowledge, touch nothing.
    NotThisAttempt,
    /// It may be claimed later.
    NotNow,
    /// The event has no meaning in this state.
    NotInThisState,
}

/// However long the other side asks for.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Crashes after which a task runs with nothing else in its process, so that what kills it is found.
pub const ALONE_AFTER: u32 = 2;

/// How often a task may fail and how long it rests after each failure.
#[derive(Debug, Clone, Copy)]
pub struct RetryRules {
    pub max_failures: u32,
    /// Deaths of the process that runs it. Two find a picture that kills it, and are spent on each such picture.
    pub max_crashes: u32,
    pub first_delay: Duration,
    pub max_delay: Duration,
}

impl Default for RetryRules {
    /// Five failures, twenty crashes; 2ⁿ s up to five minutes.
    fn default() -> Self {
        Self {
            max_failures: 5,
            max_crashes: 20,
            first_delay: Duration::from_secs(2),
            max_delay: Duration::from_secs(300),
        }
    }
}

impl RetryRules {
    /// The rest after the `failures`-th failure (from 1): doubling, capped, the upper half of it jittered.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.first_delay.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.max_delay).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

impl Task {
    /// A task that was just spawned.
    pub fn new(state: State, now: Millis) -> Self {
        Self { state, attempt: 0, failures: 0, crashes: 0, run_after: now, session: None, claim: None }
    }

    pub fn is_held_by(&self, holder: Holder) -> bool {
        self.state == State::Running && self.attempt == holder.attempt && self.session == Some(holder.session)
    }

    /// The task after `event`, or why the event changes nothing. See the table above.
    pub fn after(&self, event: &Event, rules: &RetryRules) -> Result<Self, Refusal> {
        match *event {
            Event::StageBegun => self.from(&[State::Pending])?.to(State::Ready),
            Event::Claimed { attempt, session, claim, now } => self.claimed(attempt, session, claim, now),
            Event::Deferred { attempt, until } => {
                if self.state != State::Ready || self.attempt != attempt {
                    return Err(Refusal::NotThisAttempt);
                }
                Ok(Self { run_after: self.run_after.max(until), ..self.clone() })
            }
            Event::Succeeded { holder } => self.held(holder)?.to(State::Succeeded),
            Event::Superseded { holder } => self.held(holder)?.to(State::Superseded),
            Event::Failed { holder, permanent, retry_after, now, jitter } => {
                let failures = self.held(holder)?.failures + 1;
                if permanent || failures >= rules.max_failures {
                    return Self { failures, ..self.clone() }.to(State::Dead);
                }
                let rest = rules.delay(failures, jitter).max(retry_after.unwrap_or_default().min(LONGEST_REST));
                Self { failures, run_after: now + rest.as_millis() as Millis, ..self.clone() }.to(State::Ready)
            }
            Event::HandedBack { holder, until } => {
                let run_after = self.held(holder)?.run_after.max(until);
                Self { run_after, ..self.clone() }.to(State::Ready)
            }
            Event::SessionLost { session } => {
                let crashes = self.held_in(session)?.crashes + 1;
                let next = if crashes >= rules.max_crashes { State::Dead } else { State::Ready };
                Self { crashes, ..self.clone() }.to(next)
            }
            Event::SessionEnded { session } => self.held_in(session)?.to(State::Ready),
            Event::CrashTakenBack => match (self.state, self.crashes) {
                (State::Running, _) | (_, 0) => Err(Refusal::NotInThisState),
                (_, crashes) => Ok(Self { crashes: crashes - 1, ..self.clone() }),
            },
            Event::Unneeded => self.from(&[State::Pending, State::Ready])?.to(State::Cancelled),
            Event::Reopened { now } => {
                self.from(&[State::Succeeded, State::Dead, State::Cancelled])?;
                Ok(Self { attempt: self.attempt, ..Self::new(State::Ready, now) })
            }
            Event::Rewound => {
                Ok(Self { attempt: self.attempt, run_after: self.run_after, ..Self::new(State::Pending, 0) })
            }
        }
    }

    fn claimed(&self, attempt: u32, session: SessionId, claim: Uuid, now: Millis) -> Result<Self, Refusal> {
        let holder = Holder { attempt: attempt + 1, session };
        if self.is_held_by(holder) && self.claim == Some(claim) {
            return Ok(self.clone());
        }
        if self.state != State::Ready || self.attempt != attempt {
            return Err(Refusal::NotThisAttempt);
        }
        if self.run_after > now {
            return Err(Refusal::NotNow);
        }
        Ok(Self {
            state: State::Running,
            attempt: attempt + 1,
            session: Some(session),
            claim: Some(claim),
            ..self.clone()
        })
    }

    fn from(&self, states: &[State]) -> Result<&Self, Refusal> {
        if states.contains(&self.state) { Ok(self) } else { Err(Refusal::NotInThisState) }
    }

    fn held(&self, holder: Holder) -> Result<&Self, Refusal> {
        if self.is_held_by(holder) { Ok(self) } else { Err(Refusal::NotThisAttempt) }
    }

    fn held_in(&self, session: SessionId) -> Result<&Self, Refusal> {
        let held = self.state == State::Running && self.session == Some(session);
        if held { Ok(self) } else { Err(Refusal::NotThisAttempt) }
    }

    /// In another state, held by nobody.
    fn to(&self, state: State) -> Result<Self, Refusal> {
        Ok(Self { state, session: None, claim: None, ..self.clone() })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const NOW: Millis = 1_000_000;

    fn rules() -> RetryRules {
        RetryRules::default()
    }

    fn in_state(state: State, session: SessionId) -> Task {
        let running = state == State::Running;
        Task {
            state,
            attempt: 3,
            failures: 1,
            crashes: 1,
            run_after: NOW,
            session: running.then_some(session),
            claim: running.then(Uuid::now_v7),
        }
    }

    /// Every event that a living holder of attempt 3 or a message of attempt 3 can cause.
    fn events(session: SessionId) -> Vec<(Event, &'static [State])> {
        use State::{Cancelled, Dead, Pending, Ready, Running, Succeeded};
        let holder = Holder { attempt: 3, session };
        vec![
            (Event::StageBegun, &[Pending]),
            (Event::Claimed { attempt: 3, session, claim: Uuid::now_v7(), now: NOW }, &[Ready]),
            (Event::Deferred { attempt: 3, until: NOW + 1 }, &[Ready]),
            (Event::Succeeded { holder }, &[Running]),
            (Event::Superseded { holder }, &[Running]),
            (Event::Failed { holder, permanent: false, retry_after: None, now: NOW, jitter: 0.5 }, &[Running]),
            (Event::HandedBack { holder, until: NOW }, &[Running]),
            (Event::SessionLost { session }, &[Running]),
            (Event::SessionEnded { session }, &[Running]),
            (Event::CrashTakenBack, &[Pending, Ready, Succeeded, State::Superseded, Dead, Cancelled]),
            (Event::Unneeded, &[Pending, Ready]),
            (Event::Reopened { now: NOW }, &[Succeeded, Dead, Cancelled]),
            (Event::Rewound, &State::ALL),
        ]
    }

    #[test]
    fn an_event_is_accepted_in_exactly_the_states_of_the_table() {
        let session = SessionId::random();
        for (event, allowed) in events(session) {
            for state in State::ALL {
                let accepted = in_state(state, session).after(&event, &rules()).is_ok();
                assert_eq!(accepted, allowed.contains(&state), "{event:?} in {state}");
            }
        }
    }

    #[test]
    fn a_holder_of_another_attempt_or_session_changes_nothing() {
        let session = SessionId::random();
        let task = in_state(State::Running, session);
        let stale = [
            Holder { attempt: 2, session },
            Holder { attempt: 4, session },
            Holder { attempt: 3, session: SessionId::random() },
        ];
        for holder in stale {
            for event in [
                Event::Succeeded { holder },
                Event::Superseded { holder },
                Event::HandedBack { holder, until: 0 },
                Event::Failed { holder, permanent: true, retry_after: None, now: NOW, jitter: 0.0 },
            ] {
                assert_eq!(task.after(&event, &rules()), Err(Refusal::NotThisAttempt), "{event:?}");
            }
        }
    }

    #[test]
    fn attempts_only_grow_and_only_by_claims() {
        let session = SessionId::random();
        for (event, _) in events(session) {
            for state in State::ALL {
                if let Ok(after) = in_state(state, session).after(&event, &rules()) {
                    let grown = u32::from(matches!(event, Event::Claimed { .. }));
                    assert_eq!(after.attempt, 3 + grown, "{event:?} in {state}");
                }
            }
        }
    }

    #[test]
    fn only_a_running_task_has_a_holder() {
        let session = SessionId::random();
        for (event, _) in events(session) {
            for state in State::ALL {
                if let Ok(after) = in_state(state, session).after(&event, &rules()) {
                    assert_eq!(after.session.is_some(), after.state == State::Running, "{event:?} in {state}");
                }
            }
        }
    }

    #[test]
    fn a_claim_whose_answer_was_lost_is_granted_again_to_the_same_claim_only() {
        let session = SessionId::random();
        let ready = Task::new(State::Ready, NOW);
        let claim = Uuid::now_v7();
        let ask = |claim, session| Event::Claimed { attempt: 0, session, claim, now: NOW };
        let running = ready.after(&ask(claim, session), &rules()).unwrap();
        assert_eq!(running.after(&ask(claim, session), &rules()), Ok(running.clone()));
        assert_eq!(running.after(&ask(Uuid::now_v7(), session), &rules()), Err(Refusal::NotThisAttempt));
        assert_eq!(running.after(&ask(claim, SessionId::random()), &rules()), Err(Refusal::NotThisAttempt));
    }

    #[test]
    fn a_claim_before_its_time_is_refused_for_now() {
        let task = Task::new(State::Ready, NOW);
        let early = Event::Claimed { attempt: 0, session: SessionId::random(), claim: Uuid::now_v7(), now: NOW - 1 };
        assert_eq!(task.after(&early, &rules()), Err(Refusal::NotNow));
    }

    #[test]
    fn a_message_of_another_attempt_puts_nothing_off() {
        let task = Task::new(State::Ready, NOW);
        let put_off = |attempt| task.after(&Event::Deferred { attempt, until: NOW + 1 }, &rules());
        assert_eq!(put_off(1), Err(Refusal::NotThisAttempt));
        assert_eq!(put_off(0).map(|task| task.run_after), Ok(NOW + 1));
    }

    #[test]
    fn the_fifth_failure_and_a_permanent_one_are_deadly() {
        let session = SessionId::random();
        let mut task = Task::new(State::Ready, NOW);
        let mut now = NOW;
        for failure in 1..=5 {
            let claim = Event::Claimed { attempt: task.attempt, session, claim: Uuid::now_v7(), now };
            task = task.after(&claim, &rules()).unwrap();
            let holder = Holder { attempt: task.attempt, session };
            let failed = |permanent| Event::Failed { holder, permanent, retry_after: None, now, jitter: 1.0 };
            assert_eq!(task.after(&failed(true), &rules()).unwrap().state, State::Dead);
            task = task.after(&failed(false), &rules()).unwrap();
            assert_eq!(task.state, if failure == 5 { State::Dead } else { State::Ready });
            if failure < 5 {
                assert_eq!(task.run_after - now, 1000 << failure);
            }
            now = task.run_after;
        }
    }

    #[test]
    fn the_last_crash_is_deadly() {
        let session = SessionId::random();
        let lost = Event::SessionLost { session };
        let after = |crashes| Task { crashes, ..in_state(State::Running, session) }.after(&lost, &rules()).unwrap();
        assert_eq!((after(18).state, after(18).crashes), (State::Ready, 19));
        assert_eq!((after(19).state, after(19).crashes), (State::Dead, 20));
    }

    #[test]
    fn a_retry_waits_as_long_as_the_other_side_asked_but_no_longer_than_an_hour() {
        let session = SessionId::random();
        let task = in_state(State::Running, session);
        let holder = Holder { attempt: 3, session };
        for (asked, waits) in [(100, 100), (100_000, 3600)] {
            let retry_after = Some(Duration::from_secs(asked));
            let failed = Event::Failed { holder, permanent: false, retry_after, now: NOW, jitter: 0.0 };
            assert_eq!(task.after(&failed, &rules()).unwrap().run_after, NOW + 1000 * waits);
        }
    }
}
