//! The ready queue and the list of live tasks, linked through the tasks themselves: they never
//! allocate.

use crate::{
    sync::Cell,
    task::{TaskPtr, header::state},
};

/// Ready tasks, first in, first out.
pub(crate) struct ReadyQueue {
    first: Cell<Option<TaskPtr>>,
    last: Cell<Option<TaskPtr>>,
}

impl ReadyQueue {
    pub(crate) fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// Appends a task. Returns whether it is the only one now.
    ///
    /// # Safety
    /// Home thread; the task is no member, and M7 allows it to be one.
    #[inline]
    pub(crate) unsafe fn push(&self, task: TaskPtr) -> bool {
        // SAFETY: members live (M7).
        unsafe {
            task.header().ready_next.set(None);
            match self.last.replace(Some(task)) {
                Some(last) => {
                    last.header().ready_next.set(Some(task));
                    false
                }
                None => {
                    self.first.set(Some(task));
                    true
                }
            }
        }
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskPtr> {
        let task = self.first.get()?;
        // SAFETY: members live (M7).
        let next = unsafe { task.header() }.ready_next.get();
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(task)
    }

    /// Removes all members.
    pub(crate) fn clear(&self) {
        self.first.set(None);
        self.last.set(None);
    }
}

/// Tasks that are not Complete, oldest first (M8).
pub(crate) struct LiveList {
    first: Cell<Option<TaskPtr>>,
    last: Cell<Option<TaskPtr>>,
    len: Cell<usize>,
}

impl LiveList {
    pub(crate) fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
            len: Cell::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// # Safety
    /// Home thread; the task is not Complete, and is no member (M8).
    #[inline]
    pub(crate) unsafe fn push(&self, task: TaskPtr) {
        // SAFETY: members live (M8, M3).
        unsafe {
            let last = self.last.replace(Some(task));
            task.header().live_previous.set(last);
            match last {
                Some(last) => last.header().live_next.set(Some(task)),
                None => self.first.set(Some(task)),
            }
        }
        self.len.set(self.len.get() + 1);
    }

    /// # Safety
    /// Home thread; the task is a member (M8).
    #[inline]
    pub(crate) unsafe fn remove(&self, task: TaskPtr) {
        // SAFETY: members live (M8, M3).
        unsafe {
            let header = task.header();
            let previous = header.live_previous.replace(None);
            let next = header.live_next.replace(None);
            match previous {
                Some(previous) => previous.header().live_next.set(next),
                None => self.first.set(next),
            }
            match next {
                Some(next) => next.header().live_previous.set(previous),
                None => self.last.set(previous),
            }
        }
        self.len.set(self.len.get() - 1);
    }

    /// Adds flags to the state of all members.
    pub(crate) fn mark(&self, bits: u8) {
        let mut cursor = self.first.get();
        while let Some(task) = cursor {
            // SAFETY: members live (M8, M3).
            let header = unsafe { task.header() };
            header.state.set(header.state.get() | bits);
            cursor = header.live_next.get();
        }
    }

    /// The oldest member that is not Running.
    pub(crate) fn first_idle(&self) -> Option<TaskPtr> {
        let mut cursor = self.first.get();
        while let Some(task) = cursor {
            // SAFETY: members live (M8, M3).
            let header = unsafe { task.header() };
            if !header.is(state::RUNNING) {
                break;
            }
            cursor = header.live_next.get();
        }
        cursor
    }
}
