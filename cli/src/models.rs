//! `imagefleet models`: models of the hub in this machine's cache, fetched, listed and checked.

use crate::{
    args::{Global, ModelsCommand, Output},
    exit::Exit,
    logging::{BARS, print},
    run::blocking,
    table::table,
};
use imagefleet_common::Result;
use imagefleet_models::{
    Report, check,
    hub::{CachedModel, HubConfig, HubModel, ModelName, Progress, list, pull, resolve},
};
use imagefleet_pictures::processor::Processor;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(crate) async fn command(global: &Global, command: ModelsCommand) -> Result<Exit> {
    let output = global.output;
    blocking(move || match command {
        ModelsCommand::Ls => ls(output),
        ModelsCommand::Pull { model } => pull_one(output, &model),
        ModelsCommand::Check { model } => check_one(output, &model),
    })
    .await?;
    Ok(Exit::Done)
}

/// The folder of a model that a person named: a folder, or a model of the hub that is in the cache.
pub(crate) fn folder_of(model: &str) -> Result<PathBuf> {
    resolve(&ModelName::parse(model)?, &HubConfig::from_env()?)
}

/// The folder of a model of the hub that is in the cache, whatever folders there are.
pub(crate) fn folder_of_hub(model: &str) -> Result<PathBuf> {
    resolve(&ModelName::Hub(HubModel::parse(model)?), &HubConfig::from_env()?)
}

fn ls(output: Output) -> Result<()> {
    let models = list(&HubConfig::from_env()?)?;
    if output == Output::Json {
        let all = models.iter().map(|model| {
            let CachedModel { name, revision, refs, path, family, dims, bytes, complete } = model;
            let family = family.map(|family| family.to_string());
            json!({"name": name, "revision": revision, "refs": refs, "family": family, "dims": dims, "bytes": bytes,
                "complete": complete, "path": path.to_string_lossy()})
        });
        print(format_args!("{:#}", Value::Array(all.collect())));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = models
        .into_iter()
        .map(|model| {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            vec![
                model.name,
                model.revision.chars().take(12).collect(),
                model.refs.join(","),
                or_dash(model.family.map(|family| family.to_string())),
                or_dash(model.dims.map(|dims| dims.to_string())),
                indicatif::HumanBytes(model.bytes).to_string(),
                if model.complete { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    print(format_args!("{}", table(&["NAME", "REVISION", "REFS", "FAMILY", "DIMS", "SIZE", "COMPLETE"], &rows)));
    Ok(())
}

fn pull_one(output: Output, model: &str) -> Result<()> {
    let bar = BARS.add(ProgressBar::new(0));
    let style = ProgressStyle::with_template("{msg} {bar:24} {bytes}/{total_bytes}, {bytes_per_sec}, ETA {eta}");
    bar.set_style(style.expect("the template names fields that there are"));
    let pulled = pull(&ModelName::parse(model)?, &HubConfig::from_env()?, &mut |Progress { file, done, total }| {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(file.to_owned());
    });
    bar.finish_and_clear();
    let folder = pulled?;
    match output {
        Output::Json => print(format_args!("{:#}", json!({"model": model, "path": folder.to_string_lossy()}))),
        Output::Table => print(format_args!("{}", folder.display())),
    }
    Ok(())
}

fn check_one(output: Output, model: &str) -> Result<()> {
    let folder = folder_of(model)?;
    let report = check(&folder)?;
    let fits = Processor::read(&folder)?.must_fit(report.picture_side);
    fits.map_err(|error| error.while_doing(format_args!("check model {}", folder.display())))?;
    print(format_args!("{}", shown(output, &folder, &report)));
    Ok(())
}

fn shown(output: Output, folder: &Path, report: &Report) -> String {
    let Report { family, dims, picture_side, revision } = report;
    let family = family.to_string();
    match output {
        Output::Json => format!(
            "{:#}",
            json!({"path": folder.to_string_lossy(), "family": family, "dims": dims, "picture_side": picture_side, "revision": revision})
        ),
        Output::Table => format!(
            "{}: sound. {family}, vectors of {dims} numbers, pictures of {picture_side} × {picture_side} pixels, revision {revision}",
            folder.display()
        ),
    }
}
