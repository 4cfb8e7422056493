//! From a job file to what the coordinator takes: everything it names is found, read and hashed.

use crate::{args::Global, data_dir::DataDir, models::folder_of_hub};
use imagefleet_common::{
    Context, Error, Result,
    job::{
        file::{self, JobFile, ModelAt, Place},
        spec::{Decoding, ModelIdentity},
    },
};
use imagefleet_coordinator::submit::Submission;
use imagefleet_models::{checkpoint::open_checkpoint, head::LinearHead};
use imagefleet_pictures::processor::Processor;
use imagefleet_retrieval::{articles::read_articles, evaluation::queries};
use std::path::{Component, Path, PathBuf};

/// A job file that was read, and where its state is kept.
pub struct Opened {
    pub file: JobFile,
    pub object_root: PathBuf,
    pub data: DataDir,
}

impl Opened {
    pub fn read(global: &Global, path: &Path) -> Result<Self> {
        let place = match &global.object_root {
            Some(root) => Place::Embedded { object_root: absolute(root)? },
            None => Place::beside(path),
        };
        let file = file::read(path, place)?;
        let folder = file.path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        let data = DataDir::new(global.data.as_deref(), &folder);
        let object_root = global.object_root.as_deref().map_or(Ok(folder), absolute)?;
        Ok(Self { file, object_root, data })
    }

    /// Reads what the file names. Hashes the model's weights: a second or so for each gigabyte.
    pub fn submission(&self) -> Result<Submission> {
        let source = Source { identity: self.source_identity()?, path: object_path(&self.file.source)? };
        Ok(Submission { replaces_same_name: true, ..submission(&self.file, source)? })
    }

    /// A folder that holds job file, state and pictures can be moved as a whole and stays the same corpus. Elsewhere a
    /// corpus is known by its absolute path.
    fn source_identity(&self) -> Result<String> {
        // However the directory is named.
        let data = std::path::absolute(self.data.path()).permanent(|| "find the current directory".to_owned())?;
        let beside = data.parent() == Some(self.object_root.as_path());
        match self.file.source_below(&self.object_root).filter(|_| beside) {
            Some(below) => Ok(below),
            None => Ok(format!("/{}", object_path(&self.file.source)?)),
        }
    }
}

/// Where a corpus lies, and what names that place for good.
struct Source {
    identity: String,
    path: String,
}

/// What a job file for a fleet names: everything but its source, which lies below the fleet's object root, is read here.
pub fn for_fleet(file: &JobFile) -> Result<Submission> {
    let path = object_path(&file.source)?;
    submission(file, Source { identity: path.clone(), path })
}

fn submission(file: &JobFile, source: Source) -> Result<Submission> {
    let JobFile { path, spec, articles, model, heads, .. } = file;
    let bytes = std::fs::read(articles).permanent(|| format!("read articles {}", articles.display()))?;
    let titles = queries(spec, read_articles(&bytes, &articles.display().to_string())?)?.len();
    let model = match model {
        // Relative in a file for a fleet, from where the file stands.
        ModelAt::Directory(folder) => {
            identify(&path.parent().unwrap_or(Path::new("/")).join(folder), spec.model.decoding)?
        }
        ModelAt::Hub(name) => identify(&folder_of_hub(name)?, spec.model.decoding)?,
    };
    Ok(Submission {
        spec: spec.clone(),
        source_identity: source.identity,
        source: source.path,
        heads: read_heads(heads, model.dims)?,
        model,
        articles: bytes,
        titles: u32::try_from(titles).permanent(|| format!("read articles {}", articles.display()))?,
        priority: spec.priority,
        max_tasks: 0,
        allow_delete: false,
        replaces_same_name: false,
    })
}

/// The bytes of each reranker's head, where it has one that fits vectors of `dims` values.
fn read_heads(heads: &[Option<PathBuf>], dims: usize) -> Result<Vec<Option<Vec<u8>>>> {
    let read = |path: &PathBuf| {
        let doing = || format!("read {}", path.display());
        let bytes = std::fs::read(path).permanent(doing)?;
        LinearHead::read(&bytes)
            .and_then(|head| head.must_fit(dims))
            .map_err(|error| error.while_doing(path.display()))?;
        Ok(bytes)
    };
    heads.iter().map(|path| path.as_ref().map(read).transpose()).collect()
}

/// What a model directory says of itself, if pictures are decoded for it in this way.
pub(crate) fn identify(model: &Path, decoding: Decoding) -> Result<ModelIdentity> {
    let checkpoint = open_checkpoint(model)?;
    let processor = Processor::read(model)?.with_decoding(decoding);
    let doing = || format!("use model {}", model.display());
    processor.must_fit(checkpoint.picture_side()?).map_err(|error| error.while_doing(doing()))?;
    let files = imagefleet_models::hashes(model)?;
    Ok(ModelIdentity {
        path: text(model)?.to_owned(),
        revision: imagefleet_models::revision_of(&files),
        files,
        preprocessing: processor.identity(),
        dims: checkpoint.dims()?,
    })
}

/// A file's path as the path of an object below `/`.
pub fn object_path(path: &Path) -> Result<String> {
    // Objects have no parents. What is no folder yet is no link either, so its name may be left out again.
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if let Ok(real) = parts.canonicalize() {
                    parts = real;
                }
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(text(&parts)?.trim_matches('/').to_owned())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::permanent(format!("use {}: the path is not UTF-8", path.display())))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).permanent(|| format!("find {}", path.display()))
}
