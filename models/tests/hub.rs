//! Pulling models from a hub that is sometimes slow, wrong, forbidding or not there, and finding them again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;
mod hub_server;

use fixture::{Fixture, distance};
use hub_server::{Fault, Hub, MODEL, etag};
use imagefleet_common::Error;
use imagefleet_models::{
    Device, check,
    checkpoint::Family,
    hub::{HubConfig, ModelName, Progress, list, pull, resolve},
    load, revision,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

/// A hub with a model, and an empty cache.
struct Setting {
    fixture: Fixture,
    hub: Hub,
    cache: TempDir,
}

impl Setting {
    fn new(fixture: &str) -> Self {
        let fixture = Fixture::open(fixture);
        Self { hub: Hub::of(&fixture.dir), cache: tempfile::tempdir().unwrap(), fixture }
    }

    fn config(&self) -> HubConfig {
        HubConfig {
            cache: self.cache.path().to_owned(),
            endpoint: self.hub.address.clone(),
            token: Some("hf_secret".to_owned()),
            offline: false,
            certificates: None,
            longest_silence: Duration::from_secs(20),
            first_pause: Duration::from_millis(1),
        }
    }

    fn pull(&self) -> Result<PathBuf, Error> {
        pull(&name(), &self.config(), &mut |_| {})
    }

    /// Of the model in the cache.
    fn path(&self, path: &str) -> PathBuf {
        self.cache.path().join("models--someone--clip-tiny").join(path)
    }

    fn blob(&self, file: &str) -> PathBuf {
        let hash = etag(file, &self.hub.state().files[file]);
        self.path("blobs").join(hash)
    }
}

fn name() -> ModelName {
    ModelName::parse(MODEL).unwrap()
}

fn assert_names(error: &Error, names: &[&str]) {
    let text = error.to_string();
    assert!(names.iter().all(|name| text.contains(name)), "{names:?} in: {text}");
}

fn size(file: &Path) -> u64 {
    file.metadata().unwrap().len()
}

#[test]
fn a_pulled_model_makes_the_reference_vectors_and_is_laid_out_as_python_does_it() {
    let setting = Setting::new("clip-tiny");
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let mut progress = |at: Progress| seen.push((at.done, at.total));
    let folder = pull(&name(), &setting.config(), &mut progress).unwrap();

    let vectors = load(&folder, Device::Cpu).unwrap().encode_texts(&setting.fixture.titles).unwrap();
    assert!(distance(&vectors.values, &setting.fixture.floats("text")) <= 1e-5);
    assert_eq!(revision(&folder).unwrap(), revision(&setting.fixture.dir).unwrap());

    let commit = "a".repeat(40);
    assert_eq!(folder, setting.path("snapshots").join(&commit));
    assert_eq!(fs::read_to_string(setting.path("refs/main")).unwrap(), commit);
    let link = fs::read_link(folder.join(WEIGHTS)).unwrap();
    assert_eq!(
        setting.path("snapshots/x").join(&link),
        setting.path("snapshots/x/../../blobs").join(link.file_name().unwrap())
    );
    assert!(setting.blob(WEIGHTS).is_file() && setting.blob("config.json").is_file());
    assert!(!folder.join("README.md").exists(), "nothing is fetched that nobody reads");

    let fetched: u64 = fs::read_dir(setting.path("blobs")).unwrap().map(|blob| size(&blob.unwrap().path())).sum();
    assert_eq!(seen.last(), Some(&(fetched, fetched)));
    assert!(seen.is_sorted(), "{seen:?}");

    assert_eq!(resolve(&name(), &setting.config()).unwrap(), folder);
    let report = check(&folder).unwrap();
    assert_eq!((report.family, report.dims, report.picture_side), (Family::Clip, 24, 32));
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let setting = Setting::new("clip-tiny");
    setting.pull().unwrap();
    let log = setting.hub.take_log();
    let (to_hub, elsewhere): (Vec<_>, Vec<_>) = log.iter().partition(|line| line.contains(&setting.hub.address));
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|line| !line.contains("hf_secret")), "{elsewhere:?}");
    assert!(to_hub.iter().all(|line| line.ends_with("Bearer hf_secret")), "{to_hub:?}");
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let setting = Setting::new("clip-tiny");
    setting.pull().unwrap();
    setting.hub.take_log();
    setting.pull().unwrap();
    let log = setting.hub.take_log();
    assert!(log.iter().all(|line| line.starts_with("HEAD") || line.contains("/api/models/")), "{log:?}");

    // A commit is what it is.
    let pinned = ModelName::parse(&format!("{MODEL}@{}", "a".repeat(40))).unwrap();
    pull(&pinned, &setting.config(), &mut |_| {}).unwrap();
    assert_eq!(setting.hub.take_log(), Vec::<String>::new());
}

