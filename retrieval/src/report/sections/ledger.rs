//! What became of every picture.

use super::table;
use crate::report::{
    MOST_SHARDS,
    chart::bar,
    data::{Ledger, Picture, RejectedExample},
    escape::{Text, data_url, web},
    figures::{count, counted, percent},
    licence,
};
use crate::results::{Pictures, ShardRow};
use imagefleet_common::ledger::Reason;
use std::fmt::{self, Write};

pub(super) fn write(out: &mut String, ledger: &Ledger) -> fmt::Result {
    out.write_str("<section id=\"ledger\"><h2>Ledger</h2>\n")?;
    summary(out, &ledger.pictures)?;
    shards(out, &ledger.shards)?;
    rejected(out, ledger)?;
    out.write_str("</section>\n")
}

fn summary(out: &mut String, pictures: &Pictures) -> fmt::Result {
    let Pictures { seen, embedded, missing, unattributed, .. } = *pictures;
    let rejected: u64 = pictures.rejected.values().sum();
    let unprocessed: u64 = pictures.unprocessed.values().sum();
    if seen == 0 && missing == 0 {
        return out.write_str("<p>No picture was seen.</p>\n");
    }
    let share = |part: u64| if seen == 0 { 0.0 } else { part as f64 / seen as f64 };
    writeln!(
        out,
        "<p class=\"sum\"><b>{}</b> seen = <b>{}</b> embedded + <b>{}</b> rejected + <b>{}</b> unprocessed</p>",
        count(seen),
        count(embedded),
        count(rejected),
        count(unprocessed)
    )?;
    bar(out, &[(share(embedded), "embedded"), (share(rejected), "rejected"), (share(unprocessed), "unprocessed")])?;
    let row = |class: &str, name: String, number: u64| {
        vec![format!("<span class=\"key {class}\"></span>{name}"), count(number), percent(share(number))]
    };
    let mut rows = vec![row("embedded", "embedded".to_owned(), embedded)];
    rows.extend(
        pictures.rejected.iter().map(|(reason, number)| row("rejected", format!("rejected: {reason}"), *number)),
    );
    rows.extend(
        pictures.unprocessed.iter().map(|(why, number)| row("unprocessed", format!("unprocessed: {why}"), *number)),
    );
    table(out, "", &["Pictures", "", "of those seen"], rows)?;
    if missing > 0 {
        writeln!(out, "<p>{} named by the metadata and in no shard; not seen.</p>", are(missing))?;
    }
    if unattributed > 0 {
        writeln!(out, "<p>{} embedded without metadata that would name author and licence.</p>", are(unattributed))?;
    }
    Ok(())
}

fn are(pictures: u64) -> String {
    format!("{} {}", counted(pictures, "picture"), if pictures == 1 { "is" } else { "are" })
}

fn shards(out: &mut String, shards: &[ShardRow]) -> fmt::Result {
    if shards.is_empty() {
        return Ok(());
    }
    if shards.len() > MOST_SHARDS {
        return writeln!(
            out,
            "<p>They are in {}, each of which has its line in the ledger's file.</p>",
            counted(shards.len() as u64, "shard")
        );
    }
    let row = |shard: &ShardRow| {
        let name = if shard.shard.is_empty() { "(the source itself)" } else { &shard.shard };
        let sums = [
            shard.seen,
            shard.embedded,
            shard.rejected.values().sum(),
            shard.unprocessed.values().sum(),
            shard.missing,
        ];
        std::iter::once(Text(name).to_string()).chain(sums.map(count)).collect()
    };
    writeln!(
        out,
        "<details{}><summary>{}</summary>",
        if shards.len() > 10 { "" } else { " open" },
        counted(shards.len() as u64, "shard")
    )?;
    table(out, "", &["Shard", "Seen", "Embedded", "Rejected", "Unprocessed", "Missing"], shards.iter().map(row))?;
    out.write_str("</details>\n")
}

