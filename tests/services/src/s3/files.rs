//! Objects as files.

use bytes::Bytes;
use s3s::{
    S3Error, S3Result,
    dto::{ETag, StreamingBlob},
    s3_error,
};
use std::{
    ffi::OsString,
    fs::{File, FileTimes, Metadata},
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{fs, io::AsyncWriteExt, task::spawn_blocking};

/// Holds what is being written; no bucket may be named so.
const UNFINISHED: &str = ".unfinished";
/// The file that stands for an object whose key ends in `/`.
pub const FOLDER_FILE: &str = ".folder-object";

#[derive(Clone)]
pub(super) struct Files {
    root: Arc<PathBuf>,
    /// Nanoseconds of the time that was given to the newest file: no two have the same.
    stamp: Arc<AtomicU64>,
}

/// A file that a listing found.
pub(super) struct Found {
    pub(super) key: String,
    pub(super) file: PathBuf,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root: Arc::new(root), stamp: Arc::default() }
    }

    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let folder = self.root.join(bucket);
        if folder.is_dir() { Ok(folder) } else { Err(s3_error!(NoSuchBucket)) }
    }

    pub(super) async fn create_bucket(&self, bucket: &str) -> S3Result<()> {
        match self.bucket(bucket) {
            Ok(_) => Err(s3_error!(BucketAlreadyOwnedByYou)),
            Err(_) => fs::create_dir_all(self.root.join(bucket)).await.map_err(fault),
        }
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = key.strip_suffix('/').map_or_else(|| key.to_owned(), |folder| format!("{folder}/{FOLDER_FILE}"));
        if path.split('/').any(|part| matches!(part, "" | "." | "..") || part.contains('\0')) {
            return Err(s3_error!(InvalidArgument, "a key with empty parts, `.` or `..` has no file"));
        }
        Ok(self.bucket(bucket)?.join(path))
    }

    /// A file of what is unfinished, in which nothing is yet.
    pub(super) async fn unfinished(&self) -> S3Result<PathBuf> {
        let folder = self.root.join(UNFINISHED);
        fs::create_dir_all(&folder).await.map_err(fault)?;
        Ok(folder.join(format!("{:x}", self.next_stamp())))
    }

    pub(super) fn upload(&self, id: &str) -> S3Result<PathBuf> {
        let folder = self.root.join(UNFINISHED).join(id);
        let is_name = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_name && folder.is_dir() { Ok(folder) } else { Err(s3_error!(NoSuchUpload)) }
    }

    fn next_stamp(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let last = self.stamp.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(now.max(last + 1)));
        now.max(last.unwrap_or_default() + 1)
    }

    /// Gives the file a time that no other has, and puts it in the object's place.
    pub(super) async fn finish(&self, file: &Path, object: &Path) -> S3Result<()> {
        let modified = UNIX_EPOCH + Duration::from_nanos(self.next_stamp());
        let written = File::options().write(true).open(file).map_err(fault)?;
        written.set_times(FileTimes::new().set_modified(modified)).map_err(fault)?;
        if let Some(folder) = object.parent() {
            fs::create_dir_all(folder).await.map_err(fault)?;
        }
        fs::rename(file, object).await.map_err(fault)
    }

    /// All objects whose key begins with `prefix`, in byte order.
    pub(super) async fn walk(&self, bucket: &str, prefix: &str) -> S3Result<Vec<Found>> {
        let bucket = self.bucket(bucket)?;
        let prefix = prefix.to_owned();
        spawn_blocking(move || {
            let mut found = Vec::new();
            // No file outside of the folder that the prefix names can match.
            let mut folders = vec![prefix.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"))];
            while let Some(folder) = folders.pop() {
                if folder.split_inclusive('/').any(|part| matches!(part, "/" | "./" | "../")) {
                    continue;
                }
                let entries = match bucket.join(&folder).read_dir() {
                    Err(error) if is_absent(&error) => continue,
                    entries => entries.map_err(fault)?,
                };
                for entry in entries {
                    let entry = entry.map_err(fault)?;
                    let Ok(name) = entry.file_name().into_string().map_err(|_: OsString| ()) else { continue };
                    if entry.file_type().map_err(fault)?.is_dir() {
                        folders.push(format!("{folder}{name}/"));
                        continue;
                    }
                    let key = if name == FOLDER_FILE { folder.clone() } else { format!("{folder}{name}") };
                    if key.starts_with(&prefix) {
                        found.push(Found { key, file: entry.path() });
                    }
                }
            }
            found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
        .await
        .map_err(S3Error::internal_error)?
    }
}

/// An object's file, opened: what is read and what is told of it are of one content.
pub(super) async fn open(object: PathBuf) -> S3Result<(File, Metadata)> {
    let opened = spawn_blocking(move || {
        let file = File::open(object)?;
        let told = file.metadata()?;
        Ok((file, told))
    });
    match opened.await.map_err(S3Error::internal_error)? {
        Ok((file, told)) if told.is_file() => Ok((file, told)),
        Ok(_) => Err(s3_error!(NoSuchKey)),
        Err(error) if is_absent(&error) => Err(s3_error!(NoSuchKey)),
        Err(error) => Err(fault(error)),
    }
}

pub(super) async fn read(file: File, range: Range<u64>) -> S3Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(S3Error::internal_error)?;
    let read = spawn_blocking(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start).map(|()| bytes.into())
    });
    read.await.map_err(S3Error::internal_error)?.map_err(fault)
}

/// All of a request's body.
pub(super) async fn write(file: &Path, body: Option<StreamingBlob>) -> S3Result<()> {
    let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let mut to = fs::File::create(file).await.map_err(fault)?;
    while let Some(bytes) = futures::StreamExt::next(&mut body).await {
        let bytes = bytes.map_err(|error| S3Error::with_source(s3s::S3ErrorCode::IncompleteBody, error))?;
        to.write_all(&bytes).await.map_err(fault)?;
    }
    to.flush().await.map_err(fault)
}

pub(super) fn tag(told: &Metadata) -> ETag {
    ETag::Strong(format!("{:x}-{:x}.{:x}-{:x}", told.size(), told.mtime(), told.mtime_nsec(), told.ino()))
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// What the file system says to a key is for the caller to mend, where it is about the key.
pub(super) fn fault(error: io::Error) -> S3Error {
    match error.kind() {
        ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::AlreadyExists
        | ErrorKind::DirectoryNotEmpty => {
            s3_error!(error, InvalidArgument, "another object's key begins with this one, or this one with another's")
        }
        ErrorKind::InvalidFilename => s3_error!(error, KeyTooLongError, "a part of the key is too long for a file"),
        _ => S3Error::internal_error(error),
    }
}
