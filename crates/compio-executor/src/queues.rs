//! The ready queue and the list of live tasks, linked through the tasks themselves: they never
//! allocate.

use crate::{
    sync::Cell,
    task::{
        TaskPtr,
        header::{LinkOrTime, state},
    },
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
            task.header().link.set(LinkOrTime { next: None });
            match self.last.replace(Some(task)) {
                Some(last) => {
                    let next = Some(task);
                    last.header().link.set(LinkOrTime { next });
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
        // SAFETY: members live (M7), and have a link.
        let next = unsafe { task.header().link.get().next };
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(task)
    }

    /// Shuffles the first `max` members by a random number. Returns their number.
    #[cfg(feature = "sim")]
    pub(crate) fn shuffle(&self, max: usize, mut random: u64) -> usize {
        if self.first.get() == self.last.get() {
            // None, or one.
            return usize::from(!self.is_empty()).min(max);
        }
        let mut tasks: Vec<_> = std::iter::from_fn(|| self.pop()).collect();
        let count = tasks.len().min(max);
        for last in (1..count).rev() {
            // The linear congruential generator of Knuth, MMIX. Its high bits are the good ones.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let other = (u128::from(random) * (last as u128 + 1)) >> 64;
            tasks.swap(last, other as usize);
        }
        for task in tasks {
            // SAFETY: it was a member, and no other code has run since.
            unsafe { self.push(task) };
        }
        count
    }

    /// Removes all members. Returns their number.
    pub(crate) fn clear(&self) -> u64 {
        let mut count = 0;
        while self.pop().is_some() {
            count += 1;
        }
        count
    }
}

/// Tasks that are not Complete, oldest first (M8).
pub(crate) struct LiveList {
    first: Cell<Option<TaskPtr>>,
    last: Cell<Option<TaskPtr>>,
}

impl LiveList {
    pub(crate) fn new() -> Self {
        Self {
            first: Cell::new(None),
            last: Cell::new(None),
        }
    }

    /// # Safety
    /// Home thread; the task is not Complete, and was never a member (M8).
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
    }

    /// # Safety
    /// Home thread; the task is a member (M8).
    #[inline]
    pub(crate) unsafe fn remove(&self, task: TaskPtr) {
        // SAFETY: members live (M8, M3).
        unsafe {
            let header = task.header();
            // It is never a member again: its links stay.
            let previous = header.live_previous.get();
            let next = header.live_next.get();
            match previous {
                Some(previous) => previous.header().live_next.set(next),
                None => self.first.set(next),
            }
            match next {
                Some(next) => next.header().live_previous.set(previous),
                None => self.last.set(previous),
            }
        }
    }

    /// Adds flags to the state of all members.
    pub(crate) fn mark(&self, bits: u8) {
        for task in self.iter() {
            // SAFETY: members live (M8, M3).
            let header = unsafe { task.header() };
            header.state.set(header.state.get() | bits);
        }
    }

    /// The members, oldest first. Nothing may change the list meanwhile.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskPtr> + Clone {
        std::iter::successors(self.first.get(), |task| {
            // SAFETY: members live (M8, M3).
            unsafe { task.header() }.live_next.get()
        })
    }

    /// The oldest member that is not Running.
    pub(crate) fn first_idle(&self) -> Option<TaskPtr> {
        // SAFETY: members live (M8, M3).
        self.iter()
            .find(|task| unsafe { !task.header().is(state::RUNNING) })
    }
}
