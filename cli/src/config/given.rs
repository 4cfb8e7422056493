//! What the environment, a file and the command line say, each value with where it came from.

use super::{Flag, Key};
use imagefleet_common::{Context, Error, Result};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};

const PREFIX: &str = "IMAGEFLEET_";

/// Variables of other parts: of the command line's own flags, and of tests and scripts.
const OTHERS: [&str; 6] = [
    "IMAGEFLEET_CONFIG",
    "IMAGEFLEET_DATA",
    "IMAGEFLEET_LOG",
    "IMAGEFLEET_OBJECT_ROOT",
    "IMAGEFLEET_RABBITMQ_ENVIRONMENT",
    "IMAGEFLEET_REAL_DATA",
];
const OF_TESTS: &str = "IMAGEFLEET_TEST_";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Variable(String),
    File { path: PathBuf, line: usize },
    Set,
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Set => f.write_str("flag --set"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The text of each setting that was given, and what to warn of.
#[derive(Default)]
pub(super) struct Given(pub(super) BTreeMap<Key, (String, Source)>, pub(super) Vec<String>);

/// The variables of this process that may be settings. One that is not Unicode stands in replaced, to be refused by
/// its setting's check.
pub(super) fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

impl Given {
    /// What the environment, a file and `--set` say.
    pub(super) fn of(file: Option<&Path>, set: &[String], variables: Vec<(String, String)>) -> Result<Self> {
        let mut given = Self::default();
        given.take_variables(variables);
        if let Some(file) = file {
            given.take_file(file)?;
        }
        given.take_set(set)?;
        Ok(given)
    }

    /// An empty variable is one that is not set.
    fn take_variables(&mut self, variables: Vec<(String, String)>) {
        for (name, value) in variables {
            match Key::ALL.into_iter().find(|key| key.variable() == name) {
                Some(_) if value.is_empty() => {}
                Some(key) => {
                    self.0.insert(key, (value, Source::Variable(name)));
                }
                None if OTHERS.contains(&name.as_str()) || name.starts_with(OF_TESTS) => {}
                None => self.1.push(format!(
                    "variable {name} is no setting and says nothing; settings are {PREFIX} and one of {}",
                    Key::names().to_uppercase()
                )),
            }
        }
    }

    /// Takes from a file what the environment does not say. Every key of it must be a setting.
    fn take_file(&mut self, path: &Path) -> Result<()> {
        let doing = || format!("read the settings of {}", path.display());
        let text = std::fs::read_to_string(path).permanent(doing)?;
        let at = |offset: usize| text[..text.floor_char_boundary(offset)].matches('\n').count() + 1;
        let place = |offset: usize| format!("{}:{}", path.display(), at(offset));
        let table = DeTable::parse(&text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            Error::permanent(format!("{}: not TOML: {}", place(offset), error.message().replace('\n', ", ")))
        })?;
        let mut wrong = Vec::new();
        for (name, value) in table.get_ref() {
            let start = name.span().start;
            let Some(key) = Key::from_name(name.get_ref()) else {
                let (place, names) = (place(start), Key::names());
                wrong.push(format!("{place}: there is no setting {:?}; there are {names}", name.get_ref()));
                continue;
            };
            let Some(text) = text_of(value.get_ref()) else {
                wrong.push(format!("{}: {key}: expected a string, a number or a list of strings", place(start)));
                continue;
            };
            let source = Source::File { path: path.to_path_buf(), line: at(start) };
            self.0.entry(key).or_insert((text, source));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::permanent(wrong.join("\n"))) }
    }

    /// `KEY=VALUE` of the command line.
    fn take_set(&mut self, set: &[String]) -> Result<()> {
        for setting in set {
            let known = setting.split_once('=').and_then(|(name, value)| Some((Key::from_name(name)?, value)));
            let Some((key, value)) = known else {
                // What follows the name may be secret.
                let name = setting.split('=').next().unwrap_or_default();
                return Err(Error::permanent(format!(
                    "flag --set {name}: expected KEY=VALUE, KEY being one of {}",
                    Key::names()
                )));
            };
            self.0.insert(key, (value.to_owned(), Source::Set));
        }
        Ok(())
    }

    pub(super) fn take_flags(&mut self, flags: Vec<Flag>) {
        for Flag { key, name, value } in flags {
            self.0.insert(key, (value, Source::Flag(name)));
        }
    }
}

/// A list is its items with commas, as flags and variables have it.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                })
                .collect();
            Some(texts?.join(","))
        }
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}
