//! Walks a folder tree in byte order of the objects' paths, as a bucket would list them.
//!
//! A folder sorts as its name with a `/`, so `a.txt` comes before what is in `a/`. Folders above `after` are read
//! again, those wholly before it are not entered. Links to folders are followed, but never into a folder
//! that the walk stands in.

use super::{durable::TEMPORARY, io_error, meta_of};
use imagefleet_common::{error::Result, ports::objects::ObjectMeta};
use std::{
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Device and inode: which folder it is, by whatever name it was reached.
type Identity = (u64, u64);

/// A folder the walk stands in: its entries still to come, the next one last.
struct Level {
    identity: Identity,
    /// Names as they sort: folders (and links that may be folders) with a `/` at the end.
    names: Vec<String>,
    /// The path of the folder below the root, empty or with a `/` at its end.
    path: String,
}

/// A listing in progress.
pub(super) struct Walk {
    root: PathBuf,
    after: String,
    levels: Vec<Level>,
}

impl Walk {
    /// The objects below `root` whose paths start with `prefix` and sort after `after`.
    pub(super) fn new(root: &Path, prefix: &str, after: &str) -> Result<Self> {
        let mut walk = Self { root: root.to_owned(), after: after.to_owned(), levels: Vec::new() };
        let folder = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
        walk.enter(folder, &prefix[folder.len()..])?;
        Ok(walk)
    }

    /// The next object; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<ObjectMeta>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let path = format!("{}{name}", level.path);
            if path.ends_with('/') {
                if path.as_str() > self.after.as_str() || self.after.starts_with(&path) {
                    self.enter(&path, "")?;
                }
            } else if path.as_str() > self.after.as_str() {
                match fs::metadata(self.root.join(&path)) {
                    Ok(found) if found.is_file() => return Ok(Some(meta_of(path, &found))),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(io_error(format!("list {path}"), error)),
                }
            }
        }
        Ok(None)
    }

    /// Goes into a folder, for the entries whose names start with `start`.
    fn enter(&mut self, path: &str, start: &str) -> Result<()> {
        let folder = self.root.join(path);
        let gone = |error: &std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        let identity = match fs::metadata(&folder) {
            Ok(found) => identity_of(&found),
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(io_error(format!("list {path}"), error)),
        };
        if self.levels.iter().any(|level| level.identity == identity) {
            return Ok(());
        }
        let mut names = match names_in(&folder, start) {
            Ok(names) => names,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(io_error(format!("list {path}"), error)),
        };
        names.sort_unstable_by(|a, b| b.cmp(a));
        self.levels.push(Level { identity, names, path: path.to_owned() });
        Ok(())
    }
}

fn names_in(folder: &Path, start: &str) -> std::io::Result<Vec<String>> {
    let (mut names, mut unreadable) = (Vec::new(), 0_usize);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else {
            unreadable += 1;
            continue;
        };
        if !name.starts_with(start) || name.starts_with(TEMPORARY) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
            name.push('/');
        }
        names.push(name);
    }
    if unreadable > 0 {
        tracing::warn!(folder = %folder.display(), unreadable, "names that are not UTF-8 are left out");
    }
    Ok(names)
}

fn identity_of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };

    fn paths(root: &Path, prefix: &str) -> Vec<String> {
        let mut walk = Walk::new(root, prefix, "").unwrap();
        std::iter::from_fn(|| walk.next().unwrap()).map(|object| object.path).collect()
    }

    #[test]
    fn links_are_followed_but_not_round_in_a_circle_nor_to_nothing() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/b/file"), "x").unwrap();
        fs::write(elsewhere.path().join("far"), "x").unwrap();
        symlink(root.path(), root.path().join("a/b/up")).unwrap();
        symlink(root.path().join("a/b/file"), root.path().join("link")).unwrap();
        symlink(elsewhere.path(), root.path().join("images")).unwrap();
        symlink("nothing", root.path().join("broken")).unwrap();
        assert_eq!(paths(root.path(), ""), ["a/b/file", "images/far", "link"]);
    }

    #[test]
    fn names_that_are_not_utf8_and_our_own_drafts_are_no_objects() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("good"), "x").unwrap();
        fs::write(root.path().join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
        fs::write(root.path().join(format!("{TEMPORARY}1-1")), "x").unwrap();
        assert_eq!(paths(root.path(), ""), ["good"]);
    }

    #[test]
    fn a_walk_reads_no_folder_beside_its_prefix() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("corpus")).unwrap();
        fs::write(root.path().join("corpus/1"), "x").unwrap();
        // Reading this one would fail the walk: a link to itself can't be looked at.
        fs::create_dir_all(root.path().join("private")).unwrap();
        symlink("itself", root.path().join("private/itself")).unwrap();
        assert_eq!(paths(root.path(), "corpus/"), ["corpus/1"]);
        let mut whole = Walk::new(root.path(), "", "").unwrap();
        assert_eq!(whole.next().unwrap().map(|object| object.path).as_deref(), Some("corpus/1"));
        assert!(whole.next().unwrap_err().is_permanent());
    }
}
