//! A folder as an object store.
//!
//! An object's tag is made of its size, the time of its last change and its inode: whoever writes a file in place
//! changes the time, whoever puts another in its place changes the inode. A read looks at the tag before and after,
//! so bytes are never a mixture of two contents. File work happens on the runtime's blocking threads.

pub mod durable;
mod walk;

use super::path::{checked, checked_prefix};
use async_trait::async_trait;
use bytes::Bytes;
use imagefleet_common::{
    error::{Context, Error, Result},
    ports::objects::{ObjectMeta, Objects, Page},
};
use memmap2::MmapMut;
use std::{
    collections::HashSet,
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use walk::Walk;

/// Objects a page of a listing, as S3 has it.
const PAGE: usize = 1_000;
/// Listings that were given out in part and may be asked for more.
const KEPT_WALKS: usize = 8;

/// The files below a folder. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct FsObjects {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    /// Where listings stopped: without it each page of a folder would read the whole folder again.
    walks: Mutex<Vec<Stopped>>,
    /// Folders that this process has looked through for what dead writers left.
    swept: Mutex<HashSet<PathBuf>>,
}

struct Stopped {
    prefix: String,
    after: String,
    walk: Walk,
}

impl FsObjects {
    /// The objects below `root`, which may be `/`: a listing walks no further than the folder its prefix names.
    pub fn new(root: PathBuf) -> Self {
        let shared = Shared { root, walks: Mutex::default(), swept: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.transient(|| "wait for file work".to_owned())?
    }
}

#[async_trait]
impl Objects for FsObjects {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let (prefix, after) = (checked_prefix(prefix)?.to_owned(), after.unwrap_or_default().to_owned());
        self.blocking(move |shared| shared.list(prefix, after)).await
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        let path = checked(path)?.to_owned();
        self.blocking(move |shared| {
            let file = shared.root.join(&path);
            match fs::metadata(&file) {
                Ok(found) if found.is_file() => Ok(Some(meta_of(path, &found))),
                Ok(_) => Ok(None),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(io_error(format!("look at {}", file.display()), error)),
            }
        })
        .await
    }

    async fn read(&self, path: &str, etag: &str, range: Range<u64>) -> Result<Bytes> {
        let (path, etag) = (checked(path)?.to_owned(), etag.to_owned());
        self.blocking(move |shared| shared.read(&path, &etag, range)).await
    }

    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let path = checked(path)?.to_owned();
        self.blocking(move |shared| {
            let file = shared.root.join(&path);
            shared.put(&file, &bytes).map_err(|error| io_error(format!("write {}", file.display()), error))
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let path = checked(path)?.to_owned();
        self.blocking(move |shared| {
            let file = shared.root.join(&path);
            let removed = fs::remove_file(&file).and_then(|()| match file.parent() {
                Some(folder) => durable::sync_folder(folder),
                None => Ok(()),
            });
            match removed {
                // A folder is no object, so there is nothing to remove.
                Err(error) if is_absent(&error) || error.kind() == ErrorKind::IsADirectory => Ok(()),
                done => done.map_err(|error| io_error(format!("delete {}", file.display()), error)),
            }
        })
        .await
    }
}

impl Shared {
    fn list(&self, prefix: String, after: String) -> Result<Page> {
        let mut walk = match self.take_walk(&prefix, &after) {
            Some(walk) => walk,
            None => Walk::new(&self.root, &prefix, &after)?,
        };
        let mut objects = Vec::new();
        while objects.len() < PAGE {
            match walk.next()? {
                Some(object) => objects.push(object),
                None => return Ok(Page { objects, next: None }),
            }
        }
        let next = objects.last().map(|last| last.path.clone());
        if let Some(after) = next.clone() {
            self.keep_walk(Stopped { prefix, after, walk });
        }
        Ok(Page { objects, next })
    }

    fn take_walk(&self, prefix: &str, after: &str) -> Option<Walk> {
        let mut walks = self.walks.lock().unwrap_or_else(PoisonError::into_inner);
        let at = walks.iter().position(|kept| kept.prefix == prefix && kept.after == after)?;
        Some(walks.remove(at).walk)
    }

    fn keep_walk(&self, stopped: Stopped) {
        let mut walks = self.walks.lock().unwrap_or_else(PoisonError::into_inner);
        walks.retain(|kept| kept.prefix != stopped.prefix || kept.after != stopped.after);
        if walks.len() == KEPT_WALKS {
            walks.remove(0);
        }
        walks.push(stopped);
    }

    fn read(&self, path: &str, etag: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.root.join(path);
        let doing = || format!("read {}", path.display());
        let changed = || Error::changed(format!("{}: it is not what it was when it was listed", doing()));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Err(Error::changed(doing()).because(error)),
            Err(error) => return Err(io_error(doing(), error)),
        };
        let tag = |file: &File| file.metadata().map(|found| tag_of(&found)).map_err(|error| io_error(doing(), error));
        if tag(&file)? != etag {
            return Err(changed());
        }
        let size = file.metadata().map_err(|error| io_error(doing(), error))?.len();
        let Range { start, end } = range;
        if start > end || end > size {
            return Err(Error::permanent(format!("{}: bytes {start}..{end} are outside its {size} bytes", doing())));
        }
        let length = usize::try_from(end - start).permanent(doing)?;
        let mut bytes = Block::new(length).transient(|| format!("{}: no memory for {length} bytes", doing()))?;
        match file.read_exact_at(bytes.as_mut(), start) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(changed()),
            read => read.map_err(|error| io_error(doing(), error))?,
        }
        if tag(&file)? != etag {
            return Err(changed());
        }
        Ok(bytes.into())
    }

    fn put(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            durable::create_folders(folder)?;
            let first = self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
            if first {
                durable::sweep(folder)?;
            }
        }
        durable::write(file, bytes)
    }
}

fn meta_of(path: String, found: &Metadata) -> ObjectMeta {
    ObjectMeta { path, size: found.len(), etag: tag_of(found) }
}

fn tag_of(found: &Metadata) -> String {
    format!("{:x}-{:x}.{:x}-{:x}", found.size(), found.mtime(), found.mtime_nsec(), found.ino())
}

/// There is no such object, be it that a part of its path is missing or is a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Names and rights stay as they are until someone changes them; of anything else (too many open files, a full disk,
/// a network share that stutters) a later try may be spared.
pub(crate) fn io_error(doing: String, error: io::Error) -> Error {
    let permanent = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::FileTooLarge
            | ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(libc::ELOOP);
    if permanent { Error::permanent(doing).because(error) } else { Error::transient(doing).because(error) }
}

/// Blocks at least this large are mapped, not allocated.
const MAPPED: usize = 256 << 10;

/// The bytes of one read. Large blocks live shortly and side by side with small things that live long: in the
/// allocator's heap they would leave holes, and a process that reads for days would grow.
enum Block {
    Allocated(Vec<u8>),
    Mapped(MmapMut),
}

impl Block {
    fn new(length: usize) -> io::Result<Self> {
        match length {
            MAPPED.. => MmapMut::map_anon(length).map(Self::Mapped),
            _ => Ok(Self::Allocated(vec![0; length])),
        }
    }

    fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Allocated(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

impl From<Block> for Bytes {
    fn from(block: Block) -> Self {
        match block {
            Block::Allocated(bytes) => bytes.into(),
            Block::Mapped(bytes) => Self::from_owner(bytes),
        }
    }
}
