//! The inbox of remotely woken tasks.
//!
//! An unbounded stack, linked through the tasks themselves: a push neither allocates, nor blocks, nor
//! fails for lack of room. Only the home thread takes, and always all entries, so a task that was
//! taken and pushed again cannot be mistaken for the old top (no ABA).
//!
//! ```text
//! empty --push--> tasks --push--> tasks
//!   ^               |
//!   +-----take------+          any --close--> closed: pushes are refused
//! ```
//!
//! An entry holds a reference of its task. A task holds a lease of the scheduler, which contains the
//! inbox. No cycle outlives the executor, because closing empties the inbox, and later pushes fail.

use std::{
    ptr::{null_mut, without_provenance_mut},
    task::Waker,
};

use crate::{
    sync::{AtomicPtr, Ordering},
    task::{Header, TaskPtr},
};

/// Never the address of a header, because of its alignment.
const CLOSED: *mut Header = without_provenance_mut(1);

// On cache lines of its own, or every push would invalidate those of the ready queue. (Two lines of
// 64 bytes: some processors prefetch in pairs.)
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

    /// Pushes a task, and calls `unpark` if the inbox was empty; `false` if it is closed.
    ///
    /// # Safety
    /// The caller owns the task's `inbox_next` (M6) and a reference of it (M2). On `true` both
    /// belong to the inbox.
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
        // `task` may be freed by now; `self` may not, because the caller's waker leases it (M5).
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

    /// Takes all entries. Home thread only.
    pub(crate) fn take(&self) -> Entries {
        // Acquire: pairs with `push`.
        Entries::new(self.head.swap(null_mut(), Ordering::Acquire))
    }

    /// Takes all entries, and rejects later pushes. Home thread only, once.
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
    /// Reverses the stack.
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
    /// The receiver owns the entry's reference and `inbox_next` (M6).
    type Item = TaskPtr;

    fn next(&mut self) -> Option<TaskPtr> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: `push` stored a `TaskPtr`.
        let task = unsafe { TaskPtr::new(self.next) };
        // SAFETY: M2 by the entry's reference; M6. Read before the receiver clears `queued`.
        self.next = unsafe { task.header() }.inbox_next.get();
        Some(task)
    }
}
