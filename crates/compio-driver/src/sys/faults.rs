//! Fault injection into the real backends, for tests: a thread enables faults, which its drivers meet
//! at random. No fault loses data. Results only come later, or in smaller pieces.

use std::{cell::RefCell, io};

use super::rng::Rng;

thread_local! {
    static DICE: RefCell<Option<(Rng, Chances)>> = const { RefCell::new(None) };
}

/// The probability of each fault, in percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chances {
    /// A system call fails with a temporary error, for instance after a signal or for lack of memory.
    pub(crate) refuses: usize,
    /// The submission queue has no room.
    #[cfg_attr(compio_portable, allow(dead_code, reason = "only io_uring has one"))]
    pub(crate) is_full: usize,
    /// The completion queue, or a list of events, has room for one entry.
    pub(crate) is_tiny: usize,
    /// A hint of readiness is wrong.
    pub(crate) misleads: usize,
}

/// Injects faults into the drivers of this thread until it is dropped.
#[must_use = "they end when this is dropped"]
pub(crate) struct Faults(());

impl Faults {
    pub(crate) fn begin(rng: Rng, chances: Chances) -> Self {
        DICE.set(Some((rng, chances)));
        Self(())
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        DICE.set(None);
    }
}

fn strikes(chance: impl Fn(&Chances) -> usize) -> bool {
    DICE.with_borrow_mut(|faults| {
        let faults = faults.as_mut();
        faults.is_some_and(|(rng, chances)| rng.percent(chance(chances)))
    })
}

/// The error of a system call that fails. None if it does not.
pub(super) fn refusal(reasons: &[i32]) -> Option<io::Error> {
    if !strikes(|chances| chances.refuses) {
        return None;
    }
    DICE.with_borrow_mut(|faults| {
        let (rng, _) = faults.as_mut()?;
        Some(io::Error::from_raw_os_error(rng.pick(reasons)))
    })
}

/// Whether there is no room in the submission queue.
#[cfg(not(compio_portable))]
pub(super) fn is_full() -> bool {
    strikes(|chances| chances.is_full)
}

/// The real room, or less.
pub(super) fn room<T: From<u8>>(room: T) -> T {
    if strikes(|chances| chances.is_tiny) {
        T::from(1)
    } else {
        room
    }
}

/// False readiness.
pub(super) fn misled(events: u32) -> u32 {
    if strikes(|chances| chances.misleads) {
        events
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
