//! A value of a process: a forked child makes its own. For the bell of signals and the thread that
//! waits for children.

use std::{
    io, process, ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering::{AcqRel, Acquire},
    },
};

/// Holds a value of type `T` for this process.
///
/// A child that was made by fork(2) must not use the value of its parent: the parent's descriptors
/// are shared, its threads are missing, and another thread may have held its locks. A value is
/// never freed, so that a signal handler may use it.
pub(super) struct PerProcess<T: 'static> {
    /// Null, or a leaked box.
    current: AtomicPtr<Of<T>>,
}

/// A value and the process that it belongs to.
struct Of<T> {
    process: u32,
    value: T,
}

impl<T: Sync> PerProcess<T> {
    pub(super) const fn new() -> Self {
        Self {
            current: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The value of this process, if it has been made. A signal handler may call this: it neither
    /// locks nor allocates.
    pub(super) fn get(&self) -> Option<&'static T> {
        // Acquire: sees the value that `get_or_make` has released.
        Self::of_this_process(self.current.load(Acquire))
    }

    /// The value of this process, which `make` makes if there is none. With several threads at once
    /// one value stays, and the others are dropped.
    pub(super) fn get_or_make(
        &self,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<&'static T> {
        let before = self.current.load(Acquire);
        if let Some(value) = Self::of_this_process(before) {
            return Ok(value);
        }
        let made = Box::into_raw(Box::new(Of {
            process: process::id(),
            value: make()?,
        }));
        // Release: pairs with the loads that acquire. Acquire: sees the value of another thread.
        match self.current.compare_exchange(before, made, AcqRel, Acquire) {
            // SAFETY: a box that is leaked from now on.
            Ok(_) => Ok(unsafe { &(*made).value }),
            Err(other) => {
                // SAFETY: made above, and seen by no other thread.
                drop(unsafe { Box::from_raw(made) });
                Ok(Self::of_this_process(other).expect("made by another thread of this process"))
            }
        }
    }

    fn of_this_process(current: *mut Of<T>) -> Option<&'static T> {
        // SAFETY: null, or a leaked box that is never written to.
        let of = unsafe { current.as_ref() }?;
        (of.process == process::id()).then_some(&of.value)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn several_threads_get_one_value() {
        static VALUE: PerProcess<u32> = PerProcess::new();
        assert!(VALUE.get().is_none());
        let barrier = Barrier::new(8);
        let get = |number| {
            barrier.wait();
            ptr::from_ref(VALUE.get_or_make(|| Ok(number)).unwrap()).addr()
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || get(n))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, usize>| thread.join().unwrap();
            let got: Vec<_> = threads.into_iter().map(join).collect();
            let stays = ptr::from_ref(VALUE.get().unwrap()).addr();
            assert!(got.into_iter().all(|got| got == stays));
        });
    }

    #[test]
    fn failed_make_leaves_no_value() {
        static VALUE: PerProcess<u32> = PerProcess::new();
        let error = VALUE.get_or_make(|| Err(io::ErrorKind::Other.into()));
        assert!(error.is_err() && VALUE.get().is_none());
        assert_eq!(VALUE.get_or_make(|| Ok(5)).unwrap(), &5);
    }
}
