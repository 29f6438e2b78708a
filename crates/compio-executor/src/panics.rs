//! Containing panics of user code. Only the panic hook reports them.

use std::{
    any::Any,
    mem::{forget, needs_drop},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Drops a value of the user's; a panic of its destructor ends here.
pub(crate) fn drop_caught<T>(value: T) {
    if !needs_drop::<T>() {
        return;
    }
    caught(|| drop(value));
}

/// Runs code of the user's; a panic ends here.
pub(crate) fn caught(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        discard(payload);
    }
}

/// Drops a panic's payload. That may panic, too, with a payload which may, too: leak that one.
#[cold]
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        forget(second);
    }
}
