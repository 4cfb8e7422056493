use crate::running::Running;
use imagefleet_adapters::objects::s3::{S3Objects, Settings};
use imagefleet_common::{
    conformance,
    ports::{
        layered::{Layered, Retry},
        objects::{Objects, list_all},
    },
};
use imagefleet_test_services::s3::{Call, Fault};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const RETRY: Retry = Retry { tries: 20, first_delay: Duration::from_micros(100), max_delay: Duration::from_millis(5) };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_is_an_object_store() {
    let server = Running::start().await;
    conformance::objects::all(async || Arc::new(server.objects().await) as Arc<dyn Objects>).await;
    assert_eq!(server.unfinished(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_prefix_of_a_bucket_is_an_object_store() {
    let server = Running::start().await;
    let settings = Settings { prefix: "some/ where+é%".to_owned(), ..server.settings() };
    conformance::objects::all(async || Arc::new(S3Objects::open(settings.clone()).await.unwrap()) as Arc<dyn Objects>)
        .await;
    let listed = list_all(&server.objects().await, "").await.unwrap();
    assert!(listed.iter().all(|object| object.path.starts_with("some/ where+é%/")), "nothing lies outside the prefix");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_bucket_of_the_environment_is_an_object_store() {
    let Ok(url) = std::env::var("IMAGEFLEET_TEST_S3_URL") else {
        eprintln!("did not run: IMAGEFLEET_TEST_S3_URL names no bucket; the in-process server was tested");
        return;
    };
    let mut settings = Settings::parse(&url).unwrap();
    settings.prefix = format!("{}/{}", settings.prefix, uuid::Uuid::now_v7()).trim_start_matches('/').to_owned();
    let open = async || Arc::new(S3Objects::open(settings.clone()).await.unwrap()) as Arc<dyn Objects>;
    conformance::objects::all(async || Arc::new(Layered::new(open().await, Retry::default())) as Arc<dyn Objects>)
        .await;
    let objects = open().await;
    for object in list_all(&*objects, "").await.unwrap() {
        objects.delete(&object.path).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_is_an_object_store_when_many_answers_go_wrong() {
    for seed in 1..=3 {
        let server = Running::start().await;
        let settings = Settings {
            header_timeout: Duration::from_millis(400),
            body_timeout: Duration::from_millis(400),
            ..server.settings()
        };
        let wrong = Arc::new(AtomicUsize::new(0));
        server.faults.set(wrong_answers(seed, Arc::clone(&wrong)));
        conformance::objects::all(async || {
            let objects: Arc<dyn Objects> = Arc::new(S3Objects::open(settings.clone()).await.unwrap());
            Arc::new(Layered::new(objects, RETRY)) as Arc<dyn Objects>
        })
        .await;
        let (calls, wrong) = (server.faults.take_calls().len(), wrong.load(Ordering::Relaxed));
        eprintln!("seed {seed}: {wrong} of {calls} answers went wrong");
        assert!(wrong > calls / 12, "most calls are puts, of which a tenth goes wrong");
    }
}

/// Those that cost a timeout are rare.
fn wrong_answers(seed: u64, count: Arc<AtomicUsize>) -> impl FnMut(&Call) -> Option<Fault> + Send + 'static {
    let mut random = StdRng::seed_from_u64(seed);
    let mut fault = move || match random.random_range(0..1_000) {
        0..60 => Some(Fault::SlowDown(None)),
        60..100 => Some(Fault::Lost),
        100..130 => Some(Fault::Cut(random.random_range(0..1_000))),
        130..160 => Some(Fault::Part(random.random_range(0..2))),
        160..180 => Some(Fault::Undeclared(-1)),
        180..198 => Some(Fault::Undeclared(1)),
        198 => Some(Fault::Stalled(0)),
        199 => Some(Fault::Silent),
        _ => None,
    };
    move |call| {
        let fault = fault()?;
        let of_a_body = matches!(fault, Fault::Cut(_) | Fault::Part(_) | Fault::Undeclared(_) | Fault::Stalled(_));
        if of_a_body && call.operation != "GetObject" {
            return None;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }
}
