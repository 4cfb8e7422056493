//! An S3 server and a server of Qdrant's protocol in this process, which misbehave when they are told to.

use super::fault::Fault;
use imagefleet_test_services::{
    qdrant::{self, Call, Verdict},
    s3,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tonic::Status;

/// Of the calls that a fault may concern, so many meet it.
const SHARE: f64 = 0.6;

pub struct Servers {
    pub index: SocketAddr,
    pub objects: SocketAddr,
    state: Arc<State>,
}

struct State {
    index: Mutex<Option<Fault>>,
    objects: Mutex<Option<Fault>>,
    rng: Mutex<StdRng>,
    /// Milliseconds that every call of the index takes.
    pace: AtomicU64,
    /// Calls that met the index's fault, and the objects'.
    met: [AtomicU32; 2],
    /// Objects of which wrong bytes were given since the fault began.
    damaged: Mutex<HashSet<String>>,
}

impl State {
    fn chance(&self, share: f64) -> bool {
        self.rng.lock().unwrap().random_bool(share)
    }

    fn index_fault(&self) -> Option<Fault> {
        *self.index.lock().unwrap()
    }
}

impl Servers {
    /// Objects lie below `root`.
    pub async fn start(root: PathBuf, seed: u64) -> Self {
        let state = Arc::new(State {
            index: Mutex::default(),
            objects: Mutex::default(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            pace: AtomicU64::new(0),
            met: Default::default(),
            damaged: Mutex::default(),
        });
        let (objects, index) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let addresses = (objects.local_addr().unwrap(), index.local_addr().unwrap());
        let faults = s3::Faults::default();
        faults.set({
            let state = Arc::clone(&state);
            move |call| objects_fault(&state, call)
        });
        let store = qdrant::Store::in_memory();
        store.set_hook(Some(Box::new({
            let state = Arc::clone(&state);
            move |call| Box::pin(index_verdict(Arc::clone(&state), call))
        })));
        tokio::spawn(s3::Server::new(root).faults(faults).serve(objects));
        tokio::spawn(qdrant::serve(index, store, qdrant::Settings::default()));
        Self { objects: addresses.0, index: addresses.1, state }
    }

    /// How long every call of the index takes from now on.
    pub fn set_pace(&self, pace: Duration) {
        self.state.pace.store(pace.as_millis() as u64, Ordering::Relaxed);
    }

    /// From now on the index has this fault, or none.
    pub fn set_index(&self, fault: Option<Fault>) {
        *self.state.index.lock().unwrap() = fault;
    }

    /// From now on the objects have this fault, or none.
    pub fn set_objects(&self, fault: Option<Fault>) {
        *self.state.objects.lock().unwrap() = fault;
        self.state.damaged.lock().unwrap().clear();
    }

    /// Calls that met a fault of the index so far, and of the objects.
    pub fn met(&self) -> [u32; 2] {
        [0, 1].map(|which| self.state.met[which].load(Ordering::Relaxed))
    }
}

async fn index_verdict(state: Arc<State>, call: Call) -> Verdict {
    tokio::time::sleep(Duration::from_millis(state.pace.load(Ordering::Relaxed))).await;
    let Some(fault) = state.index_fault() else { return Verdict::Go };
    if !state.chance(SHARE) {
        return Verdict::Go;
    }
    let verdict = match fault {
        Fault::IndexErrors => {
            let why = "the fault campaign refuses it";
            Verdict::Refuse(match state.chance(0.5) {
                true => Status::unavailable(why),
                false => Status::internal(why),
            })
        }
        Fault::IndexLosesAnswers => Verdict::LoseAnswer(Status::unavailable("the fault campaign lost the answer")),
        Fault::IndexDropsBatches if call.method == "upsert" => Verdict::Drop,
        Fault::IndexStalls => Verdict::Go,
        _ => return Verdict::Go,
    };
    state.met[0].fetch_add(1, Ordering::Relaxed);
    while fault == Fault::IndexStalls && state.index_fault() == Some(fault) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    verdict
}

fn objects_fault(state: &State, call: &s3::Call) -> Option<s3::Fault> {
    let fault = (*state.objects.lock().unwrap())?;
    let reads = call.operation == "GetObject";
    if !state.chance(SHARE) {
        return None;
    }
    let met = match fault {
        Fault::ObjectsTruncated if reads && state.chance(0.5) => s3::Fault::Cut(7),
        Fault::ObjectsTruncated if reads => s3::Fault::Part(7),
        Fault::ObjectsBusy => s3::Fault::SlowDown(None),
        // A HEAD of metadata that is not there says that a shard has none.
        Fault::ObjectsMissing if reads => s3::Fault::Refused(404, "NoSuchKey", None),
        // Of each object once: damage that is the same at every read lies in the object.
        Fault::ObjectsWrong if reads && state.damaged.lock().unwrap().insert(call.key.clone()) => s3::Fault::Flipped,
        Fault::ObjectsLoseAnswers => s3::Fault::Lost,
        _ => return None,
    };
    state.met[1].fetch_add(1, Ordering::Relaxed);
    Some(met)
}
