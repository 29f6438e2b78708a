//! Faults at the edge of the real kernels, for tests: a thread asks for them, and its drivers meet
//! them, as often as its rng say. Nothing is lost by any of them; it only comes later, or in smaller
//! pieces.

use std::{cell::RefCell, io};

use super::sim::Rng;

thread_local! {
    static DICE: RefCell<Option<(Rng, Chances)>> = const { RefCell::new(None) };
}

/// How often things go wrong, in percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chances {
    /// A system call that does nothing: a signal came, or there is no memory for it.
    pub(crate) refuses: usize,
    /// A submission queue without room.
    pub(crate) is_full: usize,
    /// A completion queue, or a list of events, as small as can be.
    pub(crate) is_tiny: usize,
    /// A hint that means nothing.
    pub(crate) misleads: usize,
}

/// While this lives, the drivers of this thread meet with faults.
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

/// Why a system call does nothing, if it does not.
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
pub(super) fn is_full() -> bool {
    strikes(|chances| chances.is_full)
}

/// The room that there is, or less.
pub(super) fn room<T: From<u8>>(room: T) -> T {
    if strikes(|chances| chances.is_tiny) {
        T::from(1)
    } else {
        room
    }
}

/// Readiness that there is none of.
pub(super) fn misled(events: u32) -> u32 {
    if strikes(|chances| chances.misleads) {
        events
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
