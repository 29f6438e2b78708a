//! The waker of a traced task: it reports its clones, wakes and drops, from which tokio-console computes how many
//! wakers a task has.
//!
//! `std::task::Wake` does not show the clones, so the table of functions is here.

use std::{
    mem::ManuallyDrop,
    ops::Deref,
    sync::Arc,
    task::{RawWaker, RawWakerVTable, Waker},
};

use tracing::{span, trace};

// A static: `Waker::will_wake` compares its address.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

struct Traced {
    waker: Waker,
    /// The ID of the task's span. The span itself would stay open as long as a waker.
    span: u64,
}

impl Traced {
    fn report(&self, op: &'static str) {
        trace!(target: "runtime::waker", op, task.id = self.span);
    }
}

/// The waker of a task for its polls.
pub(super) struct TaskWaker(Arc<Traced>);

impl TaskWaker {
    /// `waker` wakes the task.
    pub(super) fn new(waker: &Waker, span: &span::Id) -> Self {
        Self(Arc::new(Traced {
            waker: waker.clone(),
            span: span.into_u64(),
        }))
    }

    /// Whether `waker` wakes the same task.
    pub(super) fn is_for(&self, waker: &Waker) -> bool {
        self.0.waker.will_wake(waker)
    }

    /// The waker for one poll. It is no clone, and reports neither its begin nor its end.
    pub(super) fn lend(&self) -> Lent<'_> {
        let data = Arc::as_ptr(&self.0).cast();
        // SAFETY: the functions of the table keep the contract of `RawWaker`. `Traced` is `Send` and `Sync`,
        // as its fields are. The waker has no reference of its own, and is never dropped; `Lent` borrows the
        // reference of `self`.
        let waker = unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) };
        Lent {
            waker: ManuallyDrop::new(waker),
            _task: self,
        }
    }
}

/// A waker without a reference of its own.
pub(super) struct Lent<'a> {
    waker: ManuallyDrop<Waker>,
    _task: &'a TaskWaker,
}

impl Deref for Lent<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

/// # Safety
///
/// `data` is of a waker that [`TaskWaker::lend`] has made, or of one of its clones, and is used while that waker
/// lives.
unsafe fn traced<'a>(data: *const ()) -> &'a Traced {
    // SAFETY: `lend` has stored a pointer into an `Arc`, and the waker or its lender has a reference.
    unsafe { &*data.cast::<Traced>() }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called by a waker, which lives.
    unsafe {
        traced(data).report("waker.clone");
        // The reference of the new waker.
        Arc::increment_strong_count(data.cast::<Traced>());
    }
    RawWaker::new(data, &VTABLE)
}

// A wake counts as a drop for tokio-console: it needs no second event.
unsafe fn wake(data: *const ()) {
    // SAFETY: called by a waker that owns a reference, which ends here: a lent waker is never consumed.
    let traced = unsafe { Arc::from_raw(data.cast::<Traced>()) };
    traced.report("waker.wake");
    traced.waker.wake_by_ref();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called by a waker, which lives.
    let traced = unsafe { traced(data) };
    traced.report("waker.wake_by_ref");
    traced.waker.wake_by_ref();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as in `wake`.
    let traced = unsafe { Arc::from_raw(data.cast::<Traced>()) };
    traced.report("waker.drop");
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use tracing::span::Id;

    use super::TaskWaker;

    struct Ignore;

    impl Wake for Ignore {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn lent_waker_owns_no_reference() {
        let inner = Arc::new(Ignore);
        let task = TaskWaker::new(&Arc::clone(&inner).into(), &Id::from_u64(1));
        let references = |task: &TaskWaker| Arc::strong_count(&task.0);
        {
            let lent = task.lend();
            let clone = lent.clone();
            assert!(clone.will_wake(&lent));
            assert_eq!(references(&task), 2);
            clone.wake_by_ref();
            let other = clone.clone();
            other.wake();
            assert_eq!(references(&task), 2);
        }
        assert_eq!(references(&task), 1);
        // `inner`, and the waker of the task.
        assert_eq!(Arc::strong_count(&inner), 2);
        drop(task);
        assert_eq!(Arc::strong_count(&inner), 1);
    }
}
