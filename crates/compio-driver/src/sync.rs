//! Synchronization primitives: those of std and the system, or of loom under `--cfg loom`.
//!
//! `notify` and `thread_pool` import them from here. Two threads share no other state in this crate, apart
//! from counts and hints, which order nothing.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8},
};

#[cfg(not(loom))]
pub(crate) use crate::sys::{Event, start_thread};

#[cfg(loom)]
pub(crate) use model::{Condvar, Event, start_thread};

/// Primitives that loom lacks.
#[cfg(loom)]
mod model {
    use std::{
        io,
        sync::{
            LockResult,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        time::Duration,
    };

    use loom::sync::{MutexGuard, Notify};

    use crate::sys;

    /// Starts a thread of the model.
    pub(crate) fn start_thread(name: &str, code: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let builder = loom::thread::Builder::new().name(name.into());
        builder.spawn(code).map(drop)
    }

    /// Ends the sleep of a driver's thread. The model's driver does not sleep in a kernel.
    #[derive(Debug)]
    pub(crate) struct Event {
        sleep: Notify,
        event: Option<sys::Event>,
    }

    impl Event {
        pub(crate) fn new(event: Option<sys::Event>) -> Self {
            let sleep = Notify::new();
            Self { sleep, event }
        }

        pub(crate) fn signal(&self) {
            self.sleep.notify();
            if let Some(event) = &self.event {
                event.signal();
            }
        }

        #[cfg(test)]
        pub(crate) fn sleep(&self) {
            self.sleep.wait();
        }
    }

    impl From<sys::Event> for Event {
        fn from(event: sys::Event) -> Self {
            Self::new(Some(event))
        }
    }

    /// A condition variable whose clock stands still until `expire` ends all waits.
    #[derive(Debug)]
    pub(crate) struct Condvar {
        condvar: loom::sync::Condvar,
        // Not part of the model: it is accessed under the lock.
        expired: AtomicBool,
    }

    pub(crate) struct Waited(bool);

    impl Waited {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self {
                condvar: loom::sync::Condvar::new(),
                expired: AtomicBool::new(false),
            }
        }

        pub(crate) fn notify_one(&self) {
            self.condvar.notify_one();
        }

        #[cfg(test)]
        pub(crate) fn expire<T>(&self, _guard: MutexGuard<'_, T>) {
            self.expired.store(true, Relaxed);
            self.condvar.notify_all();
        }

        pub(crate) fn wait_timeout<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            _: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, Waited)> {
            if !self.expired.load(Relaxed) {
                guard = self.condvar.wait(guard).unwrap();
            }
            Ok((guard, Waited(self.expired.load(Relaxed))))
        }
    }
}
