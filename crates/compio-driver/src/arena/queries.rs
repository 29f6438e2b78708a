//! Searches for operations in flight, through all cells.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use super::{
    Arena,
    cell::{CELLS_PER_PAGE, Header, Owner, Stamp, State, key_of, storage_behind},
};
#[cfg(feature = "tracing")]
use crate::sys::RawFd;
use crate::{
    key::Key,
    metrics::{OpKind, OpRecord},
};

/// The begins of operations are stored apart when they may be that old: stamps have the lower half of a time.
const STAMP_AGE_MAX: u64 = 1 << 31;

/// The time of a stamp. Its age at `now` is less than twice [`STAMP_AGE_MAX`].
fn begun_at(stamp: Stamp, now: u64) -> u64 {
    now.saturating_sub((now as u32).wrapping_sub(stamp.begun_at).into())
}

impl Arena {
    /// Sets the time of new stamps. It never decreases.
    #[inline]
    pub(crate) fn set_now(&self, now: u64) {
        if self.latencies.is_recording() {
            self.latencies.measure(now);
        }
        let before = self.stamps.now.replace(now);
        if before / STAMP_AGE_MAX != now / STAMP_AGE_MAX {
            self.store_begins(before);
        }
    }

    /// Stores the begins of all operations in flight, whose stamps are correct at this time. Those of ended operations
    /// are removed.
    #[cold]
    fn store_begins(&self, now: u64) {
        let before = self.old.take();
        let mut begins = HashMap::new();
        for header in self.headers() {
            // SAFETY: cells in `pages` have initialised headers. While an operation is in flight, its stamp is in the
            // place of its result.
            unsafe {
                if (*header).state.is_in_flight() {
                    let key = key_of(header);
                    let stored = before.get(&key).copied();
                    let begin = stored.unwrap_or_else(|| begun_at((*header).result.stamp, now));
                    begins.insert(key, begin);
                }
            }
        }
        self.old.replace(begins);
    }

    /// The kind of an operation in flight, and the time of its begin.
    pub(crate) fn begin_of(&self, key: Key) -> Option<(OpKind, u64)> {
        if !self.is_in_flight(key) {
            return None;
        }
        let header = self.header_at(key.index);
        // SAFETY: a live header (rule 3), used on this thread only (rule 4). The operation is in flight: its stamp is
        // in the place of its result.
        let (kind, stamp) = unsafe { ((*header).vtable.kind, (*header).result.stamp) };
        Some((kind, self.begin_from(key, stamp)))
    }

    /// The time of the begin of an operation in flight that has this stamp.
    fn begin_from(&self, key: Key, stamp: Stamp) -> u64 {
        let stored = self.old.borrow().get(&key).copied();
        stored.unwrap_or_else(|| begun_at(stamp, self.stamps.now.get()))
    }

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

    /// The kind and the descriptor of an operation in flight. Runs the code of the type of the descriptor.
    #[cfg(feature = "tracing")]
    pub(crate) fn kind_and_descriptor(&self, key: Key) -> (OpKind, Option<RawFd>) {
        let header = self.header(key);
        // SAFETY: as in `records`.
        unsafe {
            let vtable = (*header).vtable;
            (vtable.kind, (vtable.descriptor)(storage_behind(header)))
        }
    }

    /// The records of the operations in flight, in the order of their cells. Runs the code of the types of their
    /// descriptors, with nothing borrowed.
    ///
    /// `queued` are those in the thread pool that no thread has begun. `is_splicing` is about one in the kernel.
    pub(crate) fn records(
        &self,
        queued: &HashSet<Key>,
        is_splicing: impl Fn(Key) -> bool,
    ) -> Vec<OpRecord> {
        let mut records = Vec::new();
        for key in self.keys_where(|_| true) {
            // The code of another operation may have ended it.
            if !self.is_in_flight(key) {
                continue;
            }
            let header = self.header_at(key.index);
            // SAFETY: a live header (rule 3), used on this thread only (rule 4). The operation is in flight: its stamp is
            // in the place of its result, and it has the type of its vtable.
            let record = unsafe {
                let stamp = (*header).result.stamp;
                OpRecord {
                    kind: (*header).vtable.kind,
                    fd: None,
                    tag: stamp.tag,
                    begun_at: self.begin_from(key, stamp),
                    is_in_thread_pool: (*header).is_in_thread_pool,
                    is_queued: queued.contains(&key),
                    is_splicing: is_splicing(key),
                    is_cancel_requested: (*header).is_cancel_requested,
                    is_orphaned: (*header).state == State::Orphaned,
                    has_waiter: matches!((*header).owner, Owner::Waiter(_)),
                }
            };
            // SAFETY: as above.
            let fd = unsafe { ((*header).vtable.descriptor)(storage_behind(header)) };
            records.push(OpRecord { fd, ..record });
        }
        records
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
