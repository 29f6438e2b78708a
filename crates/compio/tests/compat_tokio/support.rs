//! Values that report the place of their drop.

use std::{
    future::{Future, pending},
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
};

use compio_testkit::LONG;
use tokio::runtime::Handle;

/// The place of a drop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Whether tokio's functions work there.
    pub(crate) has_context: bool,
    /// Whether it is the reactor's thread.
    pub(crate) is_reactor: bool,
}

impl Place {
    pub(crate) const REACTOR: Self = Self {
        has_context: true,
        is_reactor: true,
    };
    pub(crate) const HERE: Self = Self {
        has_context: true,
        is_reactor: false,
    };
}

/// Reports its drop, and needs tokio's context for it, as the connection of a pool does.
#[derive(Debug)]
pub(crate) struct Guard(Sender<Place>);

impl Drop for Guard {
    fn drop(&mut self) {
        let has_context = Handle::try_current().is_ok();
        if has_context {
            tokio::spawn(async {});
        }
        // A test may not care.
        let _ = self.0.send(Place {
            has_context,
            is_reactor: thread::current().name() == Some("compio-tokio"),
        });
    }
}

pub(crate) fn guard() -> (Guard, Dropped) {
    let (sender, receiver) = channel();
    (Guard(sender), Dropped(receiver))
}

/// The report of a guard.
pub(crate) struct Dropped(Receiver<Place>);

impl Dropped {
    /// Waits for the drop.
    #[track_caller]
    pub(crate) fn place(&self) -> Place {
        self.0.recv_timeout(LONG).expect("it is dropped")
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.0.try_recv().is_ok()
    }

    /// Whether it has not been dropped: else there would be a report, or no sender.
    #[cfg(unix)]
    pub(crate) fn is_leaked(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Empty)
    }
}

/// Holds a value, and never ends.
pub(crate) async fn hold<T>(value: T) {
    let _value = value;
    pending::<()>().await;
}

/// Runs compio and its timers on a thread of its own, which ends before this returns.
pub(crate) fn on_thread<T: Send + 'static>(code: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::Builder::new().name("a test's thread".into());
    let thread = thread.spawn(code).expect("a thread");
    thread.join().expect("no panic")
}

/// A future's output, on a thread's own runtime, with a limit of time.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    compio::task::block_on(async {
        let limited = compio::time::timeout(LONG, future).await;
        limited.expect("this takes too long")
    })
}
