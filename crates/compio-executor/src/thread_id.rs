//! Thread ids that are never reused, readable from any destructor.
//!
//! `std::thread::current().id()` is unsuitable: it may allocate, and it is unavailable while the
//! thread's locals are destroyed, which is when runtimes in a thread local are dropped.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The ID of a thread. Zero is a thread without an ID, which is the home of no task. Only threads that make
/// an executor, a main waker or a [`SendWrapper`](crate::SendWrapper) get one: 1,000 such threads a second use
/// up 32 bits within seven weeks. Each task saves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(u32);

const UNASSIGNED: ThreadId = ThreadId(0);

// Without a destructor, so that other thread locals' destructors can still read it.
#[cfg(not(loom))]
thread_local! {
    static NUMBER: Cell<ThreadId> = const { Cell::new(UNASSIGNED) };
}

// Loom runs all threads of a model on one OS thread.
#[cfg(loom)]
loom::thread_local! {
    static NUMBER: Cell<ThreadId> = Cell::new(UNASSIGNED);
}

thread_local! {
    /// Whether an executor runs the thread, so that no other can.
    static IS_OCCUPIED: Cell<bool> = const { Cell::new(false) };
}

/// Sets whether an executor runs this thread. While one does, awaiting a task of another executor never
/// ends, unless that executor [is attended](crate::Executor::set_attended).
pub fn set_occupied(is_occupied: bool) {
    // A platform that emulates thread locals may have destroyed it: then nothing is reported.
    let _ = IS_OCCUPIED.try_with(|occupied| occupied.set(is_occupied));
}

pub(crate) fn is_occupied() -> bool {
    IS_OCCUPIED.try_with(Cell::get).unwrap_or(false)
}

impl ThreadId {
    /// This thread's ID, assigned on first use.
    pub(crate) fn current() -> Self {
        NUMBER
            .try_with(|number| {
                if number.get() == UNASSIGNED {
                    number.set(Self::fresh());
                }
                number.get()
            })
            // A platform that emulates thread locals has destroyed ours already. An ID of no thread
            // is safe: every wake then takes the remote path.
            .unwrap_or_else(|_| Self::fresh())
    }

    /// Whether this is the current thread. `false` is always a safe answer.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        NUMBER
            .try_with(Cell::get)
            .is_ok_and(|number| number == self)
    }

    fn fresh() -> Self {
        // No lock: a child of `fork` could wait without end for a thread that held it.
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Relaxed: the number orders nothing, and the exchange gives each number to one thread.
        let last = LAST
            .fetch_update(Relaxed, Relaxed, |last| last.checked_add(1))
            .expect("out of thread numbers");
        Self(last + 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::ThreadId;

    #[test]
    fn a_number_belongs_to_one_thread() {
        let here = ThreadId::current();
        assert_eq!(here, ThreadId::current());
        assert!(here.is_current());
        let there = std::thread::spawn(move || {
            assert!(!here.is_current());
            ThreadId::current()
        });
        assert_ne!(here, there.join().unwrap());
    }

    #[test]
    fn no_thread_answers_to_unassigned() {
        std::thread::spawn(|| assert!(!ThreadId::current().eq(&super::UNASSIGNED)))
            .join()
            .unwrap();
    }
}