#[test]
fn a_branch_that_moved_brings_its_new_files_only() {
    let setting = Setting::new("clip-tiny");
    let before = setting.pull().unwrap();
    setting.hub.take_log();
    {
        let mut state = setting.hub.state();
        state.commit = "b".repeat(40);
        state.files.get_mut("config.json").unwrap().push(b'\n');
    }
    let after = setting.pull().unwrap();
    assert_eq!(after, setting.path("snapshots").join("b".repeat(40)));
    assert_eq!(setting.hub.transfers(&setting.hub.take_log()), [""; 0]);
    assert!(before.join("config.json").is_file(), "the old snapshot stays");
    assert_eq!(resolve(&name(), &setting.config()).unwrap(), after);

    let models = list(&setting.config()).unwrap();
    let of_main: Vec<_> = models.iter().map(|model| (model.revision.as_str(), model.refs.clone())).collect();
    assert_eq!(of_main, [(&*"a".repeat(40), vec![]), (&*"b".repeat(40), vec!["main".to_owned()])]);
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_was() {
    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults(WEIGHTS, [Fault::Cut(100_000), Fault::Cut(50_000)]);
    setting.pull().unwrap();
    let log = setting.hub.take_log();
    assert_eq!(
        setting.hub.transfers(&log),
        ["/model.safetensors", "/model.safetensors bytes=100000-", "/model.safetensors bytes=150000-"]
    );
}

#[test]
fn the_next_pull_goes_on_with_what_the_last_one_left() {
    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults(WEIGHTS, [Fault::Cut(70_000), Fault::Cut(0), Fault::Cut(0), Fault::Cut(0), Fault::Cut(0)]);
    let error = setting.pull().unwrap_err();
    assert!(error.is_transient());
    assert_names(&error, &[MODEL, WEIGHTS, "70000 of 340084"]);
    assert!(!setting.path("refs/main").exists() && resolve(&name(), &setting.config()).is_err());
    let left = PathBuf::from(format!("{}.incomplete", setting.blob(WEIGHTS).display()));
    assert_eq!(size(&left), 70_000);

    setting.hub.take_log();
    setting.pull().unwrap();
    assert_eq!(setting.hub.transfers(&setting.hub.take_log()), ["/model.safetensors bytes=70000-"]);
    assert!(!left.exists());
}

#[test]
fn a_server_that_knows_no_ranges_sends_everything_again() {
    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults(WEIGHTS, [Fault::Cut(70_000), Fault::NoRanges]);
    let folder = setting.pull().unwrap();
    check(&folder).unwrap();
}

#[test]
fn a_silent_server_is_taken_for_broken() {
    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults(WEIGHTS, [Fault::Silence(70_000)]);
    let config = HubConfig { longest_silence: Duration::from_secs(1), ..setting.config() };
    let started = Instant::now();
    pull(&name(), &config, &mut |_| {}).unwrap();
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(setting.hub.transfers(&setting.hub.take_log()).len() >= 2);
}

#[test]
fn wrong_bytes_are_never_kept() {
    for file in [WEIGHTS, "config.json"] {
        let setting = Setting::new("clip-tiny");
        setting.hub.next_faults(file, [Fault::WrongByte]);
        let error = setting.pull().unwrap_err();
        assert_names(&error, &[file, "checksum", "nothing of it was kept"]);
        assert!(!setting.blob(file).exists() && resolve(&name(), &setting.config()).is_err());
        setting.pull().unwrap();
    }
}

#[test]
fn a_leftover_that_does_not_belong_to_the_file_is_replaced() {
    for length in [10, 340_084, 500_000] {
        let setting = Setting::new("clip-tiny");
        let left = PathBuf::from(format!("{}.incomplete", setting.blob(WEIGHTS).display()));
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(&left, vec![7; length]).unwrap();
        check(&setting.pull().unwrap()).unwrap();
    }
}

#[test]
fn a_busy_hub_is_asked_again_when_it_says() {
    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults("listing", [Fault::Refusal(503, ""), Fault::Refusal(429, "Retry-After: 1\r\n")]);
    setting.hub.next_faults(WEIGHTS, [Fault::Refusal(500, ""), Fault::Cut(1000), Fault::Refusal(504, "")]);
    let started = Instant::now();
    setting.pull().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After is obeyed");
}

#[test]
fn a_hub_that_stays_busy_is_given_up() {
    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults("listing", vec![Fault::Refusal(503, ""); 9]);
    let error = setting.pull().unwrap_err();
    assert!(error.is_transient());
    assert_names(&error, &[MODEL, "503", "try again later"]);
    assert_eq!(setting.hub.take_log().len(), 5);

    let setting = Setting::new("clip-tiny");
    setting.hub.next_faults("listing", [Fault::Refusal(429, "Retry-After: 86400\r\n")]);
    assert_names(&setting.pull().unwrap_err(), &["429"]);
}

#[test]
fn what_the_hub_refuses_is_asked_once_and_explained() {
    let gated = "X-Error-Code: GatedRepo\r\nX-Error-Message: Access to model is restricted\r\n";
    for (fault, expected) in [
        (Fault::Refusal(404, ""), vec![MODEL, "404", "it has no someone/clip-tiny"]),
        (
            Fault::Refusal(403, gated),
            vec!["403", "Access to model is restricted", "accept its terms", "HF_TOKEN has no right"],
        ),
        (Fault::Refusal(401, ""), vec!["401", "gated", "HF_TOKEN"]),
        (Fault::Refusal(418, ""), vec!["418"]),
    ] {
        let setting = Setting::new("clip-tiny");
        setting.hub.next_faults("listing", [fault]);
        let error = setting.pull().unwrap_err();
        assert!(error.is_permanent() && !error.to_string().contains("hf_secret"), "{error}");
        assert_names(&error, &expected);
        assert_eq!(setting.hub.take_log().len(), 1);
    }
}

#[test]
fn a_hub_that_cannot_be_reached_leaves_three_ways_out() {
    let setting = Setting::new("clip-tiny");
    // Nobody listens at a port that only the system may open.
    let config = HubConfig { endpoint: "http://127.0.0.1:1".to_owned(), ..setting.config() };
    let error = pull(&name(), &config, &mut |_| {}).unwrap_err();
    assert!(error.is_transient());
    let cache = setting.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    let ways =
        ["cannot be reached", "imagefleet models pull someone/clip-tiny", &cache, "local folder", "HF_HUB_OFFLINE"];
    assert_names(&error, &ways);
}

#[test]
fn offline_only_the_cache_is_used() {
    let setting = Setting::new("clip-tiny");
    let config = HubConfig { offline: true, ..setting.config() };
    let error = pull(&name(), &config, &mut |_| {}).unwrap_err();
    assert!(error.is_permanent());
    assert_names(&error, &["HF_HUB_OFFLINE", "not in the cache"]);
    assert_eq!(setting.hub.take_log(), Vec::<String>::new());

    let folder = setting.pull().unwrap();
    setting.hub.take_log();
    assert_eq!(pull(&name(), &config, &mut |_| {}).unwrap(), folder);
    assert_eq!(setting.hub.take_log(), Vec::<String>::new());
}

#[test]
fn pulls_at_the_same_time_fetch_every_file_once() {
    let setting = Setting::new("clip-tiny");
    let start = Barrier::new(4);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                start.wait();
                check(&setting.pull().unwrap()).unwrap();
            });
        }
    });
    assert_eq!(setting.hub.transfers(&setting.hub.take_log()), ["/model.safetensors"]);
    let left: Vec<_> = fs::read_dir(setting.path("blobs")).unwrap().map(|blob| blob.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains("incomplete")), "{left:?}");
}

