//! From texts to values. Each check says what it expected instead.

use super::{
    Key, Secret,
    given::{Given, Source},
};
use imagefleet_common::{Error, Result, work::Kind};
use imagefleet_models::Device;
use std::{cell::RefCell, net::SocketAddr, path::PathBuf, time::Duration};

type Checked<T> = std::result::Result<T, String>;

/// Where objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder that every process of the fleet sees under this path.
    Folder(PathBuf),
    /// An `s3://` URL.
    Bucket(String),
}

/// Gives values and collects what is wrong with them.
pub(super) struct Reader {
    given: Given,
    wrong: RefCell<Vec<String>>,
}

impl Reader {
    pub(super) fn new(given: Given) -> Self {
        Self { given, wrong: RefCell::default() }
    }

    pub(super) fn is_given(&self, key: Key) -> bool {
        self.given.0.contains_key(&key)
    }

    /// `None` where it was not given and has no default, or was wrong and is reported.
    pub(super) fn value<T>(&self, key: Key, check: impl Fn(&str) -> Checked<T>) -> Option<T> {
        let Some((text, source)) = self.given.0.get(&key) else {
            return check(&key.default()?).ok();
        };
        let refuse = |expected: String| self.wrong.borrow_mut().push(wrong(key, text, source, &expected));
        check(text).map_err(refuse).ok()
    }

    pub(super) fn secret(&self, key: Key, check: impl Fn(&str) -> Checked<()>) -> Option<Secret> {
        self.value(key, |text| check(text).map(|()| Secret::new(text.to_owned())))
    }

    pub(super) fn must_have(&self, key: Key) {
        if !self.is_given(key) {
            let (needs, remedy) = (Key::DatabaseUrl, remedy(key));
            self.wrong.borrow_mut().push(format!("{key} is not set, and a fleet ({needs} is set) needs it: {remedy}"));
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        let wrong = self.wrong.into_inner();
        if wrong.is_empty() { Ok(()) } else { Err(Error::permanent(wrong.join("\n"))) }
    }
}

fn wrong(key: Key, text: &str, source: &Source, expected: &str) -> String {
    let shown = if is_hidden(key, text) { shown(key, text) } else { format!("{text:?}") };
    format!("{key} = {shown} ({source}): expected {expected}")
}

/// A password may stand in a URL where none belongs.
fn is_hidden(key: Key, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    key.is_secret() || ["@", "secret", "password", "key=", "token"].iter().any(|word| text.contains(word))
}

/// A value as people may see it.
pub(super) fn shown(key: Key, text: &str) -> String {
    if is_hidden(key, text) { "(hidden)".to_owned() } else { text.to_owned() }
}

/// How a setting is given.
pub(super) fn remedy(key: Key) -> String {
    format!("set {} or {key} in the file of --config", key.variable())
}

fn url(text: &str, schemes: &[&str], example: &str) -> Checked<()> {
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix("://"));
    let is_url = rest.is_some_and(|rest| !rest.is_empty()) && !text.contains(char::is_whitespace);
    if is_url { Ok(()) } else { Err(format!("a URL as in {example}")) }
}

pub(super) fn database_url(text: &str) -> Checked<()> {
    const EXAMPLE: &str = "postgres://USER:PASSWORD@HOST:5432/DATABASE";
    url(text, &["postgres", "postgresql"], EXAMPLE)?;
    adapter::database_url(text).map_err(|error| format!("a URL as in {EXAMPLE}; {error}"))
}

pub(super) fn broker_url(text: &str) -> Checked<()> {
    const EXAMPLE: &str = "amqp://USER:PASSWORD@HOST:5672/VHOST";
    url(text, &["amqp", "amqps"], EXAMPLE)?;
    adapter::broker_url(text).map_err(|_| format!("a URL as in {EXAMPLE}"))
}

/// What the services' clients make of a URL that looks right.
#[cfg(feature = "fleet")]
mod adapter {
    use imagefleet_adapters::{broker::amqp, objects::s3, store::postgres};
    use imagefleet_common::Result;

    pub(super) fn database_url(text: &str) -> Result<()> {
        postgres::Settings::check_url(text)
    }

    pub(super) fn broker_url(text: &str) -> Result<()> {
        amqp::Settings::check_url(text)
    }

