//! Containing panics of wakers and destructors.

use std::{
    any::Any,
    mem,
    panic::{self, AssertUnwindSafe},
    task::Waker,
};

/// Wakes all of them. A waker that panics keeps no other from being woken. Returns the first panic.
pub(crate) fn wake_all(wakers: impl Iterator<Item = Waker>) -> Option<Box<dyn Any + Send>> {
    let mut first = None;
    for waker in wakers {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()))
            && let Some(later) = match first {
                Some(_) => Some(panic),
                None => {
                    first = Some(panic);
                    None
                }
            }
        {
            discard(later);
        }
    }
    first
}

/// Drops a panic's payload. If its destructor panics as well, that payload is leaked.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(second);
    }
}
