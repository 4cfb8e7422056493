//! What the cache holds, without the network.

use super::{HubConfig, HubModel, ModelName, name::is_commit};
use crate::checkpoint::{Family, file_error, open_checkpoint};
use imagefleet_common::{Error, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// One snapshot in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// `owner/name`
    pub name: String,
    /// The commit.
    pub revision: String,
    /// Branches and tags that had this commit when they were pulled.
    pub refs: Vec<String>,
    pub path: PathBuf,
    /// `None` where it is of no family that we have, or where too much of it is missing to tell.
    pub family: Option<Family>,
    /// Components of its vectors, where its config tells.
    pub dims: Option<usize>,
    /// Of all its files; those of other snapshots may be the same.
    pub bytes: u64,
    /// Every file that loading needs is there.
    pub complete: bool,
}

/// The folder of a model's files. Looks at the disk only: a model of the hub must have been pulled.
pub fn resolve(name: &ModelName, config: &HubConfig) -> Result<PathBuf> {
    match name {
        ModelName::Folder(folder) if folder.is_dir() => Ok(folder.clone()),
        ModelName::Folder(folder) => Err(Error::permanent(format!(
            "there is no folder {}; a model is a folder with its files, or owner/name on the hub",
            folder.display()
        ))),
        ModelName::Hub(model) => snapshot(model, config),
    }
}

fn snapshot(model: &HubModel, config: &HubConfig) -> Result<PathBuf> {
    let remedy = format!("fetch it with `imagefleet models pull {model}`");
    let repository = Repository::of(model, config);
    let Some(commit) = repository.commit_of(model)? else {
        let cache = config.cache.display();
        return Err(Error::permanent(format!("model {model} is not in the cache {cache}; {remedy}")));
    };
    let folder = repository.snapshot(&commit);
    open_checkpoint(&folder).map(|_| folder).map_err(|error| error.while_doing(format_args!("{model}: {remedy}")))
}

/// All snapshots of models in the cache, by name and commit, whoever fetched them.
pub fn list(config: &HubConfig) -> Result<Vec<CachedModel>> {
    let mut models = Vec::new();
    for folder in entries(&config.cache)? {
        let Some(name) = folder.file_name().and_then(|name| name.to_str()?.strip_prefix("models--")) else { continue };
        let mut refs = Vec::new();
        collect_refs(&folder.join("refs"), "", &mut refs)?;
        for path in entries(&folder.join("snapshots"))? {
            let Some(revision) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let checkpoint = open_checkpoint(&path);
            let files = entries(&path)?;
            let bytes = files.iter().filter_map(|file| file.metadata().ok()).filter(|file| file.is_file());
            let bytes = bytes.map(|file| file.len()).sum();
            models.push(CachedModel {
                name: name.replacen("--", "/", 1),
                refs: refs.iter().filter(|(_, commit)| commit == revision).map(|(name, _)| name.clone()).collect(),
                revision: revision.to_owned(),
                family: checkpoint.as_ref().ok().map(|checkpoint| checkpoint.family()),
                dims: checkpoint.as_ref().ok().and_then(|checkpoint| checkpoint.dims().ok()),
                complete: checkpoint.is_ok(),
                bytes,
                path,
            });
        }
    }
    models.sort_by(|a, b| (&a.name, &a.revision).cmp(&(&b.name, &b.revision)));
    Ok(models)
}

/// `folder`'s entries; none where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    match listed {
        Ok(paths) => Ok(paths),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => file_error(&format!("list {}", folder.display()), error),
    }
}

/// Adds (ref, commit) of all files below `folder`: a ref's name may have slashes.
fn collect_refs(folder: &Path, prefix: &str, refs: &mut Vec<(String, String)>) -> Result<()> {
    for path in entries(folder)? {
        // What begins with a dot is a ref that is just being written.
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        let Some(name) = name else { continue };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect_refs(&path, &format!("{name}/"), refs)?;
        } else if let Ok(commit) = fs::read_to_string(&path) {
            refs.push((name, commit.trim().to_owned()));
        }
    }
    Ok(())
}

/// A model's part of the cache.
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repository {
    pub(super) fn of(model: &HubModel, config: &HubConfig) -> Self {
        let folder = model.folder();
        Self { locks: config.cache.join(".locks").join(&folder), folder: config.cache.join(folder) }
    }

    pub(super) fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    pub(super) fn incomplete(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{hash}.incomplete"))
    }

    pub(super) fn lock(&self, hash: &str) -> PathBuf {
        self.locks.join(format!("{hash}.lock"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// The commit that the model's revision is, or was when it was last pulled.
    pub(super) fn commit_of(&self, model: &HubModel) -> Result<Option<String>> {
        if let Some(commit) = model.commit() {
            return Ok(self.snapshot(commit).is_dir().then(|| commit.to_owned()));
        }
        let file = self.reference(model.revision());
        match fs::read_to_string(&file) {
            Ok(commit) if is_commit(commit.trim()) => Ok(Some(commit.trim().to_owned())),
            Ok(_) => Err(Error::permanent(format!("{} holds no commit; remove it and pull again", file.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => file_error(&format!("read {}", file.display()), error),
        }
    }
}
