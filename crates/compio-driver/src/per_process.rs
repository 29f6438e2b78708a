//! Values that each process has for itself: a child of `fork` begins with new ones.
//!
//! A child of a process with several threads has a copy of all memory and one thread. A mutex that
//! another thread held at the fork stays locked in the child, and a count of threads counts
//! threads that the child does not have. So no lock and no thread of this crate is used across a fork:
//! statics and pools find their state through [`PerProcess`], and a runtime remembers the [`Process`]
//! that made it.
//!
//! Comparing process ids is not enough: a child that is the first process of a new pid namespace is
//! number 1, and so may its parent be. [`sys::process_number`] says how each system tells them apart.

use std::{
    convert::Infallible,
    fmt,
    marker::PhantomData,
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering::{AcqRel, Acquire},
    },
};

use crate::sys;

/// One process, as distinct from its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(usize);

impl Process {
    /// This process.
    ///
    /// After the first call, a signal handler may call it, and a child of `fork` as well.
    pub fn current() -> Self {
        Self(sys::process_number())
    }

    /// Whether no process before this one is known to have forked it.
    #[cfg(unix)]
    pub(crate) fn is_first() -> bool {
        Self::current() == Self(1)
    }

    /// Whether this is the current process, rather than one of its ancestors.
    pub fn is_current(self) -> bool {
        self == Self::current()
    }
}

/// A value that is made once in each process, on first use.
///
/// It contains no lock: a child of `fork` does not wait for a thread that does not exist there. The values
/// of its ancestors stay in a child's memory, untouched.
pub struct PerProcess<T> {
    newest: AtomicPtr<Slot<T>>,
    /// Owns values, and lends them to any thread.
    _values: PhantomData<Box<T>>,
}

struct Slot<T> {
    process: Process,
    value: T,
    /// An ancestor's slot, or null. Kept for leak detectors.
    #[allow(dead_code, reason = "see above")]
    older: *mut Slot<T>,
}

impl<T> PerProcess<T> {
    /// Without a value yet.
    pub const fn new() -> Self {
        Self {
            newest: AtomicPtr::new(ptr::null_mut()),
            _values: PhantomData,
        }
    }
}

impl<T: Send + Sync> PerProcess<T> {
    /// This process's value, if it has been made. A signal handler may call this: it neither locks
    /// nor allocates.
    pub fn get(&self) -> Option<&T> {
        // Acquire: pairs with the exchange in `get_or_try_make`, which publishes the value.
        self.of_this_process(self.newest.load(Acquire))
    }

    /// This process's value. Concurrent callers may each make one, but all get the same.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        match self.get_or_try_make(|| Ok::<T, Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`get_or_make`](Self::get_or_make), by a function that may fail.
    ///
    /// # Errors
    ///
    /// The error of `make`.
    pub fn get_or_try_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        // Acquire: as in `get`.
        let older = self.newest.load(Acquire);
        if let Some(value) = self.of_this_process(older) {
            return Ok(value);
        }
        let made = Box::into_raw(Box::new(Slot {
            process: Process::current(),
            value: make()?,
            older,
        }));
        // AcqRel: pairs with the loads above. No ABA: nothing is freed before `drop`.
        match self.newest.compare_exchange(older, made, AcqRel, Acquire) {
            // SAFETY: published values are freed by `drop` only.
            Ok(_) => Ok(unsafe { &(*made).value }),
            Err(other) => {
                // SAFETY: made above, and not published.
                drop(unsafe { Box::from_raw(made) });
                let value = self.of_this_process(other);
                Ok(value.expect("made by another thread of this process"))
            }
        }
    }

    fn of_this_process(&self, slot: *mut Slot<T>) -> Option<&T> {
        // SAFETY: null, or a value that was published: it is freed by `drop` only.
        let slot = unsafe { slot.as_ref() }?;
        slot.process.is_current().then_some(&slot.value)
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let newest = *self.newest.get_mut();
        // SAFETY: it was made by `Box::into_raw`, and `&mut self` proves that there is no borrow of it.
        // An ancestor's value is not dropped: its locks may be held, and its threads do not exist here.
        unsafe {
            if !newest.is_null() && (*newest).process.is_current() {
                drop(Box::from_raw(newest));
            }
        }
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerProcess").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        sync::{Arc, Barrier},
        thread,
    };

    use super::*;

    /// The variable of the child below.
    const RACES: &str = "COMPIO_PROCESS_RACES";

    #[cfg(unix)]
    #[test]
    fn first_process_is_recognised_by_threads_at_once() {
        const THREADS: usize = 8;
        if std::env::var_os(RACES).is_none() {
            for _ in 0..50 {
                let test = "per_process::tests::first_process_is_recognised_by_threads_at_once";
                let child = compio_testkit::process::this_test(test)
                    .env(RACES, "1")
                    .output();
                let child = child.expect("a child");
                let printed = String::from_utf8_lossy(&child.stdout);
                assert!(
                    child.status.success() && printed.contains("1 passed"),
                    "{printed}"
                );
            }
            return;
        }
        let barrier = Arc::new(Barrier::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    barrier.wait();
                    (Process::is_first(), Process::current())
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), (true, Process(1)));
        }
    }

    #[test]
    fn failed_make_leaves_no_value() {
        let value = PerProcess::new();
        let error: Result<&u32, ()> = value.get_or_try_make(|| Err(()));
        assert!(error.is_err() && value.get().is_none());
        assert_eq!(value.get_or_make(|| 5), &5);
    }

    #[test]
    fn value_made_by_several_threads_at_once_is_one_value() {
        const THREADS: usize = 8;
        let value = Arc::new(PerProcess::new());
        let counted = Arc::new(());
        let barrier = Arc::new(Barrier::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (value, counted) = (Arc::clone(&value), Arc::clone(&counted));
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    barrier.wait();
                    let value: &Arc<()> = value.get_or_make(|| Arc::clone(&counted));
                    ptr::from_ref(value) as usize
                })
            })
            .collect();
        let mut places: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        places.dedup();
        assert_eq!(places.len(), 1);
        assert_eq!(Arc::strong_count(&counted), 2);
        drop(value);
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
