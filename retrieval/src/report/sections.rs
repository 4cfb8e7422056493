//! What stands on a page before anything runs: facts, metrics, times, the ledger, and the frame of the list of queries.

mod evaluation;
mod facts;
mod ledger;
mod timings;

use super::{
    data::{Report, Search},
    escape::Text,
    figures::count,
};
use std::fmt::{self, Write};

/// The body of a run's report, as markup.
pub(super) fn report(report: &Report) -> String {
    let mut out = String::new();
    write_report(&mut out, report).expect("a String takes everything");
    out
}

/// The body of a search's page.
pub(super) fn search(search: &Search) -> String {
    let mut out = String::new();
    write_search(&mut out, search).expect("a String takes everything");
    out
}

fn write_report(out: &mut String, report: &Report) -> fmt::Result {
    let has_metrics = !report.evaluations.is_empty() || !report.sweeps.is_empty();
    let mut parts = vec![("times", "Times"), ("ledger", "Ledger"), ("results", "Results")];
    if has_metrics {
        parts.insert(0, ("metrics", "Metrics"));
    }
    top(out, "Retrieval run", &report.title, &parts)?;
    facts::write(out, report)?;
    if has_metrics {
        evaluation::write(out, &report.evaluations, &report.sweeps)?;
    }
    timings::write(out, &report.timings)?;
    ledger::write(out, &report.ledger)?;
    results(out, "Results")?;
    end(out, &report.version, &report.created)
}

fn write_search(out: &mut String, search: &Search) -> fmt::Result {
    top(out, "imagefleet", "Search", &[])?;
    let about = [
        ("Model", search.model.clone()),
        ("Collection", search.collection.clone()),
        ("Pictures searched", count(search.index_size)),
    ];
    facts::list(out, &about)?;
    results(out, "Pictures")?;
    end(out, &search.version, &search.created)
}

fn top(out: &mut String, kind: &str, title: &str, parts: &[(&str, &str)]) -> fmt::Result {
    out.write_str("<a class=\"skip\" href=\"#results\">Skip to the results</a>\n<header class=\"top\"><div>")?;
    write!(out, "<p class=\"kind\">{kind}</p><h1>{}</h1></div>\n<nav aria-label=\"Sections\">", Text(title))?;
    for (id, name) in parts {
        write!(out, "<a href=\"#{id}\">{name}</a>")?;
    }
    out.write_str("<button type=\"button\" id=\"theme\" hidden>Theme</button></nav></header>\n<main>\n")
}

/// The script fills it.
fn results(out: &mut String, heading: &str) -> fmt::Result {
    writeln!(out, "<section id=\"results\" tabindex=\"-1\"><h2>{heading}</h2>")?;
    out.write_str("<noscript><p class=\"note\">Queries and their pictures are shown by a script, which is switched off here.</p></noscript>\n")?;
    out.write_str("<form id=\"controls\" role=\"search\" hidden></form>\n<div id=\"list\"></div>\n<div id=\"pager\"></div></section>\n")
}

fn end(out: &mut String, version: &str, created: &str) -> fmt::Result {
    out.write_str("</main>\n<footer><p>Made by imagefleet")?;
    if !version.is_empty() {
        write!(out, " {}", Text(version))?;
    }
    if !created.is_empty() {
        write!(out, " · {}", Text(created))?;
    }
    out.write_str("</p><p>The pictures belong to their authors, who are named beside them with the licence of each.</p></footer>\n")
}

/// A table of a heading row and rows of cells, which are markup; the first column is text, the others are numbers.
fn table(out: &mut String, caption: &str, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> fmt::Result {
    out.write_str("<div class=\"scroll\" tabindex=\"0\"><table>")?;
    if !caption.is_empty() {
        write!(out, "<caption>{caption}</caption>")?;
    }
    out.write_str("<thead><tr>")?;
    for head in heads {
        write!(out, "<th scope=\"col\">{head}</th>")?;
    }
    out.write_str("</tr></thead><tbody>\n")?;
    for row in rows {
        out.write_str("<tr>")?;
        for (column, cell) in row.iter().enumerate() {
            let (open, close) = if column == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            write!(out, "<{open}>{cell}</{close}>")?;
        }
        out.write_str("</tr>\n")?;
    }
    out.write_str("</tbody></table></div>\n")
}
