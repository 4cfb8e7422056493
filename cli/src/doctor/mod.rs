//! `imagefleet doctor`: everything that a process with these settings would work with, each looked at by itself, so that one
//! thing that is away hides no other. Nothing is changed but for a probe that is deleted again.

#[cfg(feature = "fleet")]
mod fleet;
mod machine;

use crate::{
    args::{Global, Output},
    colour::{Tone, paint},
    config,
    exit::Exit,
    logging::print,
    site::Site,
};
use imagefleet_common::Result;
use serde_json::{Value, json};
use std::{fmt, io::stdout};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }
}

/// What was found of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    verdict: Verdict,
    thing: &'static str,
    found: String,
    /// What to do about it; empty where nothing is to be done.
    remedy: String,
}

/// All that was found so far.
#[derive(Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn ok(&mut self, thing: &'static str, found: impl fmt::Display) {
        self.add(Verdict::Ok, thing, found, "");
    }

    pub(crate) fn warn(&mut self, thing: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) {
        self.add(Verdict::Warn, thing, found, remedy);
    }

    pub(crate) fn fail(&mut self, thing: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) {
        self.add(Verdict::Fail, thing, found, remedy);
    }

    /// The value, or the error as a finding.
    pub(crate) fn must<T>(&mut self, thing: &'static str, remedy: impl fmt::Display, found: Result<T>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                self.fail(thing, error, remedy);
                None
            }
        }
    }

    fn add(&mut self, verdict: Verdict, thing: &'static str, found: impl fmt::Display, remedy: impl fmt::Display) {
        self.0.push(Finding { verdict, thing, found: found.to_string(), remedy: remedy.to_string() });
    }
}

pub(crate) async fn command(global: &Global) -> Result<Exit> {
    let mut findings = Findings::default();
    let remedy = "mend what is named; `imagefleet config show` says where each value comes from";
    if let Some(config) = findings.must("settings", remedy, config::load(global, Vec::new())) {
        findings.ok("settings", if config.fleet.is_some() { "right, of a fleet" } else { "right, of embedded runs" });
        let site = Site::of(global)?;
        match &site {
            Site::Here(data) => machine::data_directory(&mut findings, data, &config.worker.models).await,
            #[cfg(feature = "fleet")]
            Site::Fleet(fleet) => fleet::services(&mut findings, fleet).await,
            #[cfg(not(feature = "fleet"))]
            Site::Fleet(_) => findings.fail("fleet", crate::site::not_built(), "install a binary that was"),
        }
        machine::models(&mut findings, &config.worker).await;
    }
    show(global, &findings.0);
    let failed = findings.0.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn show(global: &Global, findings: &[Finding]) {
    if global.output == Output::Json {
        let all = findings.iter().map(|finding| {
            let Finding { verdict, thing, found, remedy } = finding;
            json!({"verdict": verdict.name(), "thing": thing, "found": found, "remedy": remedy})
        });
        print(format_args!("{:#}", Value::Array(all.collect())));
        return;
    }
    let width = findings.iter().map(|finding| finding.thing.len()).max().unwrap_or(0);
    for Finding { verdict, thing, found, remedy } in findings {
        let name = paint(&stdout(), verdict.tone(), &format!("{:<4}", verdict.name()));
        print(format_args!("{name}  {thing:<width$}  {found}"));
        if !remedy.is_empty() {
            print(format_args!("      {:width$}  → {remedy}", ""));
        }
    }
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
