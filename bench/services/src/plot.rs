//! The plot of the results that `services run` has printed.

#[path = "../../src/report/bars.rs"]
mod bars;

use std::{error::Error, fs};

use self::bars::{Bar, Panel};
use crate::row::ROWS;

/// Draws the lines of results in a file, the rows in their order. Other lines are ignored.
pub(crate) fn run(results: &str, svg: &str) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(results)?;
    let mut panels = Vec::new();
    for row in ROWS {
        let lines = text.lines().filter_map(|line| line.split_once(','));
        let lines = lines.filter(|(name, _)| *name == row.name);
        let bars = lines.map(|(_, rest)| bar(rest).ok_or(rest.to_owned()));
        let bars = bars.collect::<Result<Vec<_>, _>>()?;
        if !bars.is_empty() {
            let title = row.title.to_owned();
            panels.push(Panel { title, bars });
        }
    }
    fs::write(svg, bars::svg(&panels))?;
    Ok(())
}

/// The bar of a line, without the name of its row.
fn bar(line: &str) -> Option<Bar> {
    let (server, figures) = line.split_once(',')?;
    let figures: Option<Vec<f64>> = figures.split(',').map(|text| text.parse().ok()).collect();
    let &[rate, _, median, lowest, highest, ..] = &figures?[..] else {
        return None;
    };
    let is_ours = server.starts_with("uring") || server.starts_with("readiness");
    let prefix = if is_ours { "compio, " } else { "" };
    Some(Bar {
        name: format!("{prefix}{server}"),
        rate,
        ratios: [lowest, median, highest],
        is_ours,
    })
}
