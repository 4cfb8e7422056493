//! How well it went: metrics before and after reranking, and over the weights.

use super::table;
use crate::report::{
    chart,
    data::{Change, Evaluation, EvaluationRow, Sweep},
    escape::Text,
    figures::{counted, difference, metric},
};
use std::fmt::{self, Write};

pub(super) fn write(out: &mut String, evaluations: &[Evaluation], sweeps: &[Sweep]) -> fmt::Result {
    out.write_str("<section id=\"metrics\"><h2>Metrics</h2>\n")?;
    for evaluation in evaluations {
        let caption = format!("{}, over {}", Text(&evaluation.reranker), counted(evaluation.queries, "query"));
        let heads = [
            "k",
            "Hits before",
            "after",
            "change",
            "MRR before",
            "after",
            "change",
            "Precision before",
            "after",
            "change",
        ];
        table(out, &caption, &heads, evaluation.rows.iter().map(row))?;
    }
    if !sweeps.is_empty() {
        out.write_str("<div class=\"charts\">")?;
        for sweep in sweeps {
            chart::sweep(out, sweep)?;
        }
        out.write_str("</div>\n")?;
    }
    out.write_str("</section>\n")
}

fn row(row: &EvaluationRow) -> Vec<String> {
    let mut cells = vec![row.k.to_string()];
    for Change { before, after } in [row.hits, row.mrr, row.precision] {
        let text = difference(after - before);
        let class = match text.chars().next() {
            Some('+') => "better",
            Some('−') => "worse",
            _ => "same",
        };
        cells.extend([metric(before), metric(after), format!("<span class=\"{class}\">{text}</span>")]);
    }
    cells
}
