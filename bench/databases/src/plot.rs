//! The plot: for each row a bar per client, requests per second as a multiple of tokio's, with a whisker from the worst
//! round to the best.

#[path = "../../src/report/style.rs"]
mod style;

use std::fmt::{self, Write};

use crate::{
    report::{Spread, median, rate},
    session::{ClientResults, RowResults},
};

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

pub(crate) fn svg(results: &[RowResults]) -> String {
    let mut text = String::new();
    write(&mut text, results).expect("writing to a string cannot fail");
    text
}

fn write(text: &mut String, results: &[RowResults]) -> fmt::Result {
    let heights = results
        .iter()
        .map(|row| TITLE_HEIGHT + row.clients.len() as f64 * BAR_PITCH + GAP);
    style::open(text, WIDTH, 2.0 * MARGIN + heights.clone().sum::<f64>())?;
    let mut top = MARGIN;
    for (row, height) in results.iter().zip(heights) {
        panel(text, row, top)?;
        top += height;
    }
    writeln!(text, "</svg>")
}

fn panel(text: &mut String, results: &RowResults, top: f64) -> fmt::Result {
    let base = &results.clients[0];
    writeln!(
        text,
        r#"<text x="{MARGIN}" y="{:.1}"><tspan class="title">{}</tspan><tspan class="faint" dx="8">requests/s, longer is better</tspan></text>"#,
        top + 12.0,
        results.row.title,
    )?;
    let clients = results.clients.iter();
    let highest = clients
        .map(|client| Spread::of_ratios(client, base, rate).highest)
        .fold(1.0, f64::max);
    let at = |ratio: f64| LEFT + (RIGHT - LEFT) * ratio / highest;
    let bars = top + TITLE_HEIGHT - 4.0;
    for (index, client) in results.clients.iter().enumerate() {
        let middle = bars + (index as f64 + 0.5) * BAR_PITCH;
        bar(text, client, base, middle, at)?;
    }
    writeln!(
        text,
        r#"<line class="base" x1="{0:.1}" x2="{0:.1}" y1="{bars:.1}" y2="{1:.1}"/>"#,
        at(1.0),
        bars + results.clients.len() as f64 * BAR_PITCH,
    )
}

fn bar(
    text: &mut String,
    client: &ClientResults,
    base: &ClientResults,
    middle: f64,
    at: impl Fn(f64) -> f64,
) -> fmt::Result {
    let ratio = Spread::of_ratios(client, base, rate);
    let class = match client.name {
        "uring" | "readiness" => "ours",
        _ => "bar",
    };
    let foot = middle + 4.0;
    writeln!(
        text,
        r#"<text x="{MARGIN}" y="{foot:.1}">{}</text>
<rect class="{class}" x="{LEFT}" y="{:.1}" width="{:.1}" height="{BAR_HEIGHT}"/>"#,
        client.title.replace('`', ""),
        middle - BAR_HEIGHT / 2.0,
        at(ratio.median) - LEFT,
    )?;
    if ratio.highest > ratio.lowest {
        let (from, to) = (at(ratio.lowest), at(ratio.highest));
        let (above, below) = (middle - 3.0, middle + 3.0);
        writeln!(
            text,
            r#"<path class="line" d="M{from:.1} {middle:.1}H{to:.1}M{from:.1} {above:.1}V{below:.1}M{to:.1} {above:.1}V{below:.1}"/>"#
        )?;
    }
    writeln!(
        text,
        r#"<text x="{:.1}" y="{foot:.1}">{:.0}/s · {:.2} ×</text>"#,
        RIGHT + 8.0,
        median(client, rate),
        ratio.median,
    )
}
