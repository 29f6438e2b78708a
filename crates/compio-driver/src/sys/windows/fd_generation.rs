//! Whether a handle's number still stands for the same object: what the backend would otherwise
//! have to ask the system. Also, what the system does not tell of a handle.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use super::fd::{AsRawFd, RawFd};
use crate::fd::SharedFd;

/// The time for which a handle's number is held by a [`SharedFd`] of this thread.
/// A backend that has attached it need not ask whether it is still the same.
#[derive(Debug)]
pub(crate) struct FdGeneration(RawFd);

thread_local! {
    /// What is known of each handle, by its number.
    static LIVES: RefCell<HashMap<RawFd, Held>> = RefCell::default();
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// A handle that a [`SharedFd`] of this thread holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// The number of its life.
    pub(crate) life: u64,
    /// Whether somebody has said that it is for overlapped calls.
    pub(crate) is_overlapped: bool,
}

impl FdGeneration {
    pub(crate) fn begin(fd: RawFd) -> Self {
        // While the thread ends there is nobody left who asks.
        let _ = LIVES.try_with(|lives| {
            let life = NEXT.get();
            NEXT.set(life + 1);
            let held = Held {
                life,
                is_overlapped: false,
            };
            lives.borrow_mut().insert(fd, held);
        });
        Self(fd)
    }
}

impl Drop for FdGeneration {
    fn drop(&mut self) {
        let _ = LIVES.try_with(|lives| lives.borrow_mut().remove(&self.0));
    }
}

/// Says that a handle was opened with `FILE_FLAG_OVERLAPPED`.
///
/// The system does not tell, and refuses two kinds of handles in the same words: those that are not
/// for overlapped calls, and those that another runtime has used before, whose port it keeps for
/// life. Unless this has been said, both are taken for the former: a thread waits for each of their
/// operations, and one that has begun cannot be cancelled.
///
/// Where it is not true, each operation blocks the runtime until it is over.
pub fn assume_overlapped(fd: &SharedFd) {
    // While the thread ends there is nobody left who asks.
    let _ = LIVES.try_with(|lives| {
        if let Some(held) = lives.borrow_mut().get_mut(&fd.as_raw_fd()) {
            held.is_overlapped = true;
        }
    });
}

/// What is known of the handle, if a [`SharedFd`] of this thread holds it.
pub(crate) fn held(fd: RawFd) -> Option<Held> {
    LIVES
        .try_with(|lives| lives.borrow().get(&fd).copied())
        .ok()
        .flatten()
}
