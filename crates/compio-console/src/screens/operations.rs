//! Operations: rates and latencies by kind, of one worker or of all, and the times of polls.

use std::collections::{BTreeMap, HashMap};

use super::{Data, Sheet};
use crate::{
    format,
    histogram::Interval,
    model::Rates,
    protocol::{Operations, Runtime},
    table::{Cell, Column, Row, RowKey},
};

pub(super) const COLUMNS: [Column; 10] = [
    Column::text("kind", "kind", 8, 0),
    Column::number("ops/s", "op/s", 0),
    Column::number("errors/s", "err/s", 0),
    Column::number("bytes/s", "B/s", 0),
    Column::number("in flight", "fly", 0),
    Column::number("p50", "p50", 0),
    Column::number("p90", "p90", 0),
    Column::number("p99", "p99", 0),
    Column::number("p99.9", "p99.9", 0),
    Column::number("max", "max", 0),
];

/// The percentiles of the columns, as shares.
const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// The sums of one kind over the workers.
#[derive(Default)]
struct Kind {
    in_flight: u64,
    completed: u64,
    errors: u64,
    bytes: u64,
    /// Whether a worker has older counters to compare with.
    is_compared: bool,
    latency: Interval,
}

pub(super) fn sheet(data: &Data<'_>) -> Sheet {
    let mut sheet = Sheet {
        empty: "No operation yet.",
        ..Sheet::default()
    };
    let Some(metrics) = &data.model.metrics else {
        return sheet;
    };
    let rates = data.model.rates();
    let runtimes = metrics.runtimes.iter();
    let shown = runtimes.filter(|runtime| data.shows(runtime.runtime));
    let mut kinds = BTreeMap::<&str, Kind>::new();
    let mut polls = Interval::default();
    for runtime in shown {
        let older = rates.older(runtime);
        add_operations(&mut kinds, runtime, older);
        if let (Some(newer), Some(older)) = (&runtime.poll_times, older) {
            polls.add(newer, older.poll_times.as_ref());
        }
    }
    sheet.rows = kinds
        .iter()
        .map(|(name, kind)| row(name, kind, &rates))
        .collect();
    sheet.above.push(if data.has_histograms {
        poll_times(&polls)
    } else {
        "The program records no latencies and poll times: `h` starts the recording.".into()
    });
    sheet
}

/// Adds the changes of a runtime since its older counters.
fn add_operations<'a>(
    kinds: &mut BTreeMap<&'a str, Kind>,
    runtime: &'a Runtime,
    older: Option<&Runtime>,
) {
    let olders = older.into_iter().flat_map(|older| &older.operations);
    let olders: HashMap<&str, &Operations> =
        olders.map(|kind| (kind.kind.as_str(), kind)).collect();
    for newer in &runtime.operations {
        let kind = kinds.entry(newer.kind.as_str()).or_default();
        kind.in_flight = kind.in_flight.saturating_add(newer.in_flight);
        // A new runtime has no interval. A new kind of an old runtime began with 0.
        if older.is_none() {
            continue;
        }
        kind.is_compared = true;
        let older = olders.get(newer.kind.as_str());
        let add = |sum: &mut u64, counter: fn(&Operations) -> u64| {
            let before = older.map_or(0, |older| counter(older));
            *sum = sum.saturating_add(counter(newer).saturating_sub(before));
        };
        add(&mut kind.completed, |kind| kind.completed);
        add(&mut kind.errors, |kind| kind.errors);
        add(&mut kind.bytes, |kind| kind.bytes);
        if let Some(latency) = &newer.latency {
            kind.latency
                .add(latency, older.and_then(|older| older.latency.as_ref()));
        }
    }
}

fn row(name: &str, kind: &Kind, rates: &Rates<'_>) -> Row {
    let rate = |change: u64| {
        let change = kind.is_compared.then_some(change);
        Cell::rate(change.and_then(|change| rates.per_second(change, 0)))
    };
    let mut cells = vec![
        Cell::text(name),
        rate(kind.completed),
        rate(kind.errors),
        rate(kind.bytes),
        Cell::count(kind.in_flight),
    ];
    cells.extend(SHARES.map(|share| Cell::seconds(kind.latency.percentile(share))));
    cells.push(Cell::seconds(kind.latency.max()));
    Row {
        key: RowKey::Kind(name.into()),
        cells,
    }
}

fn poll_times(polls: &Interval) -> String {
    if polls.count() == 0 {
        return "No times of polls were recorded in this interval.".into();
    }
    let form = |value: Option<f64>| value.map_or(format::UNKNOWN.into(), format::seconds);
    let [p50, p90, p99, p999] = SHARES.map(|share| form(polls.percentile(share)));
    let count = format::count(polls.count());
    let max = form(polls.max());
    format!("{count} polls: p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
}