#[test]
fn weights_in_several_files_are_fetched_by_their_index() {
    for fixture in ["clip-bf16-shards", "clip-torch-shards"] {
        let setting = Setting::new(fixture);
        let folder = setting.pull().unwrap();
        let vectors = load(&folder, Device::Cpu).unwrap().encode_texts(&setting.fixture.titles).unwrap();
        assert!(distance(&vectors.values, &setting.fixture.floats("text")) <= 1e-5);
    }
}

#[test]
fn an_index_names_files_of_its_own_folder_that_the_hub_has() {
    for (shard, expected) in
        [("x/../../../evil.safetensors", "no file of this folder"), ("b.safetensors", "does not have")]
    {
        let setting = Setting::new("clip-bf16-shards");
        let index = format!(r#"{{"weight_map": {{"text_projection.weight": "{shard}"}}}}"#);
        setting.hub.state().files.insert("model.safetensors.index.json".to_owned(), index.into_bytes());
        assert_names(&setting.pull().unwrap_err(), &["model.safetensors.index.json", shard, expected]);
    }
}

#[test]
fn a_model_that_cannot_be_used_is_known_before_its_weights_are_fetched() {
    for (file, contents, expected) in [
        ("tokenizer.json", None, "the hub has no tokenizer.json"),
        (WEIGHTS, None, "the hub has no model.safetensors"),
        ("config.json", Some(r#"{"model_type": "bert"}"#), "\"bert\""),
    ] {
        let setting = Setting::new("clip-tiny");
        match contents {
            Some(contents) => setting.hub.state().files.insert(file.to_owned(), contents.into()),
            None => setting.hub.state().files.remove(file),
        };
        let error = setting.pull().unwrap_err();
        assert!(error.is_permanent());
        assert_names(&error, &[MODEL, expected]);
        assert_eq!(setting.hub.transfers(&setting.hub.take_log()), [""; 0]);
    }
}

#[test]
fn what_a_hub_says_leads_nowhere_out_of_the_cache() {
    let setting = Setting::new("clip-tiny");
    setting.hub.state().etag = Some("../../../../evil".to_owned());
    assert_names(&setting.pull().unwrap_err(), &["no checksum"]);

    let setting = Setting::new("clip-tiny");
    setting.hub.state().commit = "../../../../evil".to_owned();
    let error = setting.pull().unwrap_err();
    assert!(error.is_permanent());
    assert_names(&error, &["evil", "commit"]);
}

#[test]
fn a_model_in_the_cache_is_found_by_branch_and_by_commit_and_missing_files_are_named() {
    let setting = Setting::new("clip-tiny");
    let config = setting.config();
    assert_eq!(list(&config).unwrap(), []);
    assert_names(
        &resolve(&name(), &config).unwrap_err(),
        &["not in the cache", "imagefleet models pull someone/clip-tiny"],
    );

    let folder = setting.pull().unwrap();
    let pinned = ModelName::parse(&format!("{MODEL}@{}", "a".repeat(40))).unwrap();
    assert_eq!(resolve(&pinned, &config).unwrap(), folder);
    let [model] = &list(&config).unwrap()[..] else { panic!("one model") };
    assert_eq!(
        (model.name.as_str(), model.revision.as_str(), model.refs.as_slice()),
        (MODEL, &*"a".repeat(40), &["main".to_owned()][..])
    );
    assert_eq!((model.family, model.dims, model.complete), (Some(Family::Clip), Some(24), true));
    assert!(model.bytes > 340_084);

    fs::remove_file(setting.blob(WEIGHTS)).unwrap();
    let error = resolve(&name(), &config).unwrap_err();
    assert_names(&error, &["model.safetensors missing", "imagefleet models pull someone/clip-tiny"]);
    assert!(!list(&config).unwrap()[0].complete);
    setting.pull().unwrap();
    assert_eq!(resolve(&name(), &config).unwrap(), folder);
}

#[test]
fn a_folder_is_used_as_it_is() {
    let setting = Setting::new("clip-tiny");
    let name = ModelName::parse(setting.fixture.dir.to_str().unwrap()).unwrap();
    assert_eq!(resolve(&name, &setting.config()).unwrap(), setting.fixture.dir);
    assert_eq!(pull(&name, &setting.config(), &mut |_| {}).unwrap(), setting.fixture.dir);
    let missing = ModelName::parse("/no/such/folder").unwrap();
    assert_names(&resolve(&missing, &setting.config()).unwrap_err(), &["/no/such/folder", "owner/name"]);
}
