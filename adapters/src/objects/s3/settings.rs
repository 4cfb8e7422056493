//! Which bucket, where, and as whom.

use crate::objects::path::checked;
use imagefleet_common::error::{Error, Result};
use percent_encoding::percent_decode_str;
use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

/// What [`S3Objects::open`](super::S3Objects::open) needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bucket: String,
    /// Objects lie below this; empty, or a path without `/` at either end.
    pub prefix: String,
    /// `http://HOST[:PORT]` or `https://…` of another service than Amazon's.
    pub endpoint: Option<String>,
    /// Else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's or the machine's; with an endpoint, `us-east-1`.
    pub region: Option<String>,
    /// `HOST/bucket/key` in place of `bucket.HOST/key`.
    pub path_style: bool,
    /// Requests are not signed, as a public bucket allows.
    pub anonymous: bool,
    /// Whoever reads pays the bucket's traffic, and says so in each request.
    pub requester_pays: bool,
    /// In place of what the environment, the profile or the machine's role gives.
    pub keys: Option<Keys>,
    /// PEM certificates that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    /// From sending a request, which has no large body, to the head of its answer.
    pub header_timeout: Duration,
    /// Without a byte of an answer's body, and for each [`super::UPLOAD_STEP`] of an upload.
    pub body_timeout: Duration,
}

/// An access key.
#[derive(Clone)]
pub struct Keys {
    pub id: String,
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

const KEYS: &str = "endpoint, region, path_style, anonymous, requester_pays, ca_file";

impl Settings {
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint: None,
            region: None,
            path_style: false,
            anonymous: false,
            requester_pays: false,
            keys: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            header_timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(20),
        }
    }

    /// From `s3://BUCKET[/PREFIX][?KEY=VALUE[&…]]`, percent-encoded where a value holds `&`, `%` or, in the prefix, `?`.
    ///
    /// # Errors
    ///
    /// Permanent, with the key that is wrong and what it wants. Values that could be secrets are not repeated.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::permanent(format!("{why}: an object store is s3://BUCKET/PREFIX?KEY=VALUE"));
        let rest = text.strip_prefix("s3://").ok_or_else(|| wrong("it does not begin with s3://"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.contains(['@', ':']) {
            return Err(wrong("credentials and ports have no place in it (AWS_ACCESS_KEY_ID, endpoint=)"));
        }
        let mut settings = Self::new(bucket);
        settings.prefix = decoded("prefix", prefix)?.trim_matches('/').to_owned();
        let mut seen = BTreeSet::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !seen.insert(key) {
                return Err(Error::permanent(format!("{key} is given twice: keep one")));
            }
            let value = decoded(key, value)?;
            match key {
                "endpoint" => settings.endpoint = Some(value),
                "region" => settings.region = Some(value),
                "path_style" => settings.path_style = flag(key, &value)?,
                "anonymous" => settings.anonymous = flag(key, &value)?,
                "requester_pays" => settings.requester_pays = flag(key, &value)?,
                "ca_file" => settings.ca_file = Some(value.into()),
                _ => return Err(Error::permanent(format!("{key} is no key of an object store: there are {KEYS}"))),
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what no request could be made of.
    ///
    /// # Errors
    ///
    /// Permanent, with the key that is wrong and what it wants.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |key: &str, why: &str| Err(Error::permanent(format!("{key}: {why}")));
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.bucket.is_empty() || !self.bucket.chars().all(of_a_name) {
            return wrong("bucket", &format!("{:?} is no name of a bucket", self.bucket));
        }
        if !self.prefix.is_empty() && checked(&self.prefix).is_err() {
            return wrong("prefix", &format!("{:?} is no path: leave out empty parts, `.` and `..`", self.prefix));
        }
        if let Some(endpoint) = &self.endpoint {
            let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
            let host = host.map_or("", |host| host.trim_end_matches('/'));
            if host.contains('@') {
                return wrong("endpoint", "credentials have no place in it: set AWS_ACCESS_KEY_ID");
            }
            if host.is_empty() || host.contains(['?', '#', ' ']) {
                return wrong("endpoint", &format!("{endpoint:?} is not http://HOST[:PORT] or https://HOST[:PORT]"));
            }
        }
        if self.region.as_deref().is_some_and(|region| region.is_empty() || !region.chars().all(of_a_name)) {
            return wrong("region", "it is no name of a region, as us-east-1 is");
        }
        if self.anonymous && self.keys.is_some() {
            return wrong("anonymous", "requests are either unsigned or signed with a key: leave one out");
        }
        let timeouts = [
            ("connect_timeout", self.connect_timeout),
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
        ];
        match timeouts.iter().find(|(_, timeout)| timeout.is_zero()) {
            Some((key, _)) => wrong(key, "nothing happens in no time: give a longer one"),
            None => Ok(()),
        }
    }
}

fn decoded(key: &str, value: &str) -> Result<String> {
    match percent_decode_str(value).decode_utf8() {
        Ok(value) => Ok(value.into_owned()),
        Err(_) => Err(Error::permanent(format!("{key}: it is not UTF-8 once its %-escapes are read"))),
    }
}

fn flag(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::permanent(format!("{key}: it is true or false, not {value:?}"))),
    }
}
