//! Whether a descriptor's number still stands for the same file: what the readiness backend would
//! otherwise have to ask the kernel.

use std::cell::RefCell;

use super::types::RawFd;

/// The time for which a descriptor's number is held by a [`SharedFd`](crate::SharedFd) of this
/// thread. A backend that has registered it need not ask whether it is still the same.
#[derive(Debug)]
pub(crate) struct Life(RawFd);

thread_local! {
    /// By number.
    static LIVES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Odd while the number is held, and different for each life.
    life: u32,
    /// What has been found out in this life.
    note: u8,
}

impl Life {
    pub(crate) fn begin(fd: RawFd) -> Self {
        turn_over(fd);
        Self(fd)
    }
}

impl Drop for Life {
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
            lives.resize(place + 1, Entry::default());
        }
        lives[place] = Entry {
            life: lives[place].life.wrapping_add(1),
            note: 0,
        };
    });
}

/// Names the life of the [`SharedFd`](crate::SharedFd) of this thread that holds the number now,
/// if there is one.
pub(crate) fn life_of(fd: RawFd) -> Option<u32> {
    LIVES
        .try_with(|lives| lives.borrow().get(fd as usize).map(|entry| entry.life))
        .ok()
        .flatten()
        .filter(|life| !life.is_multiple_of(2))
}

/// Looks at what has been noted about the number in the life that it has now, if it has one: 0 at its
/// beginning.
#[allow(dead_code, reason = "not every system has something to note")]
pub(crate) fn with_note<T>(fd: RawFd, look: impl FnOnce(&mut u8) -> T) -> Option<T> {
    LIVES
        .try_with(|lives| {
            let mut lives = lives.borrow_mut();
            let entry = lives.get_mut(fd as usize)?;
            (!entry.life.is_multiple_of(2)).then(|| look(&mut entry.note))
        })
        .ok()
        .flatten()
}
