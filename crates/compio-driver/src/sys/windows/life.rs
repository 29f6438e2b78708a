//! Whether a handle's number still stands for the same object: what the backend would otherwise
//! have to ask the system.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use super::fd::RawFd;

/// The time for which a handle's number is held by a [`SharedFd`](crate::SharedFd) of this thread.
/// A backend that has attached it need not ask whether it is still the same.
#[derive(Debug)]
pub(crate) struct Life(RawFd);

thread_local! {
    /// Each life's own number, by that of the handle.
    static LIVES: RefCell<HashMap<RawFd, u64>> = RefCell::default();
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

impl Life {
    pub(crate) fn begin(fd: RawFd) -> Self {
        // While the thread ends there is nobody left who asks.
        let _ = LIVES.try_with(|lives| {
            let life = NEXT.get();
            NEXT.set(life + 1);
            lives.borrow_mut().insert(fd, life);
        });
        Self(fd)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = LIVES.try_with(|lives| lives.borrow_mut().remove(&self.0));
    }
}

/// Names the life of the [`SharedFd`](crate::SharedFd) of this thread that holds the number now,
/// if there is one.
pub(crate) fn life_of(fd: RawFd) -> Option<u64> {
    LIVES
        .try_with(|lives| lives.borrow().get(&fd).copied())
        .ok()
        .flatten()
}
