//! The actions that follow completions, with nothing borrowed.

use std::task::Waker;

use crate::key::Key;

/// The actions that follow completions, with nothing borrowed.
#[derive(Default)]
pub(super) struct Deferred {
    pub(super) wakers: Vec<Waker>,
    /// Operations that the kernel has cancelled without a request.
    pub(super) cancelled_by_kernel: Vec<Key>,
    /// Requests that the kernel has completed with EAGAIN.
    pub(super) would_block: Vec<Key>,
    /// Operations whose descriptor is ready, to be submitted again.
    pub(super) ready: Vec<Key>,
    /// Targets of cancel requests that were not found.
    pub(super) not_found: Vec<Key>,
    /// Multishot operations that have enough items, to be cancelled.
    pub(super) enough: Vec<Key>,
}

impl Deferred {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            wakers,
            cancelled_by_kernel,
            would_block,
            ready,
            not_found,
            enough,
        } = self;
        wakers.is_empty()
            && cancelled_by_kernel.is_empty()
            && would_block.is_empty()
            && ready.is_empty()
            && not_found.is_empty()
            && enough.is_empty()
    }
}
