//! Connections of a runtime, as its servers count them.

use std::fmt;

use compio_driver::StaysOnItsThread;
use compio_io::counter::Counter;

use super::RuntimeMetrics;
use crate::runtime;

/// The counters. The loop's thread writes them.
#[derive(Default)]
pub(super) struct Connections {
    opened: Counter,
    closed: Counter,
}

/// The connections of a runtime at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Connections that are served.
    pub open: u64,
    /// Connections whose service has begun.
    pub accepted: u64,
}

impl RuntimeMetrics {
    /// The connections that servers serve on this runtime: those of [`cores::Server`](crate::cores::Server) and of
    /// `compio-http`, and those that a program [counts](count_connection).
    pub fn connections(&self) -> ConnectionStats {
        let connections = &self.shared.connections;
        // The other order could count more ends than begins.
        let closed = connections.closed.get();
        let accepted = connections.opened.get();
        ConnectionStats {
            open: accepted.saturating_sub(closed),
            accepted,
        }
    }
}

/// Counts a connection of the current runtime until the guard is dropped, for servers with an accept loop of their own.
///
/// ```
/// use compio::{metrics, runtime::Handle, task};
///
/// task::block_on(async {
///     let connection = metrics::count_connection();
///     assert_eq!(Handle::current().metrics().connections().open, 1);
///     drop(connection);
///     assert_eq!(Handle::current().metrics().connections().open, 0);
///     assert_eq!(Handle::current().metrics().connections().accepted, 1);
/// });
/// ```
///
/// # Panics
///
/// If no runtime runs on this thread, and none has been [entered](crate::runtime::Runtime::enter).
#[track_caller]
pub fn count_connection() -> ConnectionGuard {
    let runtime = runtime::entered_for("`metrics::count_connection`");
    let metrics = runtime.metrics().clone();
    metrics.shared.connections.opened.add(1);
    ConnectionGuard {
        metrics: StaysOnItsThread::new(metrics),
    }
}

/// A connection that counts: see [`count_connection`].
#[must_use = "the connection counts until this is dropped"]
pub struct ConnectionGuard {
    /// Only the thread of the loop writes the counters.
    metrics: StaysOnItsThread<RuntimeMetrics>,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.metrics.shared.connections.closed.add(1);
    }
}

impl fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionGuard")
    }
}
