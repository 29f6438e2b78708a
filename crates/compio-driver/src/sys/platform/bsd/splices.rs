//! Splices, which only Linux has.

use crate::request::{Pipe, RawFd};

/// What is to be done about a splice.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "only Linux has splices")]
pub(crate) enum Next {
    /// This descriptor has to become ready for these `poll(2)` bits first.
    Wait(RawFd, u32),
    /// No event reports when it can be made: it is tried again after a pause.
    Later,
    /// It can be made on this thread.
    Call(Pipe),
    /// The poll of an end failed with this code, which is the answer.
    Refused(i32),
    /// Another thread has to make it.
    Thread(Pipe),
}

/// The call says that there is none.
pub(crate) fn next(pipe: &Pipe) -> Next {
    Next::Call(*pipe)
}

/// The call says that there is none.
pub(crate) fn recheck(_: &Pipe) -> Option<Next> {
    None
}
