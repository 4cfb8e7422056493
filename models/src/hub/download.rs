//! One blob: fetched once however many ask, gone on with where it was cut, kept only if its checksum is right.

use super::{
    cache::Repository,
    http::{Client, FileInfo},
};
use crate::checkpoint::file_error;
use imagefleet_common::{Context, Error, Result};
use sha1_smol::Sha1;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::Path,
};

/// Fewer new bytes than this count as no progress: else a server that sends one at a time is never given up.
const PROGRESS: u64 = 1 << 20;
const BUFFER: usize = 1 << 18;

/// Sees to it that the blob of `file` is in the cache; tells `have` how many of its bytes there are.
pub(super) fn fetch(
    client: &Client,
    repository: &Repository,
    (commit, file): (&str, &str),
    info: &FileInfo,
    have: &mut dyn FnMut(u64),
) -> Result<()> {
    let blob = repository.blob(&info.hash);
    let _lock = lock(&repository.lock(&info.hash))?;
    if !blob.is_file() {
        let incomplete = repository.incomplete(&info.hash);
        let mut part = Part::open(&incomplete, info)?;
        let started_from = part.length;
        have(part.length);
        complete(client, (commit, file), &mut part, have)?;
        if started_from > 0 && !part.is_right() {
            // What was left behind may be of a broken disk or another tool: once more, from nothing.
            part.restart()?;
            complete(client, (commit, file), &mut part, have)?;
        }
        part.keep_as(&blob, file)?;
    }
    have(info.size);
    Ok(())
}

/// Appends to `part` until it has all bytes. Being cut is no failure as long as bytes come.
fn complete(client: &Client, of: (&str, &str), part: &mut Part, have: &mut dyn FnMut(u64)) -> Result<()> {
    let mut failed = 0;
    while part.length < part.info.size {
        let before = part.length;
        if let Err(error) = append(client, of, part, have) {
            if part.length >= before + PROGRESS {
                failed = 0;
            }
            client.pause(&mut failed, error)?;
        }
    }
    Ok(())
}

fn append(client: &Client, (commit, file): (&str, &str), part: &mut Part, have: &mut dyn FnMut(u64)) -> Result<()> {
    let (bytes, start) = client.bytes(commit, file, part.length)?;
    if start != part.length {
        part.restart()?;
        if start > 0 {
            return Err(Error::transient(format!("download {file}: the hub sent another part than was asked for")));
        }
    }
    let mut bytes = bytes.take(part.info.size - part.length);
    let mut buffer = vec![0; BUFFER];
    while part.length < part.info.size {
        let read = match bytes.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        let (length, size) = (part.length, part.info.size);
        let read =
            read.transient(|| format!("download {file}: the connection broke after {length} of {size} bytes"))?;
        part.append(&buffer[..read])?;
        have(part.length);
    }
    Ok(())
}

/// The beginning of a blob, on the disk, and its checksum so far.
struct Part<'a> {
    path: &'a Path,
    file: File,
    length: u64,
    checksum: Checksum,
    info: &'a FileInfo,
}

impl<'a> Part<'a> {
    fn open(path: &'a Path, info: &'a FileInfo) -> Result<Self> {
        let doing = || format!("open {}", path.display());
        make_parent(path)?;
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let file = file.or_else(|error| file_error(&doing(), error))?;
        let mut part = Self { path, file, length: 0, checksum: Checksum::of(info), info };
        let mut buffer = vec![0; BUFFER];
        loop {
            match part.file.read(&mut buffer).or_else(|error| file_error(&doing(), error))? {
                0 => break,
                read => part.checksum.add(&buffer[..read]),
            }
            part.length = part.file.stream_position().or_else(|error| file_error(&doing(), error))?;
        }
        if part.length > info.size {
            part.restart()?;
        }
        Ok(part)
    }

    fn restart(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.or_else(|error| file_error(&format!("empty {}", self.path.display()), error))?;
        self.length = 0;
        self.checksum = Checksum::of(self.info);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).or_else(|error| file_error(&format!("write {}", self.path.display()), error))?;
        self.checksum.add(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn is_right(&self) -> bool {
        self.checksum.clone().hex() == self.info.hash
    }

    /// Gives the blob its name, if its checksum is right, and forgets it if not.
    fn keep_as(self, blob: &Path, file: &str) -> Result<()> {
        let (got, expected) = (self.checksum.hex(), &self.info.hash);
        if got != *expected {
            let _ = fs::remove_file(self.path);
            return Err(Error::transient(format!(
                "download {file}: the checksum of what came is {got}, the hub's is {expected}; nothing of it was kept"
            )));
        }
        let kept = self.file.sync_all().and_then(|()| fs::rename(self.path, blob));
        kept.or_else(|error| file_error(&format!("write {}", blob.display()), error))
    }
}

/// The hub names large files by SHA-256 and small ones by the SHA-1 that git gives them.
#[derive(Clone)]
enum Checksum {
    Sha256(Sha256),
    Git(Sha1),
}

impl Checksum {
    fn of(info: &FileInfo) -> Self {
        if info.hash.len() == 64 {
            return Checksum::Sha256(Sha256::new());
        }
        Checksum::Git(Sha1::from(format!("blob {}\0", info.size)))
    }

    fn add(&mut self, bytes: &[u8]) {
        match self {
            Checksum::Sha256(hash) => hash.update(bytes),
            Checksum::Git(hash) => hash.update(bytes),
        }
    }

    fn hex(self) -> String {
        match self {
            Checksum::Sha256(hash) => format!("{:x}", hash.finalize()),
            Checksum::Git(hash) => hash.digest().to_string(),
        }
    }
}

/// Waits until no other process or thread fetches the blob. It is let go when the file is closed, or its process dies.
fn lock(path: &Path) -> Result<File> {
    make_parent(path)?;
    let locked = File::create(path).and_then(|file| match file.lock() {
        // Some network disks have no locks. Checksums still keep wrong blobs out.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        locked => locked.map(|()| file),
    });
    locked.or_else(|error| file_error(&format!("lock {}", path.display()), error))
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).or_else(|error| file_error(&format!("make folder {}", parent.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_files_checksum_is_gits() {
        // `printf 'hello\n' | git hash-object --stdin`
        let info = FileInfo { hash: "ce013625030ba8dba906f756967f9e9ca394464a".to_owned(), size: 6 };
        let mut checksum = Checksum::of(&info);
        checksum.add(b"hel");
        checksum.add(b"lo\n");
        assert_eq!(checksum.hex(), info.hash);
    }
}
