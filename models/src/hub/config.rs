//! Where the cache and the hub are, by the variables that Python's `huggingface_hub` reads.

use imagefleet_common::{Error, Result};
use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

#[derive(Clone)]
pub struct HubConfig {
    /// The folder with `models--OWNER--NAME`.
    pub cache: PathBuf,
    /// The hub's address, without a slash at its end.
    pub endpoint: String,
    pub token: Option<String>,
    /// [`pull`](super::pull) gives what the cache has, or fails.
    pub offline: bool,
    /// A PEM file of certificates to trust instead of the built-in ones, for mirrors and proxies of one's own.
    pub certificates: Option<PathBuf>,
    /// A connection that says nothing for this long is taken for broken.
    pub longest_silence: Duration,
    /// How long to wait before a request is tried again, doubled each time. The hub's own word goes before.
    pub first_pause: Duration,
}

impl HubConfig {
    /// Reads `HF_HUB_CACHE` (else `HF_HOME`, `XDG_CACHE_HOME`, `HOME`), `HF_ENDPOINT`, `HF_TOKEN`,
    /// `HF_HUB_OFFLINE` and `SSL_CERT_FILE`. The proxy's variables are read where it is used.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| match variable(name).map(OsString::into_string) {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(Error::permanent(format!("read {name}: it is not UTF-8"))),
            None => Ok(None),
        };
        let home = || folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| home().map(|cache| cache.join("huggingface/hub")))
            .ok_or_else(|| Error::permanent("find the model cache: set HF_HUB_CACHE, HF_HOME or HOME"))?;
        let endpoint = text("HF_ENDPOINT")?.unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: text("HF_TOKEN")?.map(|token| token.trim().to_owned()),
            offline: text("HF_HUB_OFFLINE")?.is_some_and(|value| is_true(&value)),
            certificates: folder("SSL_CERT_FILE"),
            longest_silence: Duration::from_secs(60),
            first_pause: Duration::from_millis(500),
        })
    }
}

fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
}

// By hand: the token is never shown.
impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::path::Path;

    fn of(variables: &[(&str, &str)]) -> Result<HubConfig> {
        let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        HubConfig::from_variables(value)
    }

    #[test]
    fn the_cache_is_where_the_nearest_variable_puts_it() {
        let mut variables = vec![("HOME", "/home/me")];
        for (added, expected) in [
            (("HOME", "/home/me"), "/home/me/.cache/huggingface/hub"),
            (("XDG_CACHE_HOME", "/cache"), "/cache/huggingface/hub"),
            (("HF_HOME", "/hf"), "/hf/hub"),
            (("HF_HUB_CACHE", "/models"), "/models"),
        ] {
            variables.push(added);
            assert_eq!(of(&variables).unwrap().cache, Path::new(expected), "{added:?}");
        }
        assert_eq!(
            of(&[("HOME", "/home/me"), ("HF_HOME", "")]).unwrap().cache,
            Path::new("/home/me/.cache/huggingface/hub")
        );
        assert!(of(&[]).unwrap_err().to_string().contains("HF_HUB_CACHE"));
    }

    #[test]
    fn offline_is_said_in_any_of_pythons_ways() {
        for (value, expected) in [("1", true), ("ON", true), ("True", true), ("yes", true), ("0", false), ("", false)] {
            assert_eq!(of(&[("HOME", "/"), ("HF_HUB_OFFLINE", value)]).unwrap().offline, expected, "{value}");
        }
    }

    #[test]
    fn a_token_is_used_and_never_shown() {
        let config = of(&[("HOME", "/"), ("HF_TOKEN", "hf_secret\n"), ("HF_ENDPOINT", "https://mirror/")]).unwrap();
        assert_eq!((config.token.as_deref(), config.endpoint.as_str()), (Some("hf_secret"), "https://mirror"));
        assert!(!format!("{config:?}").contains("secret"));
    }
}
