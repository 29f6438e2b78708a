//! Whether to try a read at once, before it is handed to the ring.
//!
//! What is in memory is read quicker by a plain call; what is not has cost a call for nothing. So each
//! failure is followed by reads that are not tried, more of them each time. And a task whose reads all
//! come at once lets nobody else have a turn: there are only so many bytes between two looks at the kernel.

/// How many bytes may be read at once between two looks at the kernel: some 30 µs of a processor.
pub(super) const BYTES: u32 = 64 * BLOCK;

/// A shorter read counts as if it were that long.
const BLOCK: u32 = 4096;

/// The most reads that are not tried after a failure.
const SKIPS_MAX: u32 = 256;

pub(super) struct InlineBudget {
    bytes_left: u32,
    /// How many reads are not to be tried.
    skips_left: u32,
    /// How many there were to be after the last failure.
    skips: u32,
}

impl InlineBudget {
    pub(super) fn new() -> Self {
        Self {
            bytes_left: BYTES,
            skips_left: 0,
            skips: 0,
        }
    }

    /// The kernel is looked at.
    pub(super) fn renew(&mut self) {
        self.bytes_left = BYTES;
    }

    /// Whether a read is to be tried.
    pub(super) fn is_with_us(&mut self) -> bool {
        if self.bytes_left == 0 {
            return false;
        }
        if self.skips_left > 0 {
            self.skips_left -= 1;
            return false;
        }
        true
    }

    /// So many bytes have been read.
    pub(super) fn has_held(&mut self, bytes: u32) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.max(BLOCK));
        self.skips = 0;
    }

    pub(super) fn has_failed(&mut self) {
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
        let mut luck = InlineBudget::new();
        for (bytes, times) in [
            (0, 64),
            (1, 64),
            (BLOCK, 64),
            (2 * BLOCK, 32),
            (u32::MAX, 1),
        ] {
            for _ in 0..times {
                assert!(luck.is_with_us());
                luck.has_held(bytes);
            }
            assert!(!luck.is_with_us());
            luck.renew();
        }
    }

    #[test]
    fn who_fails_tries_less_and_less() {
        let mut luck = InlineBudget::new();
        let mut tried = 0;
        for _ in 0..10_000 {
            luck.renew();
            if luck.is_with_us() {
                tried += 1;
                luck.has_failed();
            }
        }
        assert!((40..60).contains(&tried), "{tried}");
        // One that holds is followed by another try.
        while !luck.is_with_us() {}
        luck.has_held(1);
        assert!(luck.is_with_us());
    }
}
