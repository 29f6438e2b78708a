//! Panics of wakers and destructors, where other code still has to run. No public API.

use std::{
    any::Any,
    mem,
    panic::{self, AssertUnwindSafe},
    task::Waker,
};

/// Wakes all wakers, also after one has panicked. Returns the last panic, which the caller resumes when its
/// own work is done.
#[inline]
pub fn wake_all(wakers: impl Iterator<Item = Waker>) -> Option<Box<dyn Any + Send>> {
    let mut panicked = None;
    for waker in wakers {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()))
            && let Some(earlier) = panicked.replace(panic)
        {
            discard(earlier);
        }
    }
    panicked
}

/// Drops the payload of a panic. If its destructor panics, the second payload is leaked.
pub fn discard(panic: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
}
