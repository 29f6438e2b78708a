//! The output of a session: `table.md`, `plot.svg`, `scaling.svg`, and every single value in
//! `rounds.csv`.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::{
    rows::grouped,
    session::{CaseResults, Entry, Results},
};

mod growth;
mod plot;
mod style;
mod table;

/// Writes all files to `out`, and the table to the standard output.
pub fn write(results: &Results, out: &Path) -> io::Result<()> {
    let table = table::markdown(results);
    fs::write(out.join("table.md"), &table)?;
    fs::write(out.join("plot.svg"), plot::svg(results))?;
    if let Some(svg) = growth::svg(results) {
        fs::write(out.join("scaling.svg"), svg)?;
    }
    fs::write(out.join("rounds.csv"), values(results))?;
    println!("{table}");
    Ok(())
}

/// A median and the extremes.
#[derive(Clone, Copy)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// The spread of some values; `None` if there are none.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { min, median, max })
    }

    /// The spread of one column of an entry.
    fn column(entry: &Entry, column: usize) -> Option<Self> {
        Self::of(entry.rounds.iter().map(|values| values[column]))
    }

    /// The spread of a column's ratios to the baseline, round by round.
    fn ratio(entry: &Entry, baseline: &Entry, column: usize) -> Option<Self> {
        let rounds = entry.rounds.iter().zip(&baseline.rounds);
        Self::of(rounds.map(|(own, base)| own[column] / base[column]))
    }
}

/// The baseline of a case's ratios: the first contender that takes part. It is `raw` where a raw loop
/// makes sense, otherwise tokio.
fn baseline(results: &CaseResults) -> Option<&Entry> {
    results.entries.first()
}

/// A number with about three significant digits.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    let digits = format!("{value:.decimals$}");
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    match whole.parse() {
        Ok(whole) => grouped(whole) + rest,
        // Negative, as some differences are.
        Err(_) => digits,
    }
}

fn values(results: &Results) -> String {
    let mut csv = String::from("row,width,contender,round,column,unit,value\n");
    for CaseResults { case, entries, .. } in &results.cases {
        for entry in entries {
            for (round, values) in entry.rounds.iter().enumerate() {
                for (column, value) in case.row.columns.iter().zip(values) {
                    let (row, width, who) = (case.row.name, case.width, entry.contender.name);
                    let (name, unit, round) = (column.name, column.unit, round + 1);
                    // Writing to a string cannot fail.
                    let _ = writeln!(csv, "{row},{width},{who},{round},\"{name}\",{unit},{value}");
                }
            }
        }
    }
    csv
}
