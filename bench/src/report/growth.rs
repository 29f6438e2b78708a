//! The scaling plot: how cost grows with the number of connections, tasks and timers. A curve per
//! contender, both axes logarithmic, a dot for the median of each case and a line from the best
//! round to the worst. Flat and low is good.

use std::fmt::{self, Write};

use crate::{
    report::{
        spread::{Spread, short},
        style,
    },
    session::{CaseResults, Results},
};

const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 420.0;
const PANEL_HEIGHT: f64 = 230.0;
const WIDTH: f64 = PANEL_WIDTH * COLUMNS as f64;
const MARGIN: f64 = 12.0;
const LEGEND_HEIGHT: f64 = 22.0;
/// The position of the axes in a panel.
const LEFT: f64 = MARGIN + 46.0;
const RIGHT: f64 = PANEL_WIDTH - 34.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = PANEL_HEIGHT - 30.0;

/// The whole plot; `None` if the session had no row of this kind.
pub(super) fn svg(results: &Results) -> Option<String> {
    let panels = panels(results);
    if panels.is_empty() {
        return None;
    }
    let mut text = String::new();
    write(&mut text, &panels).expect("writing to a string cannot fail");
    Some(text)
}

/// One column of a row, at all its widths.
struct Panel<'a> {
    cases: Vec<&'a CaseResults>,
    column: usize,
}

fn panels(results: &Results) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    let grown = |results: &&CaseResults| results.case.row.shown.is_empty();
    let cases: Vec<_> = results.cases.iter().filter(grown).collect();
    for cases in cases.chunk_by(|one, other| one.case.row.name == other.case.row.name) {
        panels.extend((0..cases[0].case.row.drawn).map(|column| Panel {
            cases: cases.to_vec(),
            column,
        }));
    }
    panels
}

fn write(text: &mut String, panels: &[Panel<'_>]) -> fmt::Result {
    let lines = panels.len().div_ceil(COLUMNS) as f64;
    let height = 2.0 * MARGIN + LEGEND_HEIGHT + lines * PANEL_HEIGHT;
    style::open(text, WIDTH, height)?;
    legend(text, &panels[0])?;
    for (index, panel) in panels.iter().enumerate() {
        let left = (index % COLUMNS) as f64 * PANEL_WIDTH;
        let top = MARGIN + LEGEND_HEIGHT + (index / COLUMNS) as f64 * PANEL_HEIGHT;
        writeln!(text, r#"<g transform="translate({left}, {top})">"#)?;
        draw(text, panel)?;
        writeln!(text, "</g>")?;
    }
    writeln!(text, "</svg>")
}

/// Colours that are visible on a light and on a dark background.
fn colour(contender: &str) -> &'static str {
    match contender {
        "compio" => "#e0702a",
        "raw" => "#8b949e",
        "tokio" => "#3f87d9",
        "monoio" => "#2f9e4f",
        "glommio" => "#9a6be0",
        "tokio-uring" => "#1fa3a3",
        _ => "#c2983a",
    }
}

fn legend(text: &mut String, panel: &Panel<'_>) -> fmt::Result {
    let mut left = MARGIN;
    for entry in &panel.cases[0].entries {
        let name = entry.contender.name;
        writeln!(
            text,
            r#"<rect x="{left}" y="{MARGIN}" width="14" height="4" fill="{}"/>
<text x="{}" y="{}">{name}</text>"#,
            colour(name),
            left + 18.0,
            MARGIN + 6.0
        )?;
        left += 38.0 + name.len() as f64 * 6.5;
    }
    Ok(())
}

fn draw(text: &mut String, panel: &Panel<'_>) -> fmt::Result {
    let row = panel.cases[0].case.row;
    let column = &row.columns[panel.column];
    let widths: Vec<f64> = panel.cases.iter().map(|c| c.case.width as f64).collect();
    let spreads = |contender: usize| {
        let cases = panel.cases.iter();
        cases.map(move |results| {
            let entry = &results.entries[contender];
            let whole = entry.failure.is_none();
            // A logarithmic axis has no zero.
            Spread::column(entry, panel.column).filter(|spread| whole && spread.min > 0.0)
        })
    };
    let contenders = panel.cases[0].entries.len();
    let all = || (0..contenders).flat_map(spreads).flatten();
    let lowest = all().map(|spread| spread.min).fold(f64::MAX, f64::min);
    let highest = all().map(|spread| spread.max).fold(0.0, f64::max);
    writeln!(
        text,
        r#"<text class="title" x="{MARGIN}" y="14">{}</text>
<text class="faint" x="{MARGIN}" y="28">{}, {}</text>"#,
        row.name, column.name, column.unit
    )?;
    if highest == 0.0 {
        return Ok(());
    }

    let x = Axis::new(&widths, LEFT, RIGHT);
    let y = Axis::new(&[lowest, highest], BOTTOM, TOP);
    for step in steps(lowest, highest) {
        let at = y.at(step);
        writeln!(
            text,
            r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1}" y2="{at:.1}"/>
<text class="faint" text-anchor="end" x="{:.1}" y="{:.1}">{}</text>"#,
            LEFT - 5.0,
            at + 4.0,
            tick(step)
        )?;
    }
    for &width in &widths {
        writeln!(
            text,
            r#"<text class="faint" text-anchor="middle" x="{:.1}" y="{:.1}">{}</text>"#,
            x.at(width),
            BOTTOM + 16.0,
            tick(width)
        )?;
    }
    // The last curve is drawn above the others.
    let is_ours = |index: &usize| panel.cases[0].entries[*index].contender.name == "compio";
    let (ours, others): (Vec<_>, Vec<_>) = (0..contenders).partition(is_ours);
    for index in others.into_iter().chain(ours) {
        let name = panel.cases[0].entries[index].contender.name;
        let points: Vec<_> = widths
            .iter()
            .zip(spreads(index))
            .filter_map(|(&width, spread)| Some((x.at(width), spread?)))
            .collect();
        curve(text, name, &points, &y)?;
    }
    Ok(())
}

