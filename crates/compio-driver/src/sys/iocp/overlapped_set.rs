//! Which OVERLAPPEDs are this driver's.
//!
//! A port is told of all calls on a file that is attached to it, also of those that others make by
//! a duplicate of its handle: std does so when it reads what a child writes. What their packets
//! point at is nothing that may be looked at here.

use std::collections::BTreeSet;

use super::op_state::OpState;

/// The addresses of all scratches with which something was begun. OverlappedSet never move, and are there
/// for as long as the driver.
#[derive(Default)]
pub(super) struct OverlappedSet(BTreeSet<usize>);

impl OverlappedSet {
    /// # Safety
    ///
    /// The scratch is valid, and no call uses it.
    pub(super) unsafe fn add(&mut self, scratch: *mut OpState) {
        // SAFETY: by this function's contract.
        unsafe {
            // OverlappedSet are used again and again.
            if !(*scratch).is_known {
                (*scratch).is_known = true;
                self.0.insert(scratch.addr());
            }
        }
    }

    pub(super) fn contain(&self, scratch: *const OpState) -> bool {
        self.0.contains(&scratch.addr())
    }
}
