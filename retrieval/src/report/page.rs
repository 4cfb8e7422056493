//! A page around its sections: the policy, style and script, and the data that the script reads.

use super::{
    FOLDER,
    escape::{Text, base64, json},
    parts::Index,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Where a page's parts are.
pub(super) enum Data<'a> {
    Inside(&'a [String]),
    Beside,
}

#[derive(Serialize)]
struct Whole<'a> {
    /// Where the parts are, if not in the page.
    folder: Option<&'a str>,
    #[serde(flatten)]
    index: &'a Index,
}

/// `body` is markup.
pub(super) fn page(title: &str, body: &str, index: &Index, data: &Data<'_>) -> String {
    let (folder, parts) = match data {
        Data::Inside(parts) => (None, *parts),
        Data::Beside => (Some(FOLDER), &[][..]),
    };
    let index = json(&Whole { folder, index });
    let length: usize = parts.iter().map(|part| part.len() + 80).sum();
    let mut page = String::with_capacity(length + index.len() + body.len() + STYLE.len() + SCRIPT.len() + 4000);
    let policy = policy(folder.is_some());
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    let mut write = |text: std::fmt::Arguments<'_>| page.write_fmt(text).expect("a String takes everything");
    write(format_args!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n"));
    write(format_args!("<title>{} · imagefleet</title>\n", Text(title)));
    // The script comes before the body, so that the theme a person chose is there from the first paint on.
    write(format_args!("<style>{STYLE}</style>\n<script>{SCRIPT}</script>\n</head>\n<body>\n{body}"));
    write(format_args!("<script type=\"application/json\" id=\"index\">{index}</script>\n"));
    for (number, part) in parts.iter().enumerate() {
        write(format_args!("<script type=\"application/json\" id=\"part-{number}\">{part}</script>\n"));
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// A part as a file of its own.
pub(super) fn part_script(number: usize, part: &str) -> String {
    format!("imagefleetPart({number},{part});\n")
}

/// Nothing but this style, this script and pictures that stand in the data; and the files beside, which a page that is
/// opened as a file can name by their scheme only.
fn policy(has_files: bool) -> String {
    let hash = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text)));
    let files = if has_files { " 'self' file:" } else { "" };
    let (script, style) = (hash(SCRIPT), hash(STYLE));
    format!(
        "default-src 'none'; img-src data:; style-src {style}; script-src {script}{files}; base-uri 'none'; form-action 'none'"
    )
}
