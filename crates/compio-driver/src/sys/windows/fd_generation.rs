//! Generations of handles: whether a handle value still stands for the same object, without a system
//! call. Also, whether a handle supports overlapped calls, which the system does not report.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use super::fd::{AsRawFd, RawFd};
use crate::fd::SharedFd;

/// The time for which a [`SharedFd`] of this thread holds a handle value.
/// During it, a backend that has attached the handle can rely on its identity.
#[derive(Debug)]
pub(crate) struct FdGeneration(RawFd);

thread_local! {
    /// The state of each handle, by its value.
    static LIVES: RefCell<HashMap<RawFd, Held>> = RefCell::default();
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// A handle that a [`SharedFd`] of this thread holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// The number of its generation.
    pub(crate) life: u64,
    /// Whether it was declared that it supports overlapped calls.
    pub(crate) is_overlapped: bool,
    /// Whether it was declared that it does not.
    pub(crate) is_synchronous: bool,
    /// Whether it was declared that each write goes to the end of the file.
    pub(crate) is_append_only: bool,
}

impl FdGeneration {
    pub(crate) fn begin(fd: RawFd) -> Self {
        // While the thread ends, no code uses the state.
        let _ = LIVES.try_with(|lives| {
            let life = NEXT.get();
            NEXT.set(life + 1);
            let held = Held {
                life,
                is_overlapped: false,
                is_synchronous: false,
                is_append_only: false,
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

/// Declares that a handle was opened with `FILE_FLAG_OVERLAPPED`.
///
/// The system does not report the flag, and returns the same error for two kinds of handles: handles
/// without the flag, and handles that another runtime has used, to whose port they belong for life.
/// Without this declaration, both count as handles without the flag: a pool thread waits for each of
/// their operations, and an operation that has begun cannot be cancelled. A pool thread also prepares the
/// first operation on a handle without a declaration.
///
/// If the declaration is wrong, each operation blocks the runtime until it is over.
pub fn assume_overlapped(fd: &SharedFd) {
    declare(fd, |held| held.is_overlapped = true);
}

/// Declares that a handle was opened without `FILE_FLAG_OVERLAPPED`, such as an end of an anonymous pipe.
///
/// The system executes the calls on such a handle one after the other, also those of its duplicates and of other
/// processes. Without this declaration, a pool thread first tries to attach the handle to a completion port. If
/// another thread waits in a read of the same pipe, this attempt waits for the end of that read. With
/// it, a pool thread makes all calls on the handle at once.
///
/// If the declaration is wrong, an operation that has begun cannot be cancelled.
pub fn assume_synchronous(fd: &SharedFd) {
    declare(fd, |held| held.is_synchronous = true);
}

/// Declares that a file was opened for appending alone: each write goes to its end.
///
/// Windows executes such writes synchronously, and does not report the access of a handle. With this declaration,
/// a pool thread makes them.
pub fn assume_append_only(fd: &SharedFd) {
    declare(fd, |held| held.is_append_only = true);
}

/// As [`assume_overlapped`], for an operation that states it of its handles.
pub(crate) fn declare_overlapped(fd: RawFd) {
    declare_raw(fd, |held| held.is_overlapped = true);
}

fn declare(fd: &SharedFd, declare: impl FnOnce(&mut Held)) {
    declare_raw(fd.as_raw_fd(), declare);
}

fn declare_raw(fd: RawFd, declare: impl FnOnce(&mut Held)) {
    // While the thread ends, no code uses the state.
    let _ = LIVES.try_with(|lives| {
        if let Some(held) = lives.borrow_mut().get_mut(&fd) {
            declare(held);
        }
    });
}

/// The state of the handle, if a [`SharedFd`] of this thread holds it.
pub(crate) fn held(fd: RawFd) -> Option<Held> {
    LIVES
        .try_with(|lives| lives.borrow().get(&fd).copied())
        .ok()
        .flatten()
}
