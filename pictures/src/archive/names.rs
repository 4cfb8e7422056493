//! Names of entries: which are pictures, which are unsafe, and the key of each.

use imagefleet_common::{
    job::pattern,
    ledger::{Reason, Rejection},
};
use md5::{Digest, Md5};
use std::fmt::Write;

/// Globs that choose the pictures among a shard's entries, with the rules of [`pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    pub fn new<S: AsRef<str>>(globs: &[S]) -> Self {
        Self(globs.iter().map(|glob| glob.as_ref().to_owned()).collect())
    }

    /// Whether the name matches at least one of the globs.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|glob| pattern::matches(glob, name))
    }
}

/// Whether an entry is a picture to be embedded or rejected. All others (directories, sidecars) are not counted.
pub fn is_picture(name: &str, patterns: &Patterns) -> bool {
    !name.ends_with('/') && !is_leftover(name) && patterns.matches(name)
}

/// What operating systems leave beside pictures, whose names may look like pictures.
fn is_leftover(name: &str) -> bool {
    let last = last_part(name);
    name.split('/').any(|part| part == "__MACOSX")
        || last.starts_with("._")
        || last == ".DS_Store"
        || last == "Thumbs.db"
}

/// Refuses a name that would leave its folder if it were written somewhere: empty, absolute, with a `..`, a backslash
/// or a NUL.
pub fn check_name(name: &str) -> Result<(), Rejection> {
    let fault = if name.is_empty() {
        "is empty"
    } else if name.starts_with('/') {
        "is absolute"
    } else if name.contains('\0') {
        "has a NUL"
    } else if name.contains('\\') {
        "has a backslash"
    } else if name.split('/').any(|part| part == "..") {
        "has a part `..`"
    } else {
        return Ok(());
    };
    Err(Rejection::new(Reason::UnsafeName, format!("name {fault}")))
}

/// YFCC's key of the photo behind a download URL: the MD5 of the URL, each byte in hexadecimal *without* a leading
/// zero, so 16 to 32 characters. Different URLs can have one key.
pub fn photo_key(download_url: &str) -> String {
    Md5::digest(download_url.as_bytes()).iter().fold(String::with_capacity(32), |mut key, byte| {
        write!(key, "{byte:x}").expect("a String takes all that is written");
        key
    })
}

/// The last part of a path without its extension: an entry's YFCC key, a shard's name.
pub fn stem(path: &str) -> &str {
    let last = last_part(path);
    match last.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => last,
    }
}

/// Refuses a YFCC key that does not begin with the name of its shard; then keys are unique across shards.
pub fn check_placed(key: &str, shard_path: &str) -> Result<(), Rejection> {
    let shard = stem(shard_path);
    if key.starts_with(shard) {
        return Ok(());
    }
    Err(Rejection::new(Reason::Misplaced, format!("key {key} does not begin with its shard's name, {shard}")))
}

/// The key of an entry that has no YFCC key: shard path `/` entry name, [escaped](escape).
pub fn entry_key(shard_path: &str, name: &str) -> String {
    format!("{}/{}", escape(shard_path), escape(name))
}

/// The key of a file in a folder: its path, [escaped](escape).
pub fn file_key(path: &str) -> String {
    escape(path)
}

/// Every byte of the UTF-8 text becomes `%` and two upper-case digits, but for ASCII letters and digits, `-`, `.`, `_`,
/// `~` (RFC 3986's unreserved characters) and `/`.
pub fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => escaped.push(byte.into()),
            _ => write!(escaped, "%{byte:02X}").expect("a String takes all that is written"),
        }
        escaped
    })
}

fn last_part(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_key_prints_each_byte_of_the_md5_without_a_leading_zero() {
        // Computed with Python: "".join("%x" % byte for byte in hashlib.md5(url.encode()).digest())
        for (url, key) in PHOTO_KEYS {
            assert_eq!(photo_key(url), key, "{url}");
        }
    }

    const PHOTO_KEYS: [(&str, &str); 3] = [
        ("", "d41d8cd98f0b24e980998ecf8427e"),
        ("http://farm1.staticflickr.com/1/2345_abcdef.jpg", "9f6d82666815eb8c34872931c04c3053"),
        ("http://farm6.staticflickr.com/5500/9123456789_0a1b2c3d4e.jpg", "87a642d2f2b7cf3e1b106f40eb13b2"),
    ];

    #[test]
    fn directories_and_leftovers_of_packers_are_no_pictures() {
        let patterns = Patterns::new(&["*.jpg", "*.png", "*.webp", "*.gif"]);
        for name in ["a.jpg", "b/c.PNG", "d.webp", "e.gif"] {
            assert!(is_picture(name, &patterns), "{name}");
        }
        for name in ["a.jpg/", "__MACOSX/a.jpg", "x/._a.jpg", "a.json", "README", "a.txt", ".DS_Store"] {
            assert!(!is_picture(name, &patterns), "{name}");
        }
    }

    #[test]
    fn a_name_that_would_leave_its_folder_is_unsafe() {
        for name in ["", "/etc/passwd", "../a.jpg", "a/../../b.jpg", "a\\b.jpg", "a\0.jpg", "a/.."] {
            assert_eq!(check_name(name).map_err(|rejection| rejection.reason), Err(Reason::UnsafeName), "{name:?}");
        }
        for name in ["a.jpg", "./a.jpg", "a..b/c...jpg", "ä ö/ü.jpg"] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn keys_escape_all_but_unreserved_characters_and_slashes() {
        assert_eq!(entry_key("a b/c.zip", "d/e%f~.jpg"), "a%20b/c.zip/d/e%25f~.jpg");
        assert_eq!(file_key("ä+ö.png"), "%C3%A4%2B%C3%B6.png");
    }

    #[test]
    fn a_key_that_does_not_begin_with_its_shards_name_is_misplaced() {
        assert_eq!(stem("images/abc.zip"), "abc");
        assert_eq!(stem("data/abc/def/abcdef12.jpg"), "abcdef12");
        assert_eq!(stem(".hidden"), ".hidden");
        assert_eq!(check_placed("abcdef12", "images/abc.zip"), Ok(()));
        assert_eq!(check_placed("abddef12", "images/abc.zip").map_err(|found| found.reason), Err(Reason::Misplaced));
    }
}
