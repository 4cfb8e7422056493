//! Where the time went.

use crate::report::{
    chart::bar,
    data::{PipelineTime, StageTime, Timings},
    escape::Text,
    figures::{count, counted, percent, rate, seconds},
};
use std::fmt::{self, Write};

pub(super) fn write(out: &mut String, timings: &Timings) -> fmt::Result {
    out.write_str("<section id=\"times\"><h2>Times</h2>\n")?;
    // Nothing was embedded, searched or reranked; only these files were written again, if that.
    let did_something = timings.stages.iter().any(|stage| stage.items > 0);
    if !did_something {
        out.write_str("<p>Everything was done already: this run embedded and searched nothing.</p>\n")?;
    }
    let longest = timings.stages.iter().map(|stage| stage.wall_seconds).fold(0.0, f64::max);
    if longest > 0.0 {
        out.write_str("<h3>Stages</h3>\n<div class=\"bars\">")?;
        for stage in &timings.stages {
            let class = if stage.wall_seconds == longest { "fill most" } else { "fill" };
            line(
                out,
                &stage.name,
                (stage.wall_seconds / longest, class),
                &seconds(stage.wall_seconds),
                &stage_rate(stage),
            )?;
        }
        out.write_str("</div>\n")?;
    }
    // The first of the busiest.
    let bottleneck = timings
        .pipeline
        .iter()
        .filter(|stage| stage.items > 0 && stage.busy > 0.0)
        .reduce(|a, b| if b.busy > a.busy { b } else { a });
    if let Some(bottleneck) = bottleneck {
        pipeline(out, &timings.pipeline, bottleneck)?;
    }
    out.write_str("</section>\n")
}

fn pipeline(out: &mut String, stages: &[PipelineTime], bottleneck: &PipelineTime) -> fmt::Result {
    write!(
        out,
        "<h3>Within embed</h3>\n<p>All of these work at once, so the busiest sets the pace: <b>{}</b>, at work {} of the time.</p>\n<div class=\"bars\">",
        Text(&bottleneck.name),
        percent(bottleneck.busy)
    )?;
    for stage in stages {
        let class = if std::ptr::eq(stage, bottleneck) { "fill most" } else { "fill" };
        let mut more = format!("{} of work", seconds(stage.busy_seconds));
        if stage.items > 0 {
            write!(more, ", {}", counted(stage.items, "picture"))?;
        }
        line(out, &stage.name, (stage.busy, class), &format!("{} busy", percent(stage.busy)), &more)?;
    }
    out.write_str("</div>\n")
}

fn stage_rate(stage: &StageTime) -> String {
    if stage.items == 0 {
        return "nothing to do".to_owned();
    }
    let mut text = format!("{} {}", count(stage.items), stage.unit);
    if stage.wall_seconds > 0.0 {
        text.push_str(&format!(", {} a second", rate(stage.items as f64 / stage.wall_seconds)));
    }
    text
}

fn line(out: &mut String, name: &str, share: (f64, &str), figure: &str, more: &str) -> fmt::Result {
    write!(out, "<div class=\"line\"><span class=\"name\">{}</span>", Text(name))?;
    bar(out, &[share])?;
    writeln!(out, "<span class=\"figure\">{figure}</span><span class=\"more\">{}</span></div>", Text(more))
}
