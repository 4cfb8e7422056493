//! Drawings as SVG, of attributes alone: the page's policy allows no style that stands in an element.

use super::{data::Sweep, escape::Text, figures::metric};
use std::fmt::{self, Write};

/// A share of a bar, from 0 to 1, and its class.
pub(super) type Slice<'a> = (f64, &'a str);

/// A horizontal bar as wide as its place. What it shows stands beside it in words.
pub(super) fn bar(out: &mut String, slices: &[Slice<'_>]) -> fmt::Result {
    write!(
        out,
        "<svg class=\"bar\" width=\"100%\" height=\"12\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%\" height=\"12\"/>"
    )?;
    let mut left = 0.0;
    for (share, class) in slices {
        let share = if share.is_finite() { share.clamp(0.0, 1.0 - left) } else { 0.0 };
        if share > 0.0 {
            let (x, width) = (100.0 * left, 100.0 * share);
            write!(out, "<rect class=\"{class}\" x=\"{x:.3}%\" width=\"{width:.3}%\" height=\"12\"/>")?;
        }
        left += share;
    }
    out.write_str("</svg>")
}

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 38.0;

/// A metric over the weights: a line, a point a weight, and a mark where the run's own weight is.
pub(super) fn sweep(out: &mut String, sweep: &Sweep) -> fmt::Result {
    let points = || sweep.points.iter().filter(|point| point.weight.is_finite() && point.value.is_finite());
    let Some(best) = points().max_by(|a, b| a.value.total_cmp(&b.value).then(b.weight.total_cmp(&a.weight))) else {
        return Ok(());
    };
    let (first, last) = range(points().map(|point| point.weight), 0.1);
    let (low, high) = range(points().map(|point| point.value), 0.01);
    let x = |weight: f64| LEFT + (weight - first) / (last - first) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let (reranker, name) = (Text(&sweep.reranker), Text(&sweep.metric));
    write!(
        out,
        "<figure class=\"chart\"><figcaption><b>{name}</b> by weight of {reranker}: best {} at {}",
        metric(best.value),
        best.weight
    )?;
    if let Some(used) = sweep.used {
        write!(out, ", this run used {used}")?;
    }
    write!(out, "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name} by weight\">")?;
    for value in [low, (low + high) / 2.0, high] {
        let (y, end, text) = (y(value), WIDTH - RIGHT, metric(value));
        write!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{end}\"/>")?;
        write!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 7.0, y + 4.0)?;
    }
    for weight in [first, (first + last) / 2.0, last] {
        let (x, y, text) = (x(weight), HEIGHT - BOTTOM + 17.0, short(weight));
        write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>")?;
    }
    let (middle, end) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 4.0);
    write!(out, "<text x=\"{middle:.1}\" y=\"{end:.1}\" text-anchor=\"middle\">weight</text>")?;
    if let Some(used) = sweep.used.filter(|used| (first..=last).contains(used)) {
        write!(out, "<path class=\"used\" d=\"M{:.1} {TOP}V{:.1}\"/>", x(used), HEIGHT - BOTTOM)?;
    }
    out.write_str("<path class=\"line\" d=\"")?;
    for (number, point) in points().enumerate() {
        let step = if number == 0 { 'M' } else { 'L' };
        write!(out, "{step}{:.1} {:.1}", x(point.weight), y(point.value))?;
    }
    out.write_str("\"/>")?;
    for point in points() {
        let (x, y) = (x(point.weight), y(point.value));
        let title = format!("weight {}: {}", point.weight, metric(point.value));
        write!(out, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{title}</title></circle>")?;
    }
    out.write_str("</svg></figure>")
}

/// Lowest and highest, and some room where they are one.
fn range(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if high - low < 1e-9 { (low - room, high + room) } else { (low, high) }
}

/// A weight with as many digits as the axis has room for.
fn short(weight: f64) -> String {
    let text = format!("{weight:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