fn curve(text: &mut String, name: &str, points: &[(f64, Spread)], y: &Axis) -> fmt::Result {
    let colour = colour(name);
    let thick = if name == "compio" { 2.5 } else { 1.5 };
    let line: Vec<_> = points
        .iter()
        .map(|(x, spread)| format!("{x:.1},{:.1}", y.at(spread.median)))
        .collect();
    writeln!(
        text,
        r#"<polyline class="curve" stroke="{colour}" style="stroke-width: {thick}" points="{}"/>"#,
        line.join(" ")
    )?;
    for (x, spread) in points {
        writeln!(
            text,
            r#"<circle fill="{colour}" cx="{x:.1}" cy="{:.1}" r="2.5"/><path stroke="{colour}" d="M{x:.1} {:.1}V{:.1}"/>"#,
            y.at(spread.median),
            y.at(spread.min),
            y.at(spread.max),
        )?;
    }
    Ok(())
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// From the lowest to the highest of the values.
    fn new(values: &[f64], from: f64, to: f64) -> Self {
        let low = values.iter().copied().fold(f64::MAX, f64::min).ln();
        let high = values.iter().copied().fold(f64::MIN, f64::max).ln();
        Self {
            low,
            high: if high > low { high } else { low + 1.0 },
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.ln() - self.low) / (self.high - self.low);
        self.from + (self.to - self.from) * part
    }
}

/// Round values within the range.
fn steps(lowest: f64, highest: f64) -> impl Iterator<Item = f64> {
    let decades = (-3..10).map(|power| 10_f64.powi(power));
    let all = decades.flat_map(|decade| [decade, 2.0 * decade, 5.0 * decade]);
    all.filter(move |step| (lowest..=highest).contains(step))
}

fn tick(value: f64) -> String {
    if value < 1.0 {
        return format!("{value}");
    }
    let text = short(value);
    match text.split_once('.') {
        Some((whole, part)) if part.bytes().all(|digit| digit == b'0') => whole.into(),
        _ => text,
    }
}
