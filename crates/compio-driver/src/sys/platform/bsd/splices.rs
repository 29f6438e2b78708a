//! Splices, which only Linux has.

use crate::request::{RawFd, Splice};

/// The next step of a splice.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "only Linux has splices")]
pub(crate) enum Next {
    /// This descriptor has to become ready for these `poll(2)` bits first.
    Wait(RawFd, u32),
    /// No event reports when the call can succeed: it is tried again after a pause.
    Later,
    /// The call can be made on this thread.
    Call(Splice),
    /// The poll of an end failed with this code, which is the result.
    Refused(i32),
    /// Another thread has to make the call.
    Thread(Splice),
}

/// The call returns an error, because the system has none.
pub(crate) fn next(splice: &Splice) -> Next {
    Next::Call(*splice)
}

/// The call returns an error, because the system has none.
pub(crate) fn recheck(_: &Splice) -> Option<Next> {
    None
}
