//! Whether to try a read at once, before it is handed to the ring.
//!
//! What is in memory is read quicker by a plain call; what is not has cost a call for nothing. So each
//! failure is followed by reads that are not tried, more of them each time. And a task whose reads all
//! come at once lets nobody else have a turn: there are only a few between two looks at the kernel.

/// How many reads may be answered at once between two looks at the kernel.
const TRIES: u32 = 8;

/// The most reads that are not tried after a failure.
const SKIPS_MAX: u32 = 256;

pub(super) struct Luck {
    tries_left: u32,
    /// How many reads are not to be tried.
    skips_left: u32,
    /// How many there were to be after the last failure.
    skips: u32,
}

impl Luck {
    pub(super) fn new() -> Self {
        Self {
            tries_left: TRIES,
            skips_left: 0,
            skips: 0,
        }
    }

    /// The kernel is looked at.
    pub(super) fn renew(&mut self) {
        self.tries_left = TRIES;
    }

    /// Whether a read is to be tried.
    pub(super) fn is_with_us(&mut self) -> bool {
        if self.tries_left == 0 {
            return false;
        }
        if self.skips_left > 0 {
            self.skips_left -= 1;
            return false;
        }
        self.tries_left -= 1;
        true
    }

    pub(super) fn has_held(&mut self) {
        self.skips = 0;
    }

    pub(super) fn has_failed(&mut self) {
        self.skips = (self.skips * 2).clamp(1, SKIPS_MAX);
        self.skips_left = self.skips;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_gets_only_so_much_at_once() {
        let mut luck = Luck::new();
        for _ in 0..3 {
            for _ in 0..TRIES {
                assert!(luck.is_with_us());
                luck.has_held();
            }
            assert!(!luck.is_with_us());
            luck.renew();
        }
    }

    #[test]
    fn who_fails_tries_less_and_less() {
        let mut luck = Luck::new();
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
        luck.has_held();
        assert!(luck.is_with_us());
    }
}
