//! From the paths of a job file to those of this machine.

use super::Place;
use std::path::{Component, Path, PathBuf};

/// Whether a path may lead out of the folder that it starts from by `..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upwards {
    Allowed,
    /// Only in an embedded run, like an absolute path.
    Embedded,
}

/// `text` from `base`, or what was expected instead of it.
pub(super) fn resolve(text: &str, base: &Path, place: &Place, upwards: Upwards) -> Result<PathBuf, String> {
    if let Place::Fleet = place {
        portable(text, upwards)?;
    }
    let path = match text.strip_prefix('~') {
        Some("") => home()?,
        Some(rest) if rest.starts_with('/') => home()?.join(rest.trim_start_matches('/')),
        Some(_) => return Err("\"~/\" for the home directory: another user's is not known".to_owned()),
        None => base.join(text),
    };
    Ok(normal(&path))
}

/// A job file for a fleet names no place on one machine.
fn portable(text: &str, upwards: Upwards) -> Result<(), String> {
    let reason = if text.starts_with('~') {
        "'~' means this machine"
    } else if Path::new(text).is_absolute() {
        "an absolute path means this machine"
    } else if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:")) {
        "a file URL means this machine"
    } else if upwards == Upwards::Embedded && Path::new(text).components().any(|part| part == Component::ParentDir) {
        "'..' leads out of the object root"
    } else {
        return Ok(());
    };
    Err(format!("a relative path, because the job goes to a fleet: {reason}"))
}

fn home() -> Result<PathBuf, String> {
    match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => Ok(PathBuf::from(home)),
        _ => Err("a path without '~', because HOME is not set".to_owned()),
    }
}

/// Without `.` and `..`, as far as names alone tell (links are not followed).
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            Component::ParentDir if normal.has_root() => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_by_name_and_the_root_is_its_own_parent() {
        for (path, expected) in [("/a/./b/../c/", "/a/c"), ("/../../a", "/a"), ("../a/..", ".."), ("./", "")] {
            assert_eq!(normal(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
