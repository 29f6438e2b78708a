//! Whether a descriptor's number still stands for the same file, and what is known of that file: what a
//! backend would otherwise have to ask the kernel.

use std::{
    cell::RefCell,
    os::fd::{AsRawFd, OwnedFd},
};

use super::types::RawFd;

/// The time for which a descriptor's number is held by a [`SharedFd`](crate::SharedFd) of this
/// thread. A backend that has registered it need not ask whether it is still the same.
#[derive(Debug)]
pub(crate) struct FdGeneration(RawFd);

thread_local! {
    /// By number.
    static LIVES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Default)]
struct Entry {
    /// Odd while the number is held, and different for each life.
    life: u32,
    /// What has been found out in this life.
    note: u8,
    /// The type of the file, in the platform's numbers; 0 if it has not been asked for.
    kind: u8,
    /// Whether an own description of the file was refused.
    is_refused: bool,
    /// An own description of the file, in non-blocking mode.
    private: Option<OwnedFd>,
}

impl FdGeneration {
    pub(crate) fn begin(fd: RawFd) -> Self {
        turn_over(fd);
        Self(fd)
    }
}

impl Drop for FdGeneration {
    fn drop(&mut self) {
        turn_over(self.0);
    }
}

fn turn_over(fd: RawFd) {
    let place = fd as usize;
    // While the thread ends there is nobody left who asks.
    let _ = LIVES.try_with(|lives| {
        let mut lives = lives.borrow_mut();
        if lives.len() <= place {
            lives.resize_with(place + 1, Entry::default);
        }
        lives[place] = Entry {
            life: lives[place].life.wrapping_add(1),
            ..Entry::default()
        };
    });
}

/// PathOp the life of the [`SharedFd`](crate::SharedFd) of this thread that holds the number now,
/// if there is one.
pub(crate) fn generation_of(fd: RawFd) -> Option<u32> {
    LIVES
        .try_with(|lives| lives.borrow().get(fd as usize).map(|entry| entry.life))
        .ok()
        .flatten()
        .filter(|life| !life.is_multiple_of(2))
}

/// Looks at the entry of the number in the life that it has now, if it has one.
#[inline]
fn with_entry<T>(fd: RawFd, look: impl FnOnce(&mut Entry) -> T) -> Option<T> {
    LIVES
        .try_with(|lives| {
            let mut lives = lives.borrow_mut();
            let entry = lives.get_mut(fd as usize)?;
            (!entry.life.is_multiple_of(2)).then(|| look(entry))
        })
        .ok()
        .flatten()
}

/// Looks at what has been noted about the number in the life that it has now, if it has one: 0 at its
/// beginning.
#[allow(dead_code, reason = "not every system has something to note")]
pub(crate) fn with_cached_flags<T>(fd: RawFd, look: impl FnOnce(&mut u8) -> T) -> Option<T> {
    with_entry(fd, |entry| look(&mut entry.note))
}

/// The type of the file, which `ask` finds out: once in a life, and each time for a number without one.
#[inline]
pub(crate) fn kind_in_life(fd: RawFd, ask: fn(RawFd) -> u8) -> u8 {
    let known = with_entry(fd, |entry| {
        if entry.kind == 0 {
            entry.kind = ask(fd);
        }
        entry.kind
    });
    known.unwrap_or_else(|| ask(fd))
}

/// An own description of the file, which `open` makes, and which is closed at the end of the number's
/// life. None for a number without a life, and where it is refused. `Err(true)` of `open` is a refusal
/// for the whole life.
pub(crate) fn private_in_life(
    fd: RawFd,
    open: impl FnOnce(RawFd) -> Result<OwnedFd, bool>,
) -> Option<RawFd> {
    with_entry(fd, |entry| {
        if entry.private.is_none() && !entry.is_refused {
            match open(fd) {
                Ok(private) => entry.private = Some(private),
                Err(is_refused) => entry.is_refused = is_refused,
            }
        }
        entry.private.as_ref().map(AsRawFd::as_raw_fd)
    })
    .flatten()
}
