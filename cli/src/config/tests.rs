//! Where settings come from, and what is said of wrong ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::{Config, Flag, Key, Place, read};
use imagefleet_common::{Result, work::Kind};
use imagefleet_models::Device;
use std::{fs, path::PathBuf, time::Duration};

const FLEET: [(&str, &str); 5] = [
    ("IMAGEFLEET_DATABASE_URL", "postgres://fleet:db-secret@db/fleet"),
    ("IMAGEFLEET_BROKER_URL", "amqp://fleet:broker-secret@broker"),
    ("IMAGEFLEET_INDEX_URL", "http://index:6334"),
    ("IMAGEFLEET_SOURCES", "s3://pictures/yfcc?region=eu-west-1"),
    ("IMAGEFLEET_ARTIFACTS", "/srv/artifacts"),
];

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of_variables(variables: &[(&str, &str)]) -> Result<Config> {
    read(None, &[], Vec::new(), owned(variables)).map(|(config, _)| config)
}

fn refused(variables: &[(&str, &str)]) -> String {
    let error = of_variables(variables).unwrap_err();
    assert!(error.is_permanent());
    error.to_string()
}

/// A settings file, and the folder that keeps it.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleet.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_flag_goes_before_the_environment_before_a_file_before_the_default() {
    let (_folder, path) = file("slots = 4\ngrace = 5\nlease = 7.5\nnamespace = \"four\"\n");
    let variables = owned(&[("IMAGEFLEET_SLOTS", "5"), ("IMAGEFLEET_GRACE", "6"), ("IMAGEFLEET_DEVICE", "")]);
    let flags = vec![Flag { key: Key::Slots, name: "--slots", value: "6".into() }];
    let set = ["slots=9".to_owned()];
    let (config, warnings) = read(Some(&path), &set, flags, variables).unwrap();
    assert_eq!((config.worker.slots, config.worker.grace), (6, Duration::from_secs(6)));
    assert_eq!(config.worker.device, Device::Cpu, "an empty variable says nothing");
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn a_database_makes_it_a_fleet() {
    assert!(of_variables(&[]).unwrap().fleet.is_none());
    assert!(of_variables(&FLEET[1..]).unwrap().fleet.is_none());
    let fleet = of_variables(&FLEET).unwrap().into_fleet().unwrap();
    assert_eq!(fleet.database_url.reveal(), FLEET[0].1);
    assert_eq!(fleet.sources, Place::Bucket(FLEET[3].1.into()));
    assert_eq!(fleet.artifacts, Place::Folder("/srv/artifacts".into()));
    assert_eq!((fleet.namespace.as_str(), fleet.lease), ("imagefleet", Duration::from_secs(30)));
    let error = of_variables(&[]).unwrap().into_fleet().unwrap_err().to_string();
    assert!(error.contains("database_url is not set") && error.contains("IMAGEFLEET_DATABASE_URL"), "{error}");
}

#[test]
fn a_file_may_hold_every_setting_and_lists_as_lists() {
    let text = "queues = [\"embed\", \"retrieve\"]\nmodels = [\"/models/b32\", \"owner/name@main\"]\n\
                device = \"cuda:1\"\nlisten = \"127.0.0.1:1\"\nworker_listen = \"0.0.0.0:2\"\nlease = 7.5\n";
    let (_folder, path) = file(text);
    let (config, _) = read(Some(&path), &[], Vec::new(), owned(&FLEET)).unwrap();
    assert_eq!(config.worker.kinds, [Kind::Embed, Kind::Retrieve]);
    assert_eq!(config.worker.models, ["/models/b32", "owner/name@main"]);
    assert_eq!((config.worker.device, config.worker.listen.unwrap().port()), (Device::Cuda(1), 2));
    assert_eq!(config.fleet.unwrap().lease, Duration::from_millis(7500));
}

