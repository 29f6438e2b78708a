//! Whether drivers have to share their processors.
//!
//! A thread may be confined to some of the machine's processors. Those that are confined to the same
//! ones as another, or to fewer of them, have no others to go to: if they are more than these
//! processors, some have to wait for their turn. Whoever may run elsewhere can get out of the way.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use crate::{
    per_process::{PerProcess, Process},
    sys,
};

/// A set of processors, a bit for each.
pub(crate) type CpuSet = [u64; 16];

/// The drivers of this process: how many live on threads that are confined to the same processors.
static DRIVERS: PerProcess<Mutex<Counts>> = PerProcess::new();

type Counts = Vec<(CpuSet, usize)>;

/// How often that has changed.
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// A driver's place among the others of this process.
pub(crate) struct CpuShare {
    confined_to: CpuSet,
    /// How many of these it may use: a quota can be less.
    processors: usize,
    /// Where the others know of it.
    process: Process,
    /// The change up to which it is known whether the processors suffice.
    seen: Option<usize>,
    is_oversubscribed: bool,
}

impl CpuShare {
    /// For a driver of this thread. Where the thread is confined to later on does not count.
    pub(crate) fn take() -> Self {
        let anywhere = [u64::MAX; 16];
        Self::at(
            sys::processors_of_this_thread().unwrap_or(anywhere),
            thread::available_parallelism().map_or(1, usize::from),
        )
    }

    fn at(confined_to: CpuSet, processors: usize) -> Self {
        let mut drivers = lock();
        match drivers.iter_mut().find(|(other, _)| *other == confined_to) {
            Some((_, count)) => *count += 1,
            None => drivers.push((confined_to, 1)),
        }
        note_change(&drivers);
        Self {
            confined_to,
            processors,
            process: Process::current(),
            seen: None,
            is_oversubscribed: false,
        }
    }

    /// One with room for as many drivers as there may be.
    #[cfg(test)]
    pub(crate) fn roomy() -> Self {
        Self::at([u64::MAX; 16], usize::MAX)
    }

    /// How many processors this driver's thread may use.
    pub(crate) fn processors(&self) -> usize {
        self.processors
    }

    /// Whether there are more drivers than processors where this one can run.
    pub(crate) fn is_oversubscribed(&mut self) -> bool {
        // Relaxed: pairs with `note_change`. Whoever sees the change takes the lock, which was held then.
        let changes = CHANGES.load(Relaxed);
        if self.seen != Some(changes) {
            self.seen = Some(changes);
            self.is_oversubscribed = neighbours(&lock(), &self.confined_to) > self.processors;
        }
        self.is_oversubscribed
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        if !self.process.is_current() {
            return;
        }
        let mut drivers = lock();
        for (other, count) in &mut *drivers {
            *count -= usize::from(*other == self.confined_to);
        }
        drivers.retain(|(_, count)| *count > 0);
        note_change(&drivers);
    }
}

fn lock() -> MutexGuard<'static, Counts> {
    let drivers = DRIVERS.get_or_make(Mutex::default);
    drivers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note_change(_held: &MutexGuard<'_, Counts>) {
    // Relaxed: pairs with `CpuShare::is_oversubscribed`; the lock orders what has changed.
    CHANGES.fetch_add(1, Relaxed);
}

/// How many drivers have no other processors than these.
fn neighbours(drivers: &[(CpuSet, usize)], here: &CpuSet) -> usize {
    drivers
        .iter()
        .filter(|(other, _)| is_within(other, here))
        .map(|(_, count)| count)
        .sum()
}

fn is_within(some: &CpuSet, all: &CpuSet) -> bool {
    some.iter().zip(all).all(|(some, all)| some & !all == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CpuSet that no real thread is confined to.
    fn far_off(bits: u64) -> CpuSet {
        let mut processors = [0; 16];
        processors[15] = bits << 32;
        processors
    }

    #[test]
    fn whoever_is_confined_elsewhere_is_no_neighbour() {
        let (first, second, both) = (far_off(1), far_off(2), far_off(3));
        let drivers = [(first, 1), (second, 2), (both, 3)];
        assert_eq!(neighbours(&drivers, &first), 1);
        assert_eq!(neighbours(&drivers, &second), 2);
        assert_eq!(neighbours(&drivers, &both), 6);
    }

    #[test]
    fn drivers_on_a_processor_each_are_not_crowded() {
        let mut first = CpuShare::at(far_off(4), 1);
        let mut second = CpuShare::at(far_off(8), 1);
        assert!(!first.is_oversubscribed());
        assert!(!second.is_oversubscribed());
    }

    #[test]
    fn two_drivers_on_one_processor_are_crowded_until_one_dies() {
        let mut first = CpuShare::at(far_off(16), 1);
        assert!(!first.is_oversubscribed());
        let mut second = CpuShare::at(far_off(16), 1);
        assert!(first.is_oversubscribed());
        assert!(second.is_oversubscribed());
        drop(second);
        assert!(!first.is_oversubscribed());
    }

    #[test]
    fn who_could_run_elsewhere_gives_way() {
        let mut anywhere = CpuShare::at(far_off(32 + 64), 2);
        let mut first = CpuShare::at(far_off(32), 1);
        let mut second = CpuShare::at(far_off(64), 1);
        assert!(anywhere.is_oversubscribed());
        assert!(!first.is_oversubscribed());
        assert!(!second.is_oversubscribed());
    }
}
