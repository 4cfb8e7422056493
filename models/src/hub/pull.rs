//! Fetching a model of the hub into the cache.

use super::{
    HubConfig, HubModel, ModelName,
    cache::{Repository, resolve},
    download::{fetch, make_parent},
    http::{Client, FileInfo, Listing},
    name::is_commit,
};
use crate::{
    checkpoint::{DECIDING, file_error, missing, open_checkpoint, read_family},
    weights::files,
};
use imagefleet_common::{Error, Result};
use std::{
    fs, io,
    os::unix,
    path::{Path, PathBuf},
    process, thread,
};

/// How far a pull has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being fetched.
    pub file: &'a str,
    /// Bytes of all files that are here, those of earlier pulls included.
    pub done: u64,
    /// Bytes of all files. Grows once, when the small ones have said how large the weights are.
    pub total: u64,
}

/// Fetches what is missing of the model, and gives the folder of its files.
///
/// A commit whose files are all here needs no network, nor does a folder. What was cut is gone on with by the
/// next pull. Pulls at the same time share their work.
pub fn pull(name: &ModelName, config: &HubConfig, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let ModelName::Hub(model) = name else { return resolve(name, config) };
    if config.offline || model.commit().is_some() {
        match resolve(name, config) {
            Err(error) if config.offline => {
                return Err(
                    error.while_doing(format_args!("pull {model}: HF_HUB_OFFLINE is set, so only the cache is used"))
                );
            }
            Err(_) => {}
            folder => return folder,
        }
    }
    pull_from_hub(model, config, progress).map_err(|error| error.while_doing(format_args!("pull {model}")))
}

fn pull_from_hub(model: &HubModel, config: &HubConfig, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let client = Client::new(model, config)?;
    let listing = client.listing()?;
    if !is_commit(&listing.sha) || model.commit().is_some_and(|commit| commit != listing.sha) {
        return Err(Error::permanent(format!("the hub says that this revision is commit {:?}", listing.sha)));
    }
    let weights = check_that_all_is_there(&listing)?;
    let repository = Repository::of(model, config);
    let folder = repository.snapshot(&listing.sha);
    let mut pull = Pull { client, repository, commit: &listing.sha, done: 0, total: 0, progress };

    // Small files first: a model that cannot be used is known before its weights are fetched.
    let mut small: Vec<&str> = DECIDING.into_iter().filter(|file| listing.has(file)).collect();
    if files::is_index(weights) {
        small.push(weights);
    }
    pull.fetch_all(&small)?;
    read_family(&folder)?;
    if files::is_index(weights) {
        let shards = files::shards(&folder, weights)?;
        if let Some(missing) = shards.iter().find(|shard| !listing.has(shard)) {
            return Err(Error::permanent(format!("{weights} names {missing}, which the hub does not have")));
        }
        pull.fetch_all(&shards.iter().map(String::as_str).collect::<Vec<_>>())?;
    } else {
        pull.fetch_all(&[weights])?;
    }

    open_checkpoint(&folder)?;
    if model.commit().is_none() {
        let reference = pull.repository.reference(model.revision());
        replace(&reference, |new| fs::write(new, &listing.sha))?;
    }
    Ok(folder)
}

/// The file that the weights are in, or that names those.
fn check_that_all_is_there(listing: &Listing) -> Result<&'static str> {
    let has = |file: &str| listing.has(file);
    match files::main_file(has) {
        Some(weights) if missing(has).is_empty() => Ok(weights),
        _ => Err(Error::permanent(format!("the hub has no {} for it", missing(has).join(", ")))),
    }
}

struct Pull<'a> {
    client: Client<'a>,
    repository: Repository,
    commit: &'a str,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl Pull<'_> {
    fn fetch_all(&mut self, files: &[&str]) -> Result<()> {
        let mut infos = Vec::with_capacity(files.len());
        for file in files {
            infos.push(self.client.file_info(self.commit, file)?);
        }
        self.total = infos.iter().fold(self.total, |total, info| total.saturating_add(info.size));
        files.iter().zip(&infos).try_for_each(|(file, info)| self.fetch(file, info))
    }

    fn fetch(&mut self, file: &str, info: &FileInfo) -> Result<()> {
        let (done, total) = (self.done, self.total);
        let mut have = |bytes| (self.progress)(Progress { file, done: done + bytes, total });
        fetch(&self.client, &self.repository, (self.commit, file), info, &mut have)?;
        self.done += info.size;
        self.link(file, info)
    }

    /// Makes the snapshot's link to the blob.
    fn link(&self, file: &str, info: &FileInfo) -> Result<()> {
        let link = self.repository.snapshot(self.commit).join(file);
        let blob = Path::new("../../blobs").join(&info.hash);
        if fs::read_link(&link).is_ok_and(|to| to == blob) {
            return Ok(());
        }
        replace(&link, |new| unix::fs::symlink(&blob, new))
    }
}

/// Makes `path` anew, so that nobody ever sees half of it.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    make_parent(path)?;
    // No other thread or process makes this name.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}-{:?}", process::id(), thread::current().id()));
    let _ = fs::remove_file(&new);
    let made = make(&new).and_then(|()| fs::rename(&new, path));
    made.or_else(|error| file_error(&format!("write {}", path.display()), error))
}
