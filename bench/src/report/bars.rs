//! A plot of clients or servers: for each row a bar per program, requests per second as a multiple of the first
//! program's, with a whisker from the worst round to the best. Crates of this workspace include this file.

#[path = "style.rs"]
mod style;

use std::fmt::{self, Write};

const WIDTH: f64 = 560.0;
const MARGIN: f64 = 12.0;
/// The start of the bars: room for the names.
const LEFT: f64 = MARGIN + 164.0;
/// The end of the longest bar: room for the figures.
const RIGHT: f64 = WIDTH - 132.0;
const TITLE_HEIGHT: f64 = 24.0;
const BAR_PITCH: f64 = 15.0;
const BAR_HEIGHT: f64 = 10.0;
const GAP: f64 = 14.0;

/// One row.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// The base of the ratios first.
    pub(crate) bars: Vec<Bar>,
}

/// One program.
pub(crate) struct Bar {
    pub(crate) name: String,
    /// Requests per second.
    pub(crate) rate: f64,
    /// The ratio of the worst round, the median, and the ratio of the best round.
    pub(crate) ratios: [f64; 3],
    pub(crate) is_ours: bool,
}

pub(crate) fn svg(panels: &[Panel]) -> String {
    let mut text = String::new();
    write(&mut text, panels).expect("writing to a string cannot fail");
    text
}

fn write(text: &mut String, panels: &[Panel]) -> fmt::Result {
    let heights = panels
        .iter()
        .map(|panel| TITLE_HEIGHT + panel.bars.len() as f64 * BAR_PITCH + GAP);
    style::open(text, WIDTH, 2.0 * MARGIN + heights.clone().sum::<f64>())?;
    let mut top = MARGIN;
    for (panel, height) in panels.iter().zip(heights) {
        draw_panel(text, panel, top)?;
        top += height;
    }
    writeln!(text, "</svg>")
}

fn draw_panel(text: &mut String, panel: &Panel, top: f64) -> fmt::Result {
    writeln!(
        text,
        r#"<text x="{MARGIN}" y="{:.1}"><tspan class="title">{}</tspan><tspan class="faint" dx="8">requests/s, longer is better</tspan></text>"#,
        top + 12.0,
        panel.title,
    )?;
    let highest = panel.bars.iter().map(|bar| bar.ratios[2]);
    let highest = highest.fold(1.0, f64::max);
    let at = |ratio: f64| LEFT + (RIGHT - LEFT) * ratio / highest;
    let bars = top + TITLE_HEIGHT - 4.0;
    for (index, bar) in panel.bars.iter().enumerate() {
        draw_bar(text, bar, bars + (index as f64 + 0.5) * BAR_PITCH, at)?;
    }
    writeln!(
        text,
        r#"<line class="base" x1="{0:.1}" x2="{0:.1}" y1="{bars:.1}" y2="{1:.1}"/>"#,
        at(1.0),
        bars + panel.bars.len() as f64 * BAR_PITCH,
    )
}

fn draw_bar(text: &mut String, bar: &Bar, middle: f64, at: impl Fn(f64) -> f64) -> fmt::Result {
    let [lowest, median, highest] = bar.ratios;
    let class = if bar.is_ours { "ours" } else { "bar" };
    let foot = middle + 4.0;
    writeln!(
        text,
        r#"<text x="{MARGIN}" y="{foot:.1}">{}</text>
<rect class="{class}" x="{LEFT}" y="{:.1}" width="{:.1}" height="{BAR_HEIGHT}"/>"#,
        bar.name,
        middle - BAR_HEIGHT / 2.0,
        at(median) - LEFT,
    )?;
    if highest > lowest {
        let (from, to) = (at(lowest), at(highest));
        let (above, below) = (middle - 3.0, middle + 3.0);
        writeln!(
            text,
            r#"<path class="line" d="M{from:.1} {middle:.1}H{to:.1}M{from:.1} {above:.1}V{below:.1}M{to:.1} {above:.1}V{below:.1}"/>"#
        )?;
    }
    writeln!(
        text,
        r#"<text x="{:.1}" y="{foot:.1}">{:.0}/s · {median:.2} ×</text>"#,
        RIGHT + 8.0,
        bar.rate,
    )
}
