//! Percentiles of the values of one interval: the difference of two cumulative lists of buckets.

use std::collections::BTreeMap;

use crate::protocol::Histogram;

/// Counts by inclusive upper bound in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    buckets: BTreeMap<u64, u64>,
}

impl Interval {
    /// Adds the values that `newer` has and `older` has not. A bucket that shrank counts as empty: its recording began
    /// anew.
    pub(crate) fn add(&mut self, newer: &Histogram, older: Option<&Histogram>) {
        let mut added = BTreeMap::<u64, u64>::new();
        for (bound, count) in &newer.buckets {
            let sum = added.entry(*bound).or_default();
            *sum = sum.saturating_add(*count);
        }
        for (bound, count) in older.into_iter().flat_map(|older| &older.buckets) {
            if let Some(sum) = added.get_mut(bound) {
                *sum = sum.saturating_sub(*count);
            }
        }
        for (bound, count) in added.into_iter().filter(|(_, count)| *count > 0) {
            let sum = self.buckets.entry(bound).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// The number of values.
    pub(crate) fn count(&self) -> u64 {
        let sum = |sum: u64, count: &u64| sum.saturating_add(*count);
        self.buckets.values().fold(0, sum)
    }

    /// The upper bound of the bucket with the value at `share` (0 to 1), in seconds. `None` without values.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        // At least the first value.
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        for (bound, count) in &self.buckets {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(*bound as f64 / 1e9);
            }
        }
        None
    }

    /// The upper bound of the highest bucket with a value, in seconds.
    pub(crate) fn max(&self) -> Option<f64> {
        let (bound, _) = self.buckets.last_key_value()?;
        Some(*bound as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(u64, u64)]) -> Histogram {
        Histogram {
            sum_ns: 0,
            buckets: buckets.to_vec(),
        }
    }

    fn interval(newer: &[(u64, u64)], older: Option<&[(u64, u64)]>) -> Interval {
        let mut interval = Interval::default();
        let older = older.map(histogram);
        interval.add(&histogram(newer), older.as_ref());
        interval
    }

    #[test]
    fn difference_has_the_values_of_the_interval_only() {
        let interval = interval(
            &[(1000, 15), (2000, 90), (4000, 1)],
            Some(&[(1000, 15), (2000, 80)]),
        );
        assert_eq!(interval.count(), 11);
        assert_eq!(interval.percentile(0.5), Some(2e-6));
        assert_eq!(interval.percentile(0.99), Some(4e-6));
        assert_eq!(interval.max(), Some(4e-6));
    }

    #[test]
    fn percentiles_match_sorted_values() {
        // 1,000 values, each in a bucket of its own.
        let buckets: Vec<_> = (1..=1000).map(|value| (value * 1000, 1)).collect();
        let interval = interval(&buckets, None);
        for (share, expected) in [
            (0.5, 500e-6),
            (0.9, 900e-6),
            (0.99, 990e-6),
            (0.999, 999e-6),
            (1.0, 1000e-6),
        ] {
            let found = interval.percentile(share).unwrap();
            assert!((found - expected).abs() < 1e-9, "{share}: {found}");
        }
    }

    #[test]
    fn empty_interval_has_no_percentile() {
        let interval = interval(&[(1000, 5)], Some(&[(1000, 5)]));
        assert_eq!(interval.count(), 0);
        assert_eq!(interval.percentile(0.5), None);
        assert_eq!(interval.max(), None);
    }

    #[test]
    fn restarted_recording_underflows_to_nothing() {
        assert_eq!(
            interval(&[(1000, 2)], Some(&[(1000, 5), (2000, 3)])).count(),
            0
        );
    }

    #[test]
    fn counts_at_the_limit_do_not_overflow() {
        let interval = interval(
            &[(1000, u64::MAX), (1000, 2), (2000, u64::MAX), (u64::MAX, 1)],
            None,
        );
        assert_eq!(interval.count(), u64::MAX);
        assert_eq!(interval.percentile(0.5), Some(1e-6));
        assert!(interval.max().unwrap() > 1e9);
    }
}
