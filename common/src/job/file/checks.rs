//! What the strings of a job file must look like. Each check returns what was expected instead.

use std::result::Result;

/// Names become parts of paths and of collection names.
pub(super) fn name(text: &str) -> Result<(), String> {
    const LONGEST: usize = 64;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits =
        text.len() <= LONGEST && text.chars().all(allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    expect(fits, || {
        format!("1 to {LONGEST} letters (a-z, A-Z), digits, '-', '_' or '.', beginning with a letter or a digit")
    })
}

pub(super) fn not_empty(text: &str) -> Result<(), String> {
    expect(!text.trim().is_empty(), || "a path".to_owned())
}

/// `owner/name` or `owner/name@revision`.
pub(super) fn hub_name(text: &str) -> Result<(), String> {
    let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
    let is_word = |part: &str| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        !part.is_empty() && !part.starts_with('.') && !part.contains("..") && part.chars().all(allowed)
    };
    let is_id = id.split_once('/').is_some_and(|(owner, name)| is_word(owner) && is_word(name));
    // In the cache two hyphens stand for the slash.
    let is_id = is_id && !id.contains("--");
    expect(is_id && revision.split('/').all(is_word), || "owner/name or owner/name@revision".to_owned())
}

pub(super) fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

/// A pattern as [`pattern`](crate::job::pattern) reads it.
pub(super) fn glob(text: &str) -> Result<(), String> {
    below(text)?;
    expect(!text.contains(['[', ']', '{', '}']), || {
        "a pattern of names, '*', '?' and '**/' only; brackets and braces are not known, write several patterns"
            .to_owned()
    })?;
    let parts: Vec<&str> = text.split('/').collect();
    let last = parts.len() - 1;
    let stars = parts.iter().enumerate().all(|(at, part)| !part.contains("**") || (*part == "**" && at < last));
    expect(stars, || "'**' alone between slashes and not at the end, as in \"**/*.zip\"".to_owned())
}

/// Where a shard's metadata stands: a path with the shard's name in it.
pub(super) fn metadata(text: &str) -> Result<(), String> {
    below(text)?;
    let rest = text.replace("{shard}", "");
    let one_place = text.contains("{shard}") && !rest.contains(['{', '}', '*', '?']);
    expect(one_place, || {
        "a path with {shard} in it and no other wildcard, as in \"metadata/{shard}.jsonl.gz\"".to_owned()
    })
}

/// A `/`-separated path that stays below where it starts.
fn below(text: &str) -> Result<(), String> {
    let parts = || text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    expect(!text.contains('\\') && parts(), || {
        "a path below the corpus source: '/' between its parts, no '/' at its ends, no '.', '..' or '\\'".to_owned()
    })
}

fn expect(holds: bool, expected: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(expected()) }
}
