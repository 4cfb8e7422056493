//! The data directory of embedded runs: one process works in it at a time.

use crate::args::Global;
use imagefleet_common::{Context, Error, Result};
use std::{
    fs::{File, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// A directory that may or may not be there yet.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

/// Proof that no other process works in the directory; ends with the process, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl DataDir {
    /// The configured directory, or `.imagefleet` in `folder`.
    pub fn new(configured: Option<&Path>, folder: &Path) -> Self {
        Self(configured.map_or_else(|| folder.join(".imagefleet"), Path::to_path_buf))
    }

    /// That of a command without a job file: the configured one, or `.imagefleet` in the working directory.
    pub(crate) fn here(global: &Global) -> Self {
        Self::new(global.data.as_deref(), Path::new("."))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn store(&self) -> PathBuf {
        self.0.join("state.sqlite")
    }

    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    pub fn artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }

    /// Has anything run in it? Permanent error where this user may not look: with SQLite that takes the right to write.
    pub fn is_there(&self) -> Result<bool> {
        let doing = || {
            let path = self.0.display();
            format!(
                "open the data directory {path}, where this user must be able to read and write (or name another with --data)"
            )
        };
        if !self.store().try_exists().permanent(doing)? {
            return Ok(false);
        }
        // Not the database: SQLite's locks are the process's, and closing any descriptor of the file ends them.
        match File::options().write(true).open(self.0.join("lock")) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).permanent(doing),
            _ => Ok(true),
        }
    }

    /// Does a process work in it, as far as this one may see?
    pub(crate) fn is_in_use(&self) -> bool {
        File::open(self.0.join("lock"))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Makes the directory and takes its lock, or says who has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.0.join("lock");
        let doing = || format!("lock the data directory {}", self.0.display());
        std::fs::create_dir_all(&self.0).permanent(doing)?;
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).permanent(doing)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is only told for a person; the lock itself is the file's.
                let _ = file.read_to_string(&mut holder);
                let doing = doing();
                return Err(Error::permanent(format!(
                    "{doing}: process {} works in it; wait for it, or name another directory with --data",
                    holder.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Error::permanent(doing()).because(error)),
        }
        file.set_len(0).permanent(doing)?;
        file.rewind().permanent(doing)?;
        writeln!(file, "{}", std::process::id()).permanent(doing)?;
        Ok(Lock(file))
    }
}

/// Who only looks whether it is held has it for a moment.
fn try_lock(file: &File) -> std::result::Result<(), TryLockError> {
    const MOMENT: Duration = Duration::from_millis(50);
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            std::thread::sleep(MOMENT);
            file.try_lock()
        }
        tried => tried,
    }
}
