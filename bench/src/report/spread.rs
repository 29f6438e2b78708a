//! Medians with their extremes, ratios to the baseline, and short numbers.

use crate::{
    row::grouped,
    session::{CaseResults, Entry},
};

/// A median and the extremes.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    /// The spread of some values; `None` if there are none.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
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
    pub(super) fn column(entry: &Entry, column: usize) -> Option<Self> {
        Self::of(entry.rounds.iter().map(|values| values[column]))
    }

    /// The spread of a column's ratios to the baseline, round by round.
    pub(super) fn ratio(entry: &Entry, baseline: &Entry, column: usize) -> Option<Self> {
        let rounds = entry.rounds.iter().zip(&baseline.rounds);
        Self::of(rounds.map(|(own, base)| own[column] / base[column]))
    }
}

/// The baseline of a case's ratios: the first contender that takes part. It is `raw` where a raw loop
/// makes sense, otherwise tokio.
pub(super) fn baseline(results: &CaseResults) -> Option<&Entry> {
    results.entries.first()
}

/// A number with about three significant digits.
pub(super) fn short(value: f64) -> String {
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
