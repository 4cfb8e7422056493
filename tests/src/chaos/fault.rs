//! The faults there are, and which of them may meet which stage.

use imagefleet_common::work::Stage;
use serde::{Deserialize, Serialize};

/// What a fault breaks. Of each there is one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Worker,
    Coordinator,
    Broker,
    Messages,
    Store,
    Index,
    Objects,
}

/// Where a fleet keeps what its tasks leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifacts {
    Bucket,
    /// On a disk of the workers, which can be full.
    Folder,
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $fault:ident($part:ident, $name:literal);)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Fault {
            $($(#[doc = $doc])* $fault,)*
        }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            pub fn part(self) -> Part {
                match self {
                    $(Self::$fault => Part::$part,)*
                }
            }

            /// For people.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    /// SIGKILL.
    KillWorker(Worker, "worker: SIGKILL");
    /// SIGSTOP for longer than a lease, or shorter, and SIGCONT.
    StopWorker(Worker, "worker: SIGSTOP, SIGCONT");
    /// SIGTERM.
    TermWorker(Worker, "worker: SIGTERM");
    /// The worker's files take no more bytes: artifacts cannot be written.
    FullDisk(Worker, "worker: disk full");
    /// The worker's wall clock is ten minutes ahead.
    WorkerAhead(Worker, "worker: clock +10 min");
    /// The worker's wall clock is ten minutes behind.
    WorkerBehind(Worker, "worker: clock −10 min");
    KillCoordinator(Coordinator, "coordinator: SIGKILL");
    StopCoordinator(Coordinator, "coordinator: SIGSTOP, SIGCONT");
    TermCoordinator(Coordinator, "coordinator: SIGTERM");
    CoordinatorAhead(Coordinator, "coordinator: clock +10 min");
    CoordinatorBehind(Coordinator, "coordinator: clock −10 min");
    /// The node dies and starts again.
    BrokerRestart(Broker, "RabbitMQ: killed, started again");
    QueuesPurged(Broker, "RabbitMQ: queues purged");
    QueuesDeleted(Broker, "RabbitMQ: queues deleted");
    BrokerCut(Broker, "RabbitMQ: connections cut");
    BrokerHalfOpen(Broker, "RabbitMQ: connections half-open");
    BrokerSlow(Broker, "RabbitMQ: connections slow");
    /// Each message that comes is published twice.
    Doubled(Messages, "messages doubled");
    /// Messages are held back and published in the opposite order.
    Reordered(Messages, "messages late and in another order");
    /// Messages are acknowledged and never seen by a worker.
    Dropped(Messages, "messages dropped");
    /// Immediate shutdown, which is a crash to whoever is connected, and a start.
    StoreRestart(Store, "PostgreSQL: restarted");
    StoreCut(Store, "PostgreSQL: connections cut");
    StoreHalfOpen(Store, "PostgreSQL: connections half-open");
    StoreSlow(Store, "PostgreSQL: connections slow");
    /// The server ends whoever is inside a transaction.
    TransactionsCut(Store, "PostgreSQL: cut inside transactions");
    /// Transactions are read-only, as on a server that was demoted.
    StoreReadOnly(Store, "PostgreSQL: read only");
    IndexErrors(Index, "Qdrant: calls refused");
    IndexStalls(Index, "Qdrant: no answer in time");
    /// Calls are done and their answers are lost.
    IndexLosesAnswers(Index, "Qdrant: answers lost");
    /// Upserts are confirmed and never done.
    IndexDropsBatches(Index, "Qdrant: batches confirmed and dropped");
    IndexCut(Index, "Qdrant: connections cut");
    IndexHalfOpen(Index, "Qdrant: connections half-open");
    ObjectsTruncated(Objects, "S3: bodies truncated");
    ObjectsBusy(Objects, "S3: 503");
    ObjectsSlow(Objects, "S3: connections slow");
    /// A shard's file is replaced by an equal one.
    ObjectsChanged(Objects, "S3: ETag changed");
    ObjectsMissing(Objects, "S3: objects missing");
    ObjectsWrong(Objects, "S3: wrong bytes");
    /// Requests are done and answered with 500.
    ObjectsLoseAnswers(Objects, "S3: answers lost");
    ObjectsCut(Objects, "S3: connections cut");
}

impl Fault {
    /// May it meet this stage? What it breaks is used there.
    pub fn fits(self, stage: Stage, artifacts: Artifacts) -> bool {
        match self {
            // Only embedding upserts.
            Self::IndexDropsBatches => stage == Stage::Embed,
            // Sources are listed and read while embedding, and to be shown at the end.
            Self::ObjectsChanged => stage == Stage::Embed,
            // A seal writes no artifact.
            Self::FullDisk => artifacts == Artifacts::Folder && stage != Stage::Seal,
            _ if self.part() == Part::Objects => {
                matches!(stage, Stage::Embed | Stage::Finalize)
                    || (artifacts == Artifacts::Bucket && stage != Stage::Seal)
            }
            _ => true,
        }
    }

    /// Milliseconds that it lasts, least and most.
    pub fn lasts(self) -> (u64, u64) {
        match self {
            // Until it is up again.
            Self::BrokerRestart | Self::StoreRestart => (0, 0),
            Self::QueuesPurged | Self::QueuesDeleted | Self::TransactionsCut | Self::ObjectsChanged => (0, 0),
            // How long the process stays away.
            Self::KillWorker | Self::TermWorker | Self::KillCoordinator | Self::TermCoordinator => (200, 2500),
            // A lease is 2 s.
            Self::StopWorker | Self::StopCoordinator => (500, 4000),
            Self::Doubled | Self::Reordered | Self::Dropped => (200, 1000),
            // A call has 3 s.
            Self::IndexStalls => (1000, 4000),
            Self::StoreReadOnly | Self::StoreSlow | Self::BrokerSlow => (500, 3000),
            _ => (300, 2000),
        }
    }
}
