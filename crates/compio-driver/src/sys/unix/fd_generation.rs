//! Generations of descriptor numbers: whether a number still belongs to the same file, and cached
//! properties of that file.

use std::{
    cell::RefCell,
    os::fd::{AsRawFd, OwnedFd},
};

use super::types::RawFd;
use crate::sys::in_simulation;

/// The time for which a [`SharedFd`](crate::SharedFd) of this thread holds a descriptor's number. A
/// backend that has registered the number in this generation need not check whether the file is the
/// same.
#[derive(Debug)]
pub(crate) struct FdGeneration(RawFd);

thread_local! {
    /// By number.
    static LIVES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Default)]
struct Entry {
    /// Odd while the number is held, and different in each generation.
    life: u32,
    /// Cached flags of this generation.
    note: u8,
    /// The type of the file, in the platform's numbers. 0 if it is not known yet.
    kind: u8,
    /// Whether the system refused a private description of the file.
    is_refused: bool,
    /// A private description of the file, in non-blocking mode.
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
    // The table is for real numbers.
    in_simulation!(skip(fd));
    let place = fd as usize;
    // No code uses the table while the thread ends.
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

/// The generation of the [`SharedFd`](crate::SharedFd) of this thread that holds the number now. None
/// if no such handle holds it.
pub(crate) fn generation_of(fd: RawFd) -> Option<u32> {
    LIVES
        .try_with(|lives| lives.borrow().get(fd as usize).map(|entry| entry.life))
        .ok()
        .flatten()
        .filter(|life| !life.is_multiple_of(2))
}

/// Accesses the entry of the number in its current generation, if it has one.
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

/// Accesses the cached flags of the number in its current generation, if it has one. They are 0 at
/// first.
#[allow(dead_code, reason = "for `nowait` of Linux")]
pub(crate) fn with_cached_flags<T>(fd: RawFd, look: impl FnOnce(&mut u8) -> T) -> Option<T> {
    with_entry(fd, |entry| look(&mut entry.note))
}

/// The type of the file, which `ask` queries: once per generation, and each time for a number without
/// one.
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

/// A private description of the file, which `open` makes, and which is closed at the end of the
/// generation. None for a number without a generation, and if the system refuses it. `Err(true)` of
/// `open` is a refusal for the whole generation.
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
