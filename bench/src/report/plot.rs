//! The plot: for each case a bar per contender, as a multiple of the baseline, with a whisker from
//! the best round to the worst. Plain SVG, drawn by hand: bars and text need no plotting crate.

use std::fmt::{self, Write};

use crate::{
    report::{
        spread::{Spread, baseline, short},
        style,
    },
    row::Case,
    session::{CaseResults, Entry, Results},
};

const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 420.0;
const WIDTH: f64 = PANEL_WIDTH * COLUMNS as f64;
const MARGIN: f64 = 12.0;
/// The start of the bars in a panel: room for the names.
const LEFT: f64 = MARGIN + 72.0;
/// The end of the longest bar: room for the figures.
const RIGHT: f64 = PANEL_WIDTH - 122.0;
const TITLE_HEIGHT: f64 = 36.0;
const BAR_PITCH: f64 = 15.0;
const BAR_HEIGHT: f64 = 10.0;
const PANEL_GAP: f64 = 16.0;
/// Longer bars are cut, so that small differences remain visible.
const RATIO_MAX: f64 = 3.0;

/// The whole plot.
pub(super) fn svg(results: &Results) -> String {
    let mut text = String::new();
    write(&mut text, results).expect("writing to a string cannot fail");
    text
}

fn write(text: &mut String, results: &Results) -> fmt::Result {
    let is_shown = |results: &&CaseResults| {
        let Case { row, width } = results.case;
        // If the limit of open files reduces the width, the case is still shown.
        row.shown.contains(&width) || row.shown.len() == 1 && row.widths.len() == 1
    };
    let shown: Vec<_> = results.cases.iter().filter(is_shown).collect();
    let lines: Vec<_> = shown.chunks(COLUMNS).collect();
    let height_of = |line: &[&CaseResults]| {
        let most = line.iter().map(|results| results.entries.len()).max();
        TITLE_HEIGHT + most.unwrap_or(0) as f64 * BAR_PITCH + PANEL_GAP
    };
    let height = 2.0 * MARGIN + lines.iter().map(|line| height_of(line)).sum::<f64>();
    style::open(text, WIDTH, height)?;
    let mut top = MARGIN;
    for line in lines {
        for (index, results) in line.iter().enumerate() {
            writeln!(
                text,
                r#"<g transform="translate({}, {top})">"#,
                index as f64 * PANEL_WIDTH
            )?;
            panel(text, results)?;
            writeln!(text, "</g>")?;
        }
        top += height_of(line);
    }
    writeln!(text, "</svg>")
}

fn panel(text: &mut String, results: &CaseResults) -> fmt::Result {
    let Some(baseline) = baseline(results) else {
        return Ok(());
    };
    let headline = &results.case.row.columns[0];
    let base = baseline.contender.name;
    writeln!(
        text,
        r#"<text class="title" x="{MARGIN}" y="12">{}</text>
<text class="faint" x="{MARGIN}" y="26">{}, × of {base}; shorter is better</text>"#,
        results.case.title(),
        headline.name,
    )?;

    let worst = results
        .entries
        .iter()
        .filter_map(|entry| Some(Spread::ratio(entry, baseline, 0)?.max))
        .fold(1.0, f64::max)
        .min(RATIO_MAX);
    let at = |ratio: f64| LEFT + (RIGHT - LEFT) * ratio.clamp(0.0, worst) / worst;
    let bars = TITLE_HEIGHT - 2.0;
    for (index, entry) in results.entries.iter().enumerate() {
        let top = bars + index as f64 * BAR_PITCH;
        bar(text, entry, baseline, top, at, headline.unit)?;
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
    let (Some(ratio), Some(value), None) = (ratio, value, &entry.failure) else {
        return writeln!(
            text,
            r#"<text class="faint" x="{LEFT}" y="{foot:.1}">failed</text>"#
        );
    };
    let class = match name {
        "compio" => "ours",
        "raw" | "plain" => "limit",
        _ => "bar",
    };
    writeln!(
        text,
        r#"<rect class="{class}" x="{LEFT}" y="{:.1}" width="{:.1}" height="{BAR_HEIGHT}"/>"#,
        middle - BAR_HEIGHT / 2.0,
        at(ratio.median) - LEFT,
    )?;
    if at(ratio.max) > at(ratio.min) {
        let (from, to) = (at(ratio.min), at(ratio.max));
        let (above, below) = (middle - 3.0, middle + 3.0);
        writeln!(
            text,
            r#"<path class="line" d="M{from:.1} {middle:.1}H{to:.1}M{from:.1} {above:.1}V{below:.1}M{to:.1} {above:.1}V{below:.1}"/>"#
        )?;
    }
    if ratio.median > RATIO_MAX {
        // Cut: the bar is longer.
        let cut = at(ratio.median) - 8.0;
        let (above, below) = (middle - 7.0, middle + 7.0);
        writeln!(
            text,
            r#"<path class="cut" d="M{cut:.1} {below:.1}L{:.1} {above:.1}"/>"#,
            cut + 4.0
        )?;
    }
    writeln!(
        text,
        r#"<text x="{:.1}" y="{foot:.1}">{} {unit} · {:.2} ×</text>"#,
        RIGHT + 8.0,
        short(value.median),
        ratio.median,
    )
}
