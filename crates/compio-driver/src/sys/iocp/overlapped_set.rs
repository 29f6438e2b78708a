//! The set of this driver's OVERLAPPEDs.
//!
//! A port gets packets for all calls on a file that is attached to it, also for calls of other code
//! through a duplicate of its handle: std makes such calls when it reads a child's output. Their
//! packets point to memory that this driver must not read.

use std::collections::BTreeSet;

use super::op_state::OpState;

/// The addresses of all [`OpState`]s that were used for a call. They never move, and live as long as
/// the driver.
#[derive(Default)]
pub(super) struct OverlappedSet(BTreeSet<usize>);

impl OverlappedSet {
    /// # Safety
    ///
    /// `scratch` is valid, and no call uses it.
    pub(super) unsafe fn add(&mut self, scratch: *mut OpState) {
        // SAFETY: by this function's contract.
        unsafe {
            // Cells are reused.
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
