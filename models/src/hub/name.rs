//! What a user calls a model.

use imagefleet_common::{Error, Result};
use std::{fmt, path::PathBuf};

/// The branch of a name that gives none.
const MAIN: &str = "main";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelName {
    Folder(PathBuf),
    Hub(HubModel),
}

/// `owner/name` on the hub, at a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    id: String,
    revision: String,
}

impl ModelName {
    /// `owner/name` or `owner/name@revision`, unless there is such a folder; anything else is a folder's path.
    ///
    /// A revision that could lead out of the cache is refused.
    pub fn parse(text: &str) -> Result<Self> {
        let folder = PathBuf::from(text);
        let id = text.split('@').next().unwrap_or(text);
        if folder.is_dir() || !is_id(id) {
            Ok(ModelName::Folder(folder))
        } else {
            HubModel::parse(text).map(ModelName::Hub)
        }
    }
}

fn is_id(text: &str) -> bool {
    text.split_once('/').is_some_and(|(owner, name)| is_part_of_id(owner) && is_part_of_id(name))
}

impl HubModel {
    /// `owner/name` or `owner/name@revision`, whatever folders there are.
    pub fn parse(text: &str) -> Result<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, MAIN));
        if !is_id(id) {
            return Err(Error::permanent(format!("model {text}: {id:?} is no owner/name")));
        }
        if !revision.split('/').all(is_part_of_revision) {
            return Err(Error::permanent(format!("model {text}: {revision:?} is no branch, tag or commit")));
        }
        Ok(Self { id: id.to_owned(), revision: revision.to_owned() })
    }

    /// `owner/name`
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A branch, a tag or a commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The revision, where it is a whole commit: what it names never changes.
    pub(super) fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }

    /// The name of its folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}", self.id.replace('/', "--"))
    }
}

pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// As the hub allows; so neither `..` nor what would make two names one folder.
fn is_part_of_id(part: &str) -> bool {
    is_part_of_revision(part) && !part.contains("--") && !part.contains("..")
}

fn is_part_of_revision(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.') && !part.contains("..")
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.revision != MAIN { write!(f, "@{}", self.revision) } else { Ok(()) }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelName::Folder(folder) => folder.display().fmt(f),
            ModelName::Hub(model) => model.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn hub(text: &str) -> HubModel {
        match ModelName::parse(text).unwrap() {
            ModelName::Hub(model) => model,
            folder => panic!("{text} is {folder:?}"),
        }
    }

    #[test]
    fn two_words_and_a_slash_are_a_model_of_the_hub() {
        let model = hub("openai/clip-vit-base-patch32");
        assert_eq!((model.id(), model.revision(), model.commit()), ("openai/clip-vit-base-patch32", "main", None));
        assert_eq!(model.folder(), "models--openai--clip-vit-base-patch32");
        assert_eq!(model.to_string(), "openai/clip-vit-base-patch32");

        let commit = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268";
        let pinned = hub(&format!("openai/clip-vit-base-patch32@{commit}"));
        assert_eq!(pinned.commit(), Some(commit));
        assert_eq!(pinned.to_string(), format!("openai/clip-vit-base-patch32@{commit}"));
        assert_eq!(hub("a/b@refs/pr/3").revision(), "refs/pr/3");
    }

    #[test]
    fn a_folder_is_a_folder_even_if_it_is_called_like_a_model() {
        // Tests run in the crate's folder, which has this one.
        for folder in ["src/clip", "/models/clip", "./owner/name", "../owner", "clip", "a/b/c", "~/a", "a--b/c", ""] {
            assert_eq!(ModelName::parse(folder).unwrap(), ModelName::Folder(folder.into()));
        }
    }

    #[test]
    fn a_revision_that_leads_out_of_the_cache_is_refused() {
        for revision in ["../../etc", "..", "/etc", "a//b", "", ".hidden", "a/../b", "a b"] {
            let error = ModelName::parse(&format!("owner/name@{revision}")).unwrap_err();
            assert!(error.is_permanent() && error.to_string().contains("no branch"), "{error}");
        }
    }
}
