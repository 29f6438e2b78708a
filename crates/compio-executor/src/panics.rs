//! Containing panics of user code. Only the panic hook reports them.

use std::{
    any::Any,
    mem::{forget, needs_drop},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Drops a user's value, and contains a panic of its destructor.
pub(crate) fn drop_caught<T>(value: T) {
    if !needs_drop::<T>() {
        return;
    }
    caught(|| drop(value));
}

/// Runs user code, and contains its panic.
pub(crate) fn caught(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        discard(payload);
    }
}

/// Drops the payload of a panic. That may panic, too, with a payload that may panic as well: leak
/// that one.
#[cold]
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        forget(second);
    }
}
