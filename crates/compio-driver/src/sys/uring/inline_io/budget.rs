//! The budget of inline attempts of one kind.
//!
//! A failed attempt is an extra cost. So each failure is followed by requests without an attempt, twice as
//! many each time. A task whose attempts all succeed would starve other tasks, so the bytes per turn are
//! limited.

/// The bytes that may be read inline per turn: about 30 µs of CPU time.
pub(super) const BYTES_PER_TURN: u32 = 64 * BLOCK;

/// A shorter read counts as this many bytes.
const BLOCK: u32 = 4096;

/// The maximum number of reads without an attempt after a failure.
const SKIPS_MAX: u32 = 256;

pub(super) struct Budget {
    bytes_left: u32,
    /// The number of reads that skip the attempt.
    skips_left: u32,
    /// The number of skips after the last failure.
    skips: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            bytes_left: BYTES_PER_TURN,
            skips_left: 0,
            skips: 0,
        }
    }

    /// Renews the budget of bytes for a turn.
    pub(super) fn renew(&mut self) {
        self.bytes_left = BYTES_PER_TURN;
    }

    /// Whether a read should be tried inline.
    pub(super) fn should_try(&mut self) -> bool {
        if self.bytes_left == 0 {
            return false;
        }
        if self.skips_left > 0 {
            self.skips_left -= 1;
            return false;
        }
        true
    }

    /// Records an inline read of `bytes` bytes.
    pub(super) fn record_hit(&mut self, bytes: u32) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.max(BLOCK));
        self.skips = 0;
    }

    pub(super) fn record_miss(&mut self) {
        self.bytes_left = self.bytes_left.saturating_sub(BLOCK);
        self.skips = (self.skips * 2).clamp(1, SKIPS_MAX);
        self.skips_left = self.skips;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_gets_only_so_much_at_once() {
        let mut budget = Budget::new();
        for (bytes, times) in [
            (0, 64),
            (1, 64),
            (BLOCK, 64),
            (2 * BLOCK, 32),
            (u32::MAX, 1),
        ] {
            for _ in 0..times {
                assert!(budget.should_try());
                budget.record_hit(bytes);
            }
            assert!(!budget.should_try());
            budget.renew();
        }
    }

    #[test]
    fn failures_make_attempts_rarer() {
        let mut budget = Budget::new();
        let mut tried = 0;
        for _ in 0..10_000 {
            budget.renew();
            if budget.should_try() {
                tried += 1;
                budget.record_miss();
            }
        }
        assert!((40..60).contains(&tried), "{tried}");
        // A success permits the next attempt.
        while !budget.should_try() {}
        budget.record_hit(1);
        assert!(budget.should_try());
    }
}
