//! The thread that drives Tokio's I/O and timers, one in each process, and drops in its context.

use std::{
    any::type_name,
    future::pending,
    io::{self, Write},
    mem,
    pin::Pin,
    sync::mpsc,
};

use ::tokio::{
    runtime::{Builder, Handle},
    task::AbortHandle,
};
use compio_driver::{PerProcess, Process, start_thread};

static REACTOR: PerProcess<Reactor> = PerProcess::new();

pub(super) struct Reactor {
    handle: Handle,
    /// Ends the thread.
    end: AbortHandle,
    process: Process,
}

impl Reactor {
    /// This process's reactor, which is started on first use.
    #[track_caller]
    pub(super) fn get() -> &'static Self {
        match Self::try_get() {
            Ok(reactor) => reactor,
            Err(error) => panic!("the thread of tokio's reactor could not be started: {error}"),
        }
    }

    pub(super) fn try_get() -> io::Result<&'static Self> {
        REACTOR.get_or_try_make(Self::start)
    }

    /// This process's reactor, if it has been started.
    pub(super) fn existing() -> Option<&'static Self> {
        REACTOR.get()
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether it belongs to this process, rather than to one of its ancestors.
    pub(super) fn is_current(&self) -> bool {
        self.process.is_current()
    }

    /// # Panics
    ///
    /// In a child of `fork`, with a reactor of its parent.
    #[track_caller]
    pub(super) fn check_process(&self) {
        assert!(
            self.is_current(),
            "tokio runs this in the parent of this process, and it never ends here: begin anew after the fork"
        );
    }

    fn start() -> io::Result<Self> {
        let (sender, started) = mpsc::channel();
        start_thread("compio-tokio", move || {
            // The drivers of all features of tokio that are compiled in.
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(sender.send(Err(error))),
            };
            let until = runtime.spawn(pending::<()>());
            let reactor = Self {
                handle: runtime.handle().clone(),
                end: until.abort_handle(),
                process: Process::current(),
            };
            if sender.send(Ok(reactor)).is_ok() {
                // Until its end is aborted.
                let _ = runtime.block_on(until);
            }
        })?;
        let gone = |_| io::Error::other("its thread has ended");
        started.recv().map_err(gone)?
    }
}

/// If several threads made one at the same time, all but one are dropped.
impl Drop for Reactor {
    fn drop(&mut self) {
        self.end.abort();
    }
}

/// Drops a value in the context of the reactor: on this thread, or on the reactor's if this thread ends and has
/// no place for a context.
pub(super) fn drop_sent<T: Send + 'static>(reactor: &Reactor, value: T) {
    if !reactor.is_current() {
        // Its locks may be held by threads that are not in this process.
        mem::forget(value);
    } else if can_enter() {
        let _context = reactor.handle.enter();
        drop(value);
    } else {
        drop(reactor.handle.spawn(async move { drop(value) }));
    }
}

/// Drops a value of this thread in the context of the reactor. At the thread's end it is leaked, with a message on
/// stderr.
pub(super) fn drop_here<T>(reactor: &Reactor, value: Pin<Box<T>>) {
    if !reactor.is_current() {
        mem::forget(value);
    } else if can_enter() {
        let _context = reactor.handle.enter();
        drop(value);
    } else {
        mem::forget(value);
        report_leak(type_name::<T>());
    }
}

/// Whether the thread still has the variable that holds tokio's context.
fn can_enter() -> bool {
    match Handle::try_current() {
        Ok(_) => true,
        Err(error) => !error.is_thread_local_destroyed(),
    }
}

#[cold]
fn report_leak(name: &str) {
    let message = format!(
        "compio: a `Compat` was dropped at the end of its thread, where tokio's context is gone: its value is \
         leaked ({name}). Drop the runtime before the thread ends.\n"
    );
    // Without stderr there is no report, and no panic.
    let _ = io::stderr().write_all(message.as_bytes());
}
