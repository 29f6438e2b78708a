//! The plot of the results.

#[path = "../../src/report/bars.rs"]
mod bars;

use self::bars::{Bar, Panel};
use crate::{
    report::{Spread, median, rate},
    session::{ClientResults, RowResults},
};

pub(crate) fn svg(results: &[RowResults]) -> String {
    let panels: Vec<Panel> = results.iter().map(panel).collect();
    bars::svg(&panels)
}

fn panel(results: &RowResults) -> Panel {
    let base = &results.clients[0];
    Panel {
        title: results.row.title.to_owned(),
        bars: results
            .clients
            .iter()
            .map(|client| bar(client, base))
            .collect(),
    }
}

fn bar(client: &ClientResults, base: &ClientResults) -> Bar {
    let ratio = Spread::of_ratios(client, base, rate);
    Bar {
        name: client.title.replace('`', ""),
        rate: median(client, rate),
        ratios: [ratio.lowest, ratio.median, ratio.highest],
        is_ours: matches!(client.name, "uring" | "readiness"),
    }
}