fn rejected(out: &mut String, ledger: &Ledger) -> fmt::Result {
    let mut examples: Vec<&RejectedExample> = ledger.rejected.iter().collect();
    if examples.is_empty() {
        return Ok(());
    }
    examples.sort_by_key(|example| example.reason);
    out.write_str("<h3>Some of the rejected pictures</h3>\n<div class=\"reasons\">")?;
    for of_reason in examples.chunk_by(|a, b| a.reason == b.reason) {
        let reason = of_reason[0].reason;
        let all = ledger.pictures.rejected.get(&reason).copied().unwrap_or(0).max(of_reason.len() as u64);
        write!(
            out,
            "<div><h4>{reason} <span>{} of {}</span></h4><p class=\"why\">{}</p>\n<ul class=\"tiles\">",
            of_reason.len(),
            count(all),
            meaning(reason)
        )?;
        of_reason.iter().try_for_each(|example| tile(out, example))?;
        out.write_str("</ul></div>\n")?;
    }
    out.write_str("</div>\n")
}

fn tile(out: &mut String, example: &RejectedExample) -> fmt::Result {
    out.write_str("<li>")?;
    let shown = example.preview.as_ref().and_then(|preview| Some((data_url(&preview.bytes)?, &preview.of)));
    match &shown {
        Some((url, _)) => write!(out, "<div class=\"frame\"><img alt=\"\" src=\"{url}\"></div>")?,
        None => out.write_str("<div class=\"frame none\"><span>nothing to show</span></div>")?,
    }
    let RejectedExample { key, shard, entry, detail, .. } = example;
    write!(out, "<p class=\"what\">{}</p><p class=\"where\">{}", Text(detail), Text(entry))?;
    if !shard.is_empty() {
        write!(out, "<br>in {}", Text(shard))?;
    }
    // Mostly a key says no more than shard and entry, or is a part of the entry's name.
    if !key.contains(entry.as_str()) && !entry.contains(key.as_str()) {
        write!(out, "<br>key {}", Text(key))?;
    }
    out.write_str("</p>")?;
    if let Some((_, picture)) = shown {
        credit(out, picture)?;
    }
    out.write_str("</li>\n")
}

/// As the script says it of the pictures of queries.
fn credit(out: &mut String, picture: &Picture) -> fmt::Result {
    if picture.is_own {
        return Ok(());
    }
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let link = |url: &str, text: &str| match web(url) {
        Some(url) => {
            format!("<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{}</a>", Text(url), Text(text))
        }
        None => Text(text).to_string(),
    };
    let source = web(&picture.page).map_or("source not known".to_owned(), |page| link(page, "source"));
    let licence = or(&licence::short(&picture.licence, &picture.licence_url), "licence not known");
    let author =
        if picture.author.is_empty() { "author not known".to_owned() } else { format!("by {}", picture.author) };
    write!(
        out,
        "<p class=\"credit\"><span class=\"title\">{}</span><span>{}</span><span>{} · {source}</span></p>",
        Text(or(&picture.title, "Untitled")),
        Text(author),
        link(&picture.licence_url, &licence)
    )
}

/// As the reasons' own documentation says it.
fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::Empty => "No bytes at all.",
        Reason::UnknownFormat => "Begins like no picture format that is read.",
        Reason::Truncated => "Ends before the picture does.",
        Reason::Undecodable => "A decoder refused it.",
        Reason::TooManyBytes => "More bytes than the job file's limits.max_bytes.",
        Reason::TooManyPixels => "More pixels than the job file's limits.max_pixels.",
        Reason::SideTooLong => "A side longer than the job file's limits.max_side.",
        Reason::WrongChecksum => "The archive's own checksum does not match.",
        Reason::BadEntry => "The archive's entry cannot be unpacked.",
        Reason::Duplicate => "A later entry of a name that the shard already has.",
        Reason::KeyCollision => "Two metadata rows have this key and different URLs.",
        Reason::Misplaced => "The key does not begin with its shard's name.",
        Reason::UnsafeName => "An entry name that would leave its folder.",
        Reason::NotFinite => "The model gave a vector that is not finite or has no length.",
        Reason::Crashes => "The process died twice at this picture.",
        Reason::Filtered => "Kept out by the collection's filter.",
        Reason::Takedown => "Taken down.",
    }
}
