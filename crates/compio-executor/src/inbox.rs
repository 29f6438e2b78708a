//! The inbox: where other threads put the tasks that they wake.
//!
//! An unbounded stack, linked through the tasks themselves: a push neither allocates, nor blocks, nor
//! fails for want of room. Only the home thread takes, and always everything, so that a task which
//! was taken and pushed again can't be mistaken for the old top (no ABA).
//!
//! ```text
//! empty --push--> tasks --push--> tasks
//!   ^               |
//!   +-----take------+          any --close--> closed: pushes are refused
//! ```
//!
//! An entry holds a reference of its task, a task a lease of the scheduler that the inbox is part of. No
//! cycle outlives the executor, because closing empties the inbox, and nothing comes in after.

use std::{
    ptr::{null_mut, without_provenance_mut},
    task::Waker,
};

use crate::{
    sync::{AtomicPtr, Ordering},
    task::{Header, TaskPtr},
};

/// Not the address of a header, by its alignment.
const CLOSED: *mut Header = without_provenance_mut(1);

// Lines of its own, or every push would take away those of the ready queue. (Two lines of 64 bytes:
// some processors fetch in pairs.)
#[repr(align(128))]
pub(crate) struct Inbox {
    /// The newest entry, null, or CLOSED.
    head: AtomicPtr<Header>,
    unpark: Waker,
}

impl Inbox {
    pub(crate) fn new(unpark: Waker) -> Self {
        Self {
            head: AtomicPtr::new(null_mut()),
            unpark,
        }
    }

    /// Puts a task in, and calls `unpark` if there was none; `false` if closed.
    ///
    /// # Safety
    /// The caller owns the task's `inbox_next` (M6) and a reference of it (M2). On `true` both have
    /// gone into the inbox.
    pub(crate) unsafe fn push(&self, task: TaskPtr) -> bool {
        // Relaxed: the value is compared, never dereferenced.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == CLOSED {
                return false;
            }
            // SAFETY: M2 and M6.
            unsafe { task.header() }.inbox_next.set(head);
            // Release: pairs with the swaps in `take` and `close`, which then see the link. Of earlier
            // pushes, too: a read-modify-write continues their release sequence.
            match self.head.compare_exchange_weak(
                head,
                task.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(found) => head = found,
            }
        }
        // `task` may be gone by now; `self` may not, for the caller's waker leases it (M5).
        if head.is_null() {
            self.unpark.wake_by_ref();
        }
        true
    }

    /// Ends the sleep of the home thread, as a push does.
    pub(crate) fn unpark(&self) {
        self.unpark.wake_by_ref();
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Acquire, so that a loop which polls this reads nothing older afterwards. The entries
        // themselves are only reached through `take`.
        self.head.load(Ordering::Acquire).is_null()
    }

    /// Takes everything. Home thread only.
    pub(crate) fn take(&self) -> Entries {
        // Acquire: pairs with `push`.
        Entries::new(self.head.swap(null_mut(), Ordering::Acquire))
    }

    /// Takes everything, and refuses later pushes. Home thread only, once.
    pub(crate) fn close(&self) -> Entries {
        // Acquire: pairs with `push`.
        Entries::new(self.head.swap(CLOSED, Ordering::Acquire))
    }
}

/// The entries of the inbox, oldest first. They must be iterated to the end, or the rest leaks.
pub(crate) struct Entries {
    next: *mut Header,
}

impl Entries {
    /// Turns the stack around.
    fn new(mut newest: *mut Header) -> Self {
        let mut next = null_mut();
        while !newest.is_null() {
            // SAFETY: M2 by the entry's reference, M6: the link came with the entry, and `queued` is
            // still set.
            let link = unsafe { &(*newest).inbox_next };
            newest = link.replace(std::mem::replace(&mut next, newest));
        }
        Self { next }
    }
}

impl Iterator for Entries {
    /// The entry's reference is the receiver's, and so is `inbox_next` (M6).
    type Item = TaskPtr;

    fn next(&mut self) -> Option<TaskPtr> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: `push` stored a `TaskPtr`.
        let task = unsafe { TaskPtr::new(self.next) };
        // SAFETY: M2 by the entry's reference; M6. Read before the receiver turns `queued` back.
        self.next = unsafe { task.header() }.inbox_next.get();
        Some(task)
    }
}
