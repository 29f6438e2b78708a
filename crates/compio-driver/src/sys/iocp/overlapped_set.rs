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
    /// `op_state` is valid, and no call uses it.
    pub(super) unsafe fn add(&mut self, op_state: *mut OpState) {
        // SAFETY: by this function's contract.
        unsafe {
            // Cells are reused.
            if !(*op_state).is_known {
                (*op_state).is_known = true;
                self.0.insert(op_state.addr());
            }
        }
    }

    pub(super) fn contain(&self, op_state: *const OpState) -> bool {
        self.0.contains(&op_state.addr())
    }
}
