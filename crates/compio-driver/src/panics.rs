//! Code of users that may panic, where others still have to be served.

use std::{
    any::Any,
    mem,
    panic::{self, AssertUnwindSafe},
    task::Waker,
};

/// Wakes them all. One that panics keeps no other from being woken; its panic is to go on when all
/// is done.
pub(crate) fn wake_all(wakers: impl Iterator<Item = Waker>) -> Option<Box<dyn Any + Send>> {
    let mut panicked = None;
    for waker in wakers {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()))
            && let Some(earlier) = panicked.replace(panic)
        {
            // Only one can go on.
            discard(earlier);
        }
    }
    panicked
}

/// Drops what somebody has panicked with. Its destructor is a user's, too: what that panics with
/// is leaked.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(another) = panic::catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another);
    }
}
