//! The plot: for each case a bar per contender, as a multiple of the baseline, with a whisker from
//! the best round to the worst. Plain SVG, drawn by hand: bars and text need no plotting crate.

use std::fmt::{self, Write};

use super::{Spread, baseline, short};
use crate::session::{CaseResults, Entry, Results};

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// Where bars start: room for the names.
const LEFT: f64 = 90.0;
/// Where the longest bar ends: room for the figures.
const RIGHT: f64 = WIDTH - 200.0;
const TITLE_HEIGHT: f64 = 30.0;
const BAR_PITCH: f64 = 20.0;
const BAR_HEIGHT: f64 = 13.0;
const PANEL_GAP: f64 = 14.0;

/// The whole plot.
pub(super) fn svg(results: &Results) -> String {
    let mut text = String::new();
    write(&mut text, results).expect("writing to a string cannot fail");
    text
}

fn write(text: &mut String, results: &Results) -> fmt::Result {
    let height = 2.0 * MARGIN + results.cases.iter().map(panel_height).sum::<f64>();
    writeln!(
        text,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">
<style>
  .ground {{ fill: #fff }} text {{ fill: #333 }} .title {{ font-weight: bold }}
  .bar {{ fill: #9db4c9 }} .ours {{ fill: #d9722e }} .limit {{ fill: #c9c9c9 }}
  .line {{ stroke: #333; stroke-width: 1 }} .base {{ stroke: #999; stroke-dasharray: 3 3 }}
</style>
<rect class="ground" width="{WIDTH}" height="{height}"/>"#
    )?;
    let mut top = MARGIN;
    for case in &results.cases {
        panel(text, case, top)?;
        top += panel_height(case);
    }
    writeln!(text, "</svg>")
}

fn panel_height(results: &CaseResults) -> f64 {
    TITLE_HEIGHT + results.entries.len() as f64 * BAR_PITCH + PANEL_GAP
}

fn panel(text: &mut String, results: &CaseResults, top: f64) -> fmt::Result {
    let Some(baseline) = baseline(results) else {
        return Ok(());
    };
    let headline = &results.case.row.columns[0];
    let base = baseline.contender.name;
    writeln!(
        text,
        r#"<text x="{MARGIN}" y="{}"><tspan class="title">{}</tspan> – {}, × {base}; shorter is better</text>"#,
        top + 14.0,
        results.case.title(),
        headline.name,
    )?;

    let worst = results
        .entries
        .iter()
        .filter_map(|entry| Some(Spread::ratio(entry, baseline, 0)?.max))
        .fold(1.0, f64::max);
    let at = |ratio: f64| LEFT + (RIGHT - LEFT) * ratio / worst;
    let bars = top + TITLE_HEIGHT - 6.0;
    for (index, entry) in results.entries.iter().enumerate() {
        bar(
            text,
            entry,
            baseline,
            bars + index as f64 * BAR_PITCH,
            at,
            headline.unit,
        )?;
    }
    writeln!(
        text,
        r#"<line class="base" x1="{0:.1}" x2="{0:.1}" y1="{bars:.1}" y2="{1:.1}"/>"#,
        at(1.0),
        bars + results.entries.len() as f64 * BAR_PITCH,
    )
}

fn bar(
    text: &mut String,
    entry: &Entry,
    baseline: &Entry,
    top: f64,
    at: impl Fn(f64) -> f64,
    unit: &str,
) -> fmt::Result {
    let name = entry.contender.name;
    let (middle, foot) = (top + BAR_PITCH / 2.0, top + BAR_PITCH / 2.0 + 4.0);
    writeln!(text, r#"<text x="{MARGIN}" y="{foot:.1}">{name}</text>"#)?;
    let ratio = Spread::ratio(entry, baseline, 0);
    let value = Spread::column(entry, 0);
    let (Some(ratio), Some(value)) = (ratio, value) else {
        return writeln!(text, r#"<text x="{LEFT}" y="{foot:.1}">failed</text>"#);
    };
    let class = match name {
        "compio" => "ours",
        "raw" | "pread" => "limit",
        _ => "bar",
    };
    writeln!(
        text,
        r#"<rect class="{class}" x="{LEFT}" y="{:.1}" width="{:.1}" height="{BAR_HEIGHT}"/>
<line class="line" x1="{:.1}" x2="{:.1}" y1="{middle:.1}" y2="{middle:.1}"/>
<text x="{:.1}" y="{foot:.1}">{} {unit} · {:.2} ×</text>"#,
        middle - BAR_HEIGHT / 2.0,
        at(ratio.median) - LEFT,
        at(ratio.min),
        at(ratio.max),
        RIGHT + 14.0,
        short(value.median),
        ratio.median,
    )
}
