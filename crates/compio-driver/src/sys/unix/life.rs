//! Whether a descriptor's number still stands for the same file: what the readiness backend would
//! otherwise have to ask the kernel.

use std::cell::RefCell;

use super::types::RawFd;

/// The time for which a descriptor's number is held by a [`SharedFd`](crate::SharedFd) of this
/// thread. A backend that has registered it need not ask whether it is still the same.
#[derive(Debug)]
pub(crate) struct Life(RawFd);

thread_local! {
    /// By number: odd while it is held, and different for each life.
    static LIVES: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
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
            lives.resize(place + 1, 0);
        }
        lives[place] = lives[place].wrapping_add(1);
    });
}

/// Names the life of the [`SharedFd`](crate::SharedFd) of this thread that holds the number now,
/// if there is one.
pub(crate) fn life_of(fd: RawFd) -> Option<u32> {
    LIVES
        .try_with(|lives| lives.borrow().get(fd as usize).copied())
        .ok()
        .flatten()
        .filter(|life| !life.is_multiple_of(2))
}
