//! The `Waker` of a task: a counted pointer to its header.

use std::{
    mem::ManuallyDrop,
    task::{RawWaker, RawWakerVTable, Waker},
};

use crate::task::TaskPtr;

// A static: `Waker::will_wake` compares its address.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// A waker that is lent to one poll: it holds no reference.
///
/// # Safety
/// The task and its executor live as long as the result is used (M2, M5).
#[inline]
pub(crate) unsafe fn lend(task: TaskPtr) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of the table keep the contract of `RawWaker`: `TaskPtr` is only touched
    // from other threads where the memory rules allow it. It is never dropped, because it holds
    // nothing.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(task.as_ptr().cast(), &VTABLE)) })
}

/// # Safety
/// `data` is of a waker made by [`lend`], or cloned from one.
#[inline]
unsafe fn task_of(data: *const ()) -> TaskPtr {
    // SAFETY: `lend` stored a `TaskPtr`.
    unsafe { TaskPtr::new(data.cast_mut().cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called by a waker, so M2 and M5 hold.
    unsafe {
        let task = task_of(data);
        task.lease_scheduler();
        task.retain();
    }
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called by a waker, so M2 and M5 hold; M1 by the comparison. The reference ends here.
    unsafe {
        let task = task_of(data);
        if task.header().home.is_current() {
            task.schedule();
            task.release_at_home();
        } else {
            wake_elsewhere(task);
        }
    }
}

/// # Safety
/// As for [`TaskPtr::schedule_remotely`]; the caller's reference ends here.
#[cold]
unsafe fn wake_elsewhere(task: TaskPtr) {
    // SAFETY: the caller's promise. Dropped at the end of the scope, because `unpark` might panic.
    unsafe {
        let _reference = Waker::from_raw(RawWaker::new(task.as_ptr().cast(), &VTABLE));
        task.schedule_remotely();
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called by a waker, so M2 and M5 hold; M1 by the comparison.
    unsafe {
        let task = task_of(data);
        if task.header().home.is_current() {
            task.schedule();
        } else {
            task.schedule_remotely();
        }
    }
}

unsafe fn drop(data: *const ()) {
    // SAFETY: the waker's reference ends here.
    unsafe { task_of(data).release() };
}
