//! The shutdown of a driver: all operations are cancelled, and reaped up to a deadline.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use compio_io::panics::discard;

use super::core::Core;
use crate::{key::Key, os_calls::clock};

/// How many operations a shutdown cancels before it reaps completions and checks the clock.
const CANCELS_PER_TURN: usize = 256;

impl Core {
    /// Cancels these operations, given the oldest first.
    ///
    /// It cancels from the newest to the oldest: the kernel searches lists that have the newest entry in
    /// front (`io_poll_find`, 16 lists for a completion queue of 512 entries). In the opposite order each
    /// cancel passes all other entries: 100,000 take half a minute on Linux 6.18.
    /// `IORING_ASYNC_CANCEL_ANY` is no better, since cancelled entries stay in the lists until it has gone
    /// through all of them.
    pub(crate) fn cancel_all(&self, mut keys: Vec<Key>) {
        self.cancel_some(&mut keys, usize::MAX);
    }

    /// The same for the newest `count` keys, which are removed from the list.
    fn cancel_some(&self, keys: &mut Vec<Key>, count: usize) {
        let rest = keys.len().saturating_sub(count);
        for key in keys.drain(rest..).rev() {
            // Operations may have completed in between, or user code may have run.
            if self.arena.is_in_flight(key) {
                self.cancel(key);
            }
        }
    }

    /// Starts the clock of the shutdown. From now on orphans are not cancelled one by one, but with all
    /// other operations.
    pub(crate) fn begin_shut_down(&self) {
        if self.shut_down_at.get().is_none() {
            self.shut_down_at.set(Some(clock::now()));
        }
        self.defers_cancels.set(true);
        self.update_fast_path();
    }

    /// Cancels everything and reaps to the last completion, or to the deadline, which counts from the
    /// first call. The clock is checked between batches.
    pub(super) fn shut_down(&self) {
        self.closed.set(true);
        self.begin_shut_down();
        let began = self.shut_down_at.get().unwrap_or_else(clock::now);
        let mut keys = self.arena.keys_to_cancel();
        while self.arena.in_flight_count() > 0 {
            self.cancel_some(&mut keys, CANCELS_PER_TURN);
            let leaves_rest = self.leaves_pool.get() && keys.is_empty();
            if leaves_rest && !self.arena.has_kernel_operations() {
                break;
            }
            let left = self.shutdown_timeout.saturating_sub(clock::now() - began);
            let timeout = if keys.is_empty() {
                left
            } else {
                Duration::ZERO
            };
            let turned = panic::catch_unwind(AssertUnwindSafe(|| self.turn(Some(timeout))));
            match turned {
                Ok(Ok(())) if !left.is_zero() => {}
                Ok(_) => break,
                Err(panic) => discard(panic),
            }
        }
    }
}
