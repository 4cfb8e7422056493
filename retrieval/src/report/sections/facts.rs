//! What ran, on what, and what a reader must know before the rest.

use crate::report::{
    data::{Report, Reranker},
    escape::{Text, beside},
    figures::{count, metric, seconds},
};
use std::fmt::{self, Write};

pub(super) fn write(out: &mut String, report: &Report) -> fmt::Result {
    out.write_str("<section class=\"about\" aria-label=\"About this run\">\n")?;
    notes(out, &report.notes)?;
    headline(out, report)?;
    let facts = [
        ("Model", report.model.clone()),
        ("Corpus", report.corpus.clone()),
        ("Collection", report.collection.clone()),
        (if report.rerankers.len() > 1 { "Rerankers" } else { "Reranker" }, rerankers(&report.rerankers)),
        ("Candidates a query", count(report.candidates)),
        ("Created", report.created.clone()),
        ("Version", report.version.clone()),
    ];
    list(out, &facts)?;
    files(out, report)?;
    out.write_str("</section>\n")
}

/// Names and texts; what is empty is left out.
pub(super) fn list(out: &mut String, facts: &[(&str, String)]) -> fmt::Result {
    out.write_str("<dl class=\"facts\">")?;
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(fact))?;
    }
    out.write_str("</dl>\n")
}

fn notes(out: &mut String, notes: &[String]) -> fmt::Result {
    if notes.is_empty() {
        return Ok(());
    }
    out.write_str("<ul class=\"notes\" aria-label=\"Notes\">")?;
    for note in notes {
        write!(out, "<li>{}</li>", Text(note))?;
    }
    out.write_str("</ul>\n")
}

fn headline(out: &mut String, report: &Report) -> fmt::Result {
    let mut figures = vec![
        (count(report.queries), if report.queries == 1 { "query" } else { "queries" }.to_owned()),
        (count(report.index_size), "pictures searched".to_owned()),
        (count(report.ledger.pictures.rejected.values().sum()), "pictures rejected".to_owned()),
    ];
    if let Some(evaluation) = report.evaluations.first()
        && let Some(first) = evaluation.rows.first()
    {
        let name = format!("hits at {} ({} before reranking)", first.k, metric(first.hits.before));
        figures.insert(0, (metric(first.hits.after), name));
    }
    if report.timings.wall_seconds > 0.0 {
        figures.push((seconds(report.timings.wall_seconds), "wall time".to_owned()));
    }
    out.write_str("<ul class=\"headline\">")?;
    for (figure, name) in figures {
        write!(out, "<li><b>{figure}</b> <span>{name}</span></li>")?;
    }
    out.write_str("</ul>\n")
}

fn rerankers(rerankers: &[Reranker]) -> String {
    let named = |reranker: &Reranker| match reranker.weight {
        Some(weight) => format!("{} (weight {weight})", reranker.name),
        None => reranker.name.clone(),
    };
    rerankers.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn files(out: &mut String, report: &Report) -> fmt::Result {
    if report.files.is_empty() {
        return Ok(());
    }
    out.write_str("<ul class=\"files\" aria-label=\"Files\">")?;
    for file in &report.files {
        let name = Text(&file.path);
        match beside(&file.path) {
            Some(path) => write!(out, "<li><a href=\"{}\">{name}</a>", Text(path))?,
            None => write!(out, "<li>{name}")?,
        }
        write!(out, " <span>{}</span></li>", Text(&file.about))?;
    }
    out.write_str("</ul>\n")
}
