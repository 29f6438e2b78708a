//! A histogram of durations, at one moment.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram as Counts;

/// Longer durations count as this one.
const MAX: Duration = Duration::from_secs(60 * 60);

/// Significant decimal digits: values are correct within one percent.
const DIGITS: u8 = 2;

/// Durations with their frequencies. Values are correct within one percent, and the sum is exact.
///
/// Durations of more than an hour count as one hour.
#[derive(Clone)]
pub struct Histogram {
    /// In nanoseconds.
    counts: Counts<u64>,
    sum: Duration,
}

impl Histogram {
    pub(super) fn new() -> Self {
        let max = MAX.as_nanos() as u64;
        Self {
            counts: Counts::new_with_bounds(1, max, DIGITS).expect("valid bounds"),
            sum: Duration::ZERO,
        }
    }

    pub(super) fn record(&mut self, duration: Duration) {
        self.record_many(duration, 1);
    }

    pub(super) fn record_many(&mut self, duration: Duration, count: u64) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts.saturating_record_n(nanos, count);
        self.sum = self
            .sum
            .saturating_add(duration.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// The number of recorded durations.
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The longest duration. Zero if there is none.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.counts.max())
    }

    /// The duration that this part of all durations does not exceed: 0.5 is the median. Zero if there is none.
    ///
    /// # Panics
    ///
    /// If the part is not between 0 and 1.
    #[track_caller]
    pub fn quantile(&self, part: f64) -> Duration {
        assert!(
            (0.0..=1.0).contains(&part),
            "a quantile is between 0 and 1, not {part}"
        );
        Duration::from_nanos(self.counts.value_at_quantile(part))
    }

    /// How many durations are at most this long.
    pub fn count_up_to(&self, limit: Duration) -> u64 {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.counts.count_between(0, nanos)
    }

    /// The buckets that are not empty, the shortest first: the longest duration of the bucket, and its frequency. All
    /// histograms have the same buckets.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let buckets = self.counts.iter_recorded();
        buckets.map(|bucket| {
            let longest = Duration::from_nanos(bucket.value_iterated_to());
            (longest, bucket.count_at_value())
        })
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_correct_within_one_percent() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 1000);
        assert_eq!(histogram.sum(), Duration::from_micros(500_500));
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(part).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() <= 0.01, "{part}: {found}");
        }
        let counts: u64 = histogram.buckets().map(|(_, count)| count).sum();
        assert_eq!(counts, 1000);
        let up_to = histogram.count_up_to(Duration::from_micros(100));
        assert!((100..=101).contains(&up_to), "{up_to}");
    }

    #[test]
    fn durations_beyond_an_hour_count_as_one_hour() {
        let mut histogram = Histogram::new();
        histogram.record(Duration::from_secs(1_000_000));
        histogram.record(Duration::MAX);
        histogram.record_many(Duration::ZERO, 3);
        assert_eq!(histogram.count(), 5);
        assert!(histogram.max() >= MAX);
        assert!(histogram.max() < MAX + MAX / 50);
        assert_eq!(histogram.sum(), Duration::MAX);
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        let text = format!("{histogram:?}");
        assert!(text.contains("count: 5"), "{text}");
    }
}
