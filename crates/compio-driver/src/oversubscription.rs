//! CPU oversubscription: whether this process has more drivers than CPUs for them.
//!
//! An affinity mask may confine a thread to some CPUs. A set of CPUs is oversubscribed if more driver
//! threads have masks within the set than it has CPUs: then some of them have to wait for a CPU. A thread
//! with a larger mask is not counted, since it can run on a CPU outside of the set.

#![allow(dead_code, reason = "for `spin`, which readiness does not use")]

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use crate::{
    per_process::{PerProcess, Process},
    sys::{self, in_simulation},
};

/// A set of CPUs, as a bit mask.
pub(crate) type CpuSet = [u64; 16];

/// The number of this process's drivers for each affinity mask.
static DRIVERS: PerProcess<Mutex<Counts>> = PerProcess::new();

type Counts = Vec<(CpuSet, usize)>;

/// The number of changes of [`DRIVERS`].
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// One driver's entry among the drivers of this process.
pub(crate) struct CpuShare {
    confined_to: CpuSet,
    /// The number of CPUs that it may use: a quota can be less than the mask.
    processors: usize,
    /// The process whose [`DRIVERS`] count it.
    process: Process,
    /// The value of [`CHANGES`] when `is_oversubscribed` was computed.
    seen: Option<usize>,
    is_oversubscribed: bool,
}

impl CpuShare {
    /// For a driver of this thread. Later changes of the thread's affinity mask have no effect.
    pub(crate) fn take() -> Self {
        in_simulation!(roomy_share());
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

    /// An entry that is never oversubscribed.
    #[cfg(any(test, feature = "sim"))]
    #[cfg_attr(not(test), allow(dead_code, reason = "only Linux has simulated hosts"))]
    pub(crate) fn roomy() -> Self {
        Self::at([u64::MAX; 16], usize::MAX)
    }

    /// The number of CPUs that this driver's thread may use.
    pub(crate) fn processors(&self) -> usize {
        self.processors
    }

    /// Whether more drivers are confined to this driver's mask than CPUs that it may use.
    pub(crate) fn is_oversubscribed(&mut self) -> bool {
        // Relaxed: pairs with `note_change`. A reader of the change takes the lock, which was held then.
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
    // Relaxed: pairs with `CpuShare::is_oversubscribed`; the lock orders the changed counts.
    CHANGES.fetch_add(1, Relaxed);
}

/// The number of drivers whose masks are within these CPUs.
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

    /// CPUs that no real thread is confined to.
    fn far_off(bits: u64) -> CpuSet {
        let mut processors = [0; 16];
        processors[15] = bits << 32;
        processors
    }

    #[test]
    fn a_driver_confined_elsewhere_is_no_neighbour() {
        let (first, second, both) = (far_off(1), far_off(2), far_off(3));
        let drivers = [(first, 1), (second, 2), (both, 3)];
        assert_eq!(neighbours(&drivers, &first), 1);
        assert_eq!(neighbours(&drivers, &second), 2);
        assert_eq!(neighbours(&drivers, &both), 6);
    }

    #[test]
    fn drivers_on_one_processor_each_are_not_oversubscribed() {
        let mut first = CpuShare::at(far_off(4), 1);
        let mut second = CpuShare::at(far_off(8), 1);
        assert!(!first.is_oversubscribed());
        assert!(!second.is_oversubscribed());
    }

    #[test]
    fn two_drivers_on_one_processor_are_oversubscribed_until_one_is_dropped() {
        let mut first = CpuShare::at(far_off(16), 1);
        assert!(!first.is_oversubscribed());
        let mut second = CpuShare::at(far_off(16), 1);
        assert!(first.is_oversubscribed());
        assert!(second.is_oversubscribed());
        drop(second);
        assert!(!first.is_oversubscribed());
    }

    #[test]
    fn only_the_driver_with_the_larger_mask_is_oversubscribed() {
        let mut anywhere = CpuShare::at(far_off(32 + 64), 2);
        let mut first = CpuShare::at(far_off(32), 1);
        let mut second = CpuShare::at(far_off(64), 1);
        assert!(anywhere.is_oversubscribed());
        assert!(!first.is_oversubscribed());
        assert!(!second.is_oversubscribed());
    }
}
