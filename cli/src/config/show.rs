//! `imagefleet config`: what the settings are, where each comes from, and for which processes they are enough.

use super::{Config, Key, given, given::Given, load};
use crate::{
    args::{Global, Output},
    exit::Exit,
    logging::print,
    table::table,
};
use imagefleet_common::Result;
use serde_json::{Value, json};

/// A setting as people may see it.
struct Shown {
    key: Key,
    /// `None`: not set, and without a default.
    value: Option<String>,
    source: String,
}

/// Prints what is given whether it is right or not; a file that cannot be read is an error.
pub(crate) fn show(global: &Global) -> Result<Exit> {
    let given = Given::of(global.config.as_deref(), &global.set, given::variables())?;
    let shown = all(&given);
    if global.output == Output::Json {
        let settings = shown.iter().map(|Shown { key, value, source }| {
            json!({"setting": key.name(), "value": value, "source": source, "secret": key.is_secret()})
        });
        print(format_args!("{:#}", Value::Array(settings.collect())));
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = shown
        .into_iter()
        .map(|Shown { key, value, source }| {
            vec![key.name().to_owned(), value.unwrap_or_else(|| "-".to_owned()), source]
        })
        .collect();
    print(format_args!("{}", table(&["SETTING", "VALUE", "SOURCE"], &rows)));
    Ok(Exit::Done)
}

fn all(given: &Given) -> Vec<Shown> {
    let shown = |key: Key| match (given.0.get(&key), key.default()) {
        (Some((text, source)), _) => {
            let value = Some(super::values::shown(key, text));
            Shown { key, value, source: source.to_string() }
        }
        (None, Some(default)) => Shown { key, value: Some(default), source: "default".to_owned() },
        (None, None) => Shown { key, value: None, source: "not set".to_owned() },
    };
    Key::ALL.into_iter().map(shown).collect()
}

/// What is wrong is the error, all of it at once.
pub(crate) fn check(global: &Global) -> Result<Exit> {
    let config = load(global, Vec::new())?;
    let said = enough_for(&config);
    if global.output == Output::Json {
        let processes: Vec<Value> =
            said.iter().map(|(process, missing)| json!({"process": process, "missing": missing})).collect();
        print(format_args!("{:#}", json!({"right": true, "fleet": config.fleet.is_some(), "processes": processes})));
        return Ok(Exit::Done);
    }
    print(format_args!("every setting is right"));
    for (process, missing) in said {
        match missing {
            None => print(format_args!("enough for {process}")),
            Some(missing) => print(format_args!("not enough for {process}: {missing}")),
        }
    }
    Ok(Exit::Done)
}

/// Each kind of process, and what it would refuse to start for.
fn enough_for(config: &Config) -> Vec<(&'static str, Option<String>)> {
    let fleet = config.clone().into_fleet().err().map(|error| error.to_string());
    let token = config.coordinator.token().err().map(|error| error.to_string());
    let needs_model = config.worker.kinds.iter().any(|kind| kind.needs_model());
    let models = (needs_model && config.worker.models.is_empty()).then(|| {
        format!("{} is not set; name them with --models, or kinds of work that need none with --queues", Key::Models)
    });
    vec![
        ("embedded runs (run, plan, verify, search)", None),
        ("a coordinator", fleet.clone().or(token)),
        ("a worker", fleet.clone().or(models)),
        ("commands on a fleet (submit, jobs, doctor)", fleet),
    ]
}