    pub(super) fn bucket(text: &str) -> Result<()> {
        s3::Settings::parse(text).map(drop)
    }
}

/// A program without a fleet connects to none of them.
#[cfg(not(feature = "fleet"))]
mod adapter {
    use imagefleet_common::Result;

    pub(super) fn database_url(_: &str) -> Result<()> {
        Ok(())
    }

    pub(super) fn broker_url(_: &str) -> Result<()> {
        Ok(())
    }

    pub(super) fn bucket(_: &str) -> Result<()> {
        Ok(())
    }
}

pub(super) fn index_url(text: &str) -> Checked<String> {
    url(text, &["http", "https"], "http://HOST:6334, the port that speaks gRPC")?;
    match text.contains(['@', '?']) {
        true => Err(format!("a URL without a name, password or query; {} is a setting of its own", Key::IndexApiKey)),
        false => Ok(text.to_owned()),
    }
}

/// What goes into a header.
pub(super) fn word(text: &str) -> Checked<()> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err("letters, digits and punctuation of ASCII, without spaces".to_owned()) }
}

pub(super) fn place(text: &str) -> Checked<Place> {
    const EXPECTED: &str = "s3://BUCKET/PREFIX, or the absolute path of a folder that all machines share";
    let folder = text.strip_prefix("file://").unwrap_or(text);
    match text.strip_prefix("s3://") {
        Some(bucket) if !bucket.is_empty() && !bucket.starts_with(['/', '?']) => match adapter::bucket(text) {
            Ok(()) => Ok(Place::Bucket(text.to_owned())),
            Err(error) => Err(format!("{EXPECTED}; {error}")),
        },
        None if folder.starts_with('/') => Ok(Place::Folder(PathBuf::from(folder))),
        _ => Err(EXPECTED.to_owned()),
    }
}

pub(super) fn file(text: &str) -> Checked<PathBuf> {
    match std::fs::File::open(text) {
        Ok(_) => Ok(PathBuf::from(text)),
        Err(error) => Err(format!("a file that can be read; {error}")),
    }
}

pub(super) fn namespace(text: &str) -> Checked<String> {
    const LONGEST: usize = 30;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = text.starts_with(|letter: char| letter.is_ascii_lowercase());
    let is_free = !text.starts_with("pg_") && text != "information_schema";
    match begins && is_free && text.len() <= LONGEST && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "1 to {LONGEST} of a-z, 0-9 and _, beginning with a letter, and no schema of PostgreSQL's own (pg_…, information_schema)"
        )),
    }
}

fn seconds(text: &str, least: f64, most: f64) -> Checked<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) if (least..=most).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("a number of seconds from {least} to {most}")),
    }
}

/// Shorter than a machine may be busy, and no outage is a crash; longer, and a dead worker's tasks wait for an hour.
pub(super) fn lease(text: &str) -> Checked<Duration> {
    seconds(text, 0.5, 3600.0)
}

pub(super) fn grace(text: &str) -> Checked<Duration> {
    seconds(text, 0.0, 3600.0)
}

pub(super) fn slots(text: &str) -> Checked<usize> {
    match text.parse() {
        Ok(slots @ 1..=64) => Ok(slots),
        _ => Err("a whole number from 1 to 64".to_owned()),
    }
}

pub(super) fn address(text: &str) -> Checked<SocketAddr> {
    text.parse().map_err(|_| "ADDRESS:PORT, as in 127.0.0.1:7300 or 0.0.0.0:7300".to_owned())
}

pub(super) fn device(text: &str) -> Checked<Device> {
    text.parse().map_err(|_| "cpu or cuda:N, as in cuda:0".to_owned())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

pub(super) fn kinds(text: &str) -> Checked<Vec<Kind>> {
    let expected = || format!("kinds of work with commas, from {}", Kind::ALL.map(Kind::name).join(","));
    let mut kinds = items(text).map(Kind::from_name).collect::<Option<Vec<Kind>>>().ok_or_else(expected)?;
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

pub(super) fn models(text: &str) -> Checked<Vec<String>> {
    match items(text).all(|model| !model.is_empty()) {
        true => Ok(items(text).map(String::from).collect()),
        false => Err("models with commas, each a folder or owner/name of the hub".to_owned()),
    }
}
