//! What may be the path of an object, whatever stores it.

use imagefleet_common::error::{Error, Result};

/// A path that stays below the root: not empty, relative, without `.`, `..`, empty parts or NUL.
pub(super) fn checked(path: &str) -> Result<&str> {
    match is_path(path) {
        true => Ok(path),
        false => Err(Error::permanent(format!("{path:?} is no path of an object"))),
    }
}

/// The beginning of a path; it may be empty, and it may end anywhere in a part.
pub(super) fn checked_prefix(prefix: &str) -> Result<&str> {
    if !prefix.is_empty() {
        checked(prefix.strip_suffix('/').unwrap_or(prefix))?;
    }
    Ok(prefix)
}

pub(super) fn is_path(path: &str) -> bool {
    !path.split('/').any(|part| matches!(part, "" | "." | "..") || part.contains('\0'))
}