#[test]
fn what_a_fleet_lacks_is_named_with_its_remedy_all_at_once() {
    let error = refused(&FLEET[..1]);
    assert_eq!(error.lines().count(), 4, "{error}");
    for (key, variable) in [("broker_url", 1), ("index_url", 2), ("sources", 3), ("artifacts", 4)] {
        let line = error.lines().find(|line| line.starts_with(&format!("{key} is not set"))).unwrap();
        assert!(line.contains(FLEET[variable].0) && line.contains("--config"), "{line}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_setting_value_source_and_what_was_expected() {
    for (variable, value, said) in [
        ("IMAGEFLEET_INDEX_URL", "qdrant:6334", "http://HOST:6334"),
        ("IMAGEFLEET_SOURCES", "pictures", "absolute path"),
        ("IMAGEFLEET_SOURCES", "s3://", "s3://BUCKET/PREFIX"),
        ("IMAGEFLEET_ARTIFACTS", "~/artifacts", "absolute path"),
        ("IMAGEFLEET_NAMESPACE", "Fleet", "a-z"),
        ("IMAGEFLEET_NAMESPACE", "a123456789012345678901234567890", "1 to 30"),
        ("IMAGEFLEET_LEASE", "0", "from 0.5 to 3600"),
        ("IMAGEFLEET_LEASE", "NaN", "seconds"),
        ("IMAGEFLEET_LISTEN", "7300", "127.0.0.1:7300"),
        ("IMAGEFLEET_WORKER_LISTEN", "localhost", "ADDRESS:PORT"),
        ("IMAGEFLEET_QUEUES", "embed,paint", "list,embed,seal"),
        ("IMAGEFLEET_MODELS", "a,,b", "owner/name"),
        ("IMAGEFLEET_DEVICE", "gpu", "cuda:0"),
        ("IMAGEFLEET_SLOTS", "0", "1 to 64"),
        ("IMAGEFLEET_GRACE", "-1", "seconds"),
    ] {
        let error = refused(&[(variable, value)]);
        let key = Key::ALL.into_iter().find(|key| key.variable() == variable).unwrap();
        let begins = format!("{key} = {value:?} (variable {variable}): expected ");
        assert!(error.starts_with(&begins) && error.contains(said), "{error}");
    }
}

#[test]
fn a_secret_is_shown_neither_where_it_is_wrong_nor_where_it_is_right() {
    for (variable, value) in [
        ("IMAGEFLEET_DATABASE_URL", "mysql://fleet:hush@db"),
        ("IMAGEFLEET_BROKER_URL", "http://fleet:hush@broker"),
        ("IMAGEFLEET_INDEX_API_KEY", "hush hush"),
        ("IMAGEFLEET_TOKEN", "hush\thush"),
        ("IMAGEFLEET_INDEX_URL", "https://me:hush@index"),
        ("IMAGEFLEET_SOURCES", "https://me:hush@host/bucket"),
    ] {
        let error = refused(&[(variable, value)]);
        assert!(!error.contains("hush") && error.contains(&format!("(hidden) (variable {variable})")), "{error}");
    }
    let error = read(None, &["tokn=hush".to_owned()], Vec::new(), Vec::new()).unwrap_err().to_string();
    assert!(!error.contains("hush") && error.contains("--set tokn"), "{error}");
    let all = [&FLEET[..], &[("IMAGEFLEET_TOKEN", "hush"), ("IMAGEFLEET_INDEX_API_KEY", "hush")]].concat();
    let shown = format!("{:?}", of_variables(&all).unwrap());
    assert!(!shown.contains("hush") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_file_is_refused_with_the_line_of_what_is_wrong_in_it() {
    for (text, line, said) in [
        ("slots = 3\n\ndatabse_url = \"x\"\n", 3, "no setting \"databse_url\""),
        ("slots = 3\nlease = \"soon\"\n", 2, "lease = \"soon\""),
        ("slots = true\n", 1, "slots: expected a string"),
        ("[worker]\nslots = 3\n", 1, "no setting \"worker\""),
        ("slots = 3\nslots 4\n", 2, "not TOML"),
    ] {
        let (_folder, path) = file(text);
        let error = read(Some(&path), &[], Vec::new(), Vec::new()).unwrap_err().to_string();
        assert!(error.contains(&format!("{}:{line}", path.display())) && error.contains(said), "{error}");
    }
    let (_folder, path) = file("token = \"hush hush\"\n");
    let error = read(Some(&path), &[], Vec::new(), Vec::new()).unwrap_err().to_string();
    assert!(error.contains(":1)") && !error.contains("hush"), "{error}");
    let error = read(Some(&path.with_file_name("gone.toml")), &[], Vec::new(), Vec::new()).unwrap_err().to_string();
    assert!(error.contains("gone.toml"), "{error}");
}

#[test]
fn a_variable_that_is_no_setting_is_warned_of() {
    let variables = owned(&[
        ("IMAGEFLEET_DATABSE_URL", "hush"),
        ("IMAGEFLEET_DATA", "/data"),
        ("IMAGEFLEET_TEST_DATABASE_URL", "postgres://x"),
    ]);
    let (_, warnings) = read(None, &[], Vec::new(), variables).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("IMAGEFLEET_DATABSE_URL") && warnings[0].contains("DATABASE_URL"), "{warnings:?}");
    assert!(!warnings[0].contains("hush"));
}

#[test]
fn an_api_that_other_machines_reach_needs_a_token() {
    let listening = |listen, more: &[(&str, &str)]| {
        of_variables(&[&[("IMAGEFLEET_LISTEN", listen)], more].concat()).unwrap().coordinator
    };
    for safe in ["127.0.0.1:7300", "[::1]:7300"] {
        assert!(listening(safe, &[]).token().unwrap().is_none());
    }
    let error = listening("0.0.0.0:7300", &[]).token().unwrap_err().to_string();
    assert!(error.contains("0.0.0.0:7300") && error.contains("IMAGEFLEET_TOKEN"), "{error}");
    let config = listening("0.0.0.0:7300", &[("IMAGEFLEET_TOKEN", "hush")]);
    assert_eq!(config.token().unwrap().unwrap().reveal(), "hush");
}
