//! Files that appear whole: written beside their place under a temporary name, synced, renamed, the folder synced.
//!
//! A writer holds a lock on its temporary file. A temporary file that nobody has locked was left by a process
//! that died, and [`sweep`] removes it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// How the names of our temporary files begin: such files are no objects.
pub const TEMPORARY: &str = ".imagefleet-put-";

/// A file that is being written and is not yet in its place. Dropping it removes it.
pub struct Draft {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    placed: bool,
}

impl Draft {
    /// A draft of `target`, in `target`'s folder.
    pub fn new(target: &Path) -> io::Result<Self> {
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
            let temporary = folder_of(target).join(format!("{TEMPORARY}{}-{number}", process::id()));
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&temporary)?;
            // Between creating and locking it, a sweeper may have taken the file for abandoned. On a file system
            // without locks nobody can: asking for the lock fails there too.
            let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || file.metadata()?.nlink() == 0;
            if !taken {
                return Ok(Self { file, temporary, target: target.to_owned(), placed: false });
            }
        }
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where the draft stands, for those who write to it by name.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Puts the file in its place; durable on return.
    pub fn place(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.placed = true;
        sync_folder(folder_of(&self.target))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Replaces `target` by `bytes`.
pub fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::new(target)?;
    draft.file().write_all(bytes)?;
    draft.place()
}

/// Makes `folder` and what is missing above it, each entry durable.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        create_folders(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(folder_of(folder)),
    }
}

/// Makes what was created, renamed or removed in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes the temporary files in `folder` whose writers died.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// The folder that holds `path`; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_is_dropped_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("summary.json");
        write(&target, b"old").unwrap();
        let mut draft = Draft::new(&target).unwrap();
        draft.file().write_all(b"new").unwrap();
        drop(draft);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn sweeping_takes_what_a_dead_writer_left_and_spares_a_living_one() {
        let folder = tempfile::tempdir().unwrap();
        let abandoned = folder.path().join(format!("{TEMPORARY}1-0"));
        fs::write(&abandoned, b"half").unwrap();
        let draft = Draft::new(&folder.path().join("alive")).unwrap();
        sweep(folder.path()).unwrap();
        assert!(!abandoned.exists());
        assert!(draft.path().exists());
    }
}
