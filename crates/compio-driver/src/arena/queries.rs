//! Searches for operations in flight, through all cells.

use std::cmp::Reverse;

use super::{
    Arena,
    cell::{CELLS_PER_PAGE, Header, Owner, State, key_of},
};
use crate::key::Key;

impl Arena {
    /// Whether an orphan is in the kernel, and not in the thread pool.
    pub(crate) fn has_orphans_in_kernel(&self) -> bool {
        self.orphans.get() > 0
            && self.headers().any(|header| {
                // SAFETY: cells in `pages` have initialised headers.
                unsafe { (*header).state == State::Orphaned && !(*header).is_in_thread_pool }
            })
    }

    /// The keys of the operations in flight that were pushed with `user_data`.
    pub(crate) fn keys_of_caller(&self, user_data: usize) -> Vec<Key> {
        self.keys_where(|header| {
            // SAFETY: cells in `pages` have initialised headers.
            unsafe { matches!((*header).owner, Owner::Caller(owner) if owner == user_data) }
        })
    }

    /// The keys of all operations in flight without a cancel request, the oldest first.
    pub(crate) fn keys_to_cancel(&self) -> Vec<Key> {
        // SAFETY: cells in `pages` have initialised headers.
        self.keys_where(|header| unsafe { !(*header).is_cancel_requested })
    }

    /// The same for orphans only.
    pub(crate) fn keys_of_orphans(&self) -> Vec<Key> {
        self.keys_where(|header| {
            // SAFETY: cells in `pages` have initialised headers.
            unsafe { (*header).state == State::Orphaned && !(*header).is_cancel_requested }
        })
    }

    /// Whether an operation in flight is not in the thread pool.
    pub(crate) fn has_kernel_operations(&self) -> bool {
        self.headers()
            // SAFETY: cells in `pages` have initialised headers.
            .any(|header| unsafe { (*header).state.is_in_flight() && !(*header).is_in_thread_pool })
    }

    /// The selected keys of operations in flight, the oldest first.
    fn keys_where(&self, is_wanted: impl Fn(*mut Header) -> bool) -> Vec<Key> {
        let mut aged = Vec::new();
        for header in self.headers() {
            // SAFETY: cells in `pages` have initialised headers.
            unsafe {
                if (*header).state.is_in_flight() && is_wanted(header) {
                    let age = self.inserted.get().wrapping_sub((*header).next_free);
                    aged.push((Reverse(age), key_of(header)));
                }
            }
        }
        aged.sort_unstable_by_key(|(age, _)| *age);
        aged.into_iter().map(|(_, key)| key).collect()
    }

    fn headers(&self) -> impl Iterator<Item = *mut Header> {
        let pages = self.pages().iter();
        pages.flat_map(|page| (0..CELLS_PER_PAGE).map(|slot| page.header(slot)))
    }
}
