//! Workers: the counters of each runtime, and the pools.

use super::{Data, Sheet, task_title};
use crate::{
    format,
    model::{self, Rates},
    protocol::{Metrics, Runtime},
    table::{Cell, Column, Row, RowKey},
};

pub(super) const COLUMNS: [Column; 14] = [
    Column::number("worker", "#", 0),
    Column::text("thread", "thread", 6, 2),
    Column::number("CPU%", "CPU%", 0),
    Column::number("alive", "alive", 0),
    Column::number("ready", "rdy", 0),
    Column::number("polls/s", "poll/s", 0),
    Column::number("turns/s", "turn/s", 3),
    Column::number("enters/s", "entr/s", 3),
    Column::number("ops/s", "op/s", 0),
    Column::number("bytes/s", "B/s", 0),
    Column::number("connections", "conn", 1),
    Column::number("timers", "tmr", 4),
    Column::number("last turn", "turn", 0),
    Column::number("free buffers", "buf", 9),
];

pub(super) fn sheet(data: &Data<'_>) -> Sheet {
    let mut sheet = Sheet {
        empty: "No worker.",
        ..Sheet::default()
    };
    let Some(metrics) = &data.model.metrics else {
        return sheet;
    };
    let rates = data.model.rates();
    let runtimes = metrics.runtimes.iter();
    let shown = runtimes.filter(|runtime| data.shows(runtime.runtime));
    sheet.rows = shown.map(|runtime| row(runtime, &rates)).collect();
    sheet.below = pools(metrics, data);
    sheet
}

fn row(runtime: &Runtime, rates: &Rates<'_>) -> Row {
    let thread = runtime
        .thread
        .as_ref()
        .map_or(format::UNKNOWN, |name| name.as_str());
    let connections = runtime
        .connections
        .as_ref()
        .map(|connections| connections.open);
    let buffers = runtime.buffer_pools.as_ref();
    let of = |counter: fn(&Runtime) -> u64| Cell::rate(rates.of(runtime, counter));
    Row {
        key: RowKey::Worker(runtime.runtime),
        cells: vec![
            Cell::id(runtime.runtime),
            Cell::text(thread),
            Cell::number(rates.cpu(runtime), |share| share, format::percent),
            Cell::count(runtime.tasks.alive),
            Cell::count(runtime.tasks.ready),
            of(|runtime| runtime.polls),
            of(|runtime| runtime.turns),
            of(|runtime| runtime.enters),
            of(model::completed),
            of(model::bytes),
            Cell::number(connections, |open| open as f64, format::count),
            Cell::count(runtime.timers),
            Cell::seconds(runtime.since_turn),
            Cell::number(
                buffers.map(|pools| (pools.free, pools.buffers)),
                |(free, _)| free as f64,
                |(free, all)| format!("{}/{}", format::count(free), format::count(all)),
            ),
        ],
    }
}

/// The pools of threads and of buffers, and one line with the rarer counters.
fn pools(metrics: &Metrics, data: &Data<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for pool in &metrics.pools {
        lines.push(format!(
            "blocking pool {}: threads {}, idle {}, queued {}",
            pool.pool, pool.threads, pool.idle, pool.queued
        ));
    }
    let shown = metrics.runtimes.iter();
    let shown: Vec<_> = shown
        .filter(|runtime| data.shows(runtime.runtime))
        .collect();
    let sum = |value: fn(&Runtime) -> u64| {
        let values = shown.iter().map(|runtime| value(runtime));
        format::count(values.fold(0, u64::saturating_add))
    };
    if shown.iter().any(|runtime| runtime.buffer_pools.is_some()) {
        lines.push(format!(
            "buffer pools: {}, buffers {}, free {}",
            sum(|runtime| runtime.buffer_pools.as_ref().map_or(0, |pools| pools.pools)),
            sum(|runtime| runtime
                .buffer_pools
                .as_ref()
                .map_or(0, |pools| pools.buffers)),
            sum(|runtime| runtime.buffer_pools.as_ref().map_or(0, |pools| pools.free)),
        ));
    }
    lines.push(format!(
        "tasks: spawned {}, finished {}, panicked {}; connections: accepted {}",
        sum(|runtime| runtime.tasks.spawned),
        sum(|runtime| runtime.tasks.finished),
        sum(|runtime| runtime.tasks.panicked),
        sum(|runtime| runtime
            .connections
            .as_ref()
            .map_or(0, |served| served.accepted)),
    ));
    lines.push(format!(
        "loops: remote wakes {}, parks {}, spins {} (hits {})",
        sum(|runtime| runtime.remote_wakes),
        sum(|runtime| runtime.parks),
        sum(|runtime| runtime.spins),
        sum(|runtime| runtime.spin_hits),
    ));
    for runtime in shown {
        if let Some(task) = &runtime.current_task {
            let title = task_title(task);
            lines.push(format!("worker {} polls task {title}", runtime.runtime));
        }
    }
    lines
}
