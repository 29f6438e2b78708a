//! Console events of Windows.
//!
//! Windows calls the handler on a new thread for each event, so the handler may use locks and wakers.

use std::{
    future::poll_fn,
    io, mem,
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    thread,
};

use compio_driver::Driver;
use windows_sys::{
    Win32::System::Console::{
        CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
        SetConsoleCtrlHandler,
    },
    core::BOOL,
};

use crate::{
    event::{Event, EventHandle},
    runtime::with_driver,
};

/// All listeners of the process.
static LISTENERS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

struct Entry {
    kind: u32,
    number: u64,
    handle: EventHandle,
}

/// A listener of any kind of event.
#[derive(Debug)]
struct Listener {
    number: u64,
    event: Event,
}

impl Listener {
    fn new(kind: u32) -> io::Result<Self> {
        install()?;
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let listener = Self {
            // Relaxed: the number only has to be unique.
            number: NUMBER.fetch_add(1, Relaxed),
            event: Event::new(),
        };
        listeners().push(Entry {
            kind,
            number: listener.number,
            handle: listener.event.handle(),
        });
        Ok(listener)
    }

    async fn recv(&self) -> io::Result<()> {
        let mut wait = pin!(self.event.wait());
        let mut cancelled = pin!(with_driver(Driver::scope_cancelled));
        poll_fn(|cx| match wait.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => cancelled.as_mut().poll(cx).map(Err),
        })
        .await?;
        self.event.reset();
        Ok(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        listeners().retain(|entry| entry.number != self.number);
    }
}

/// Installs the handler, once.
fn install() -> io::Result<()> {
    static IS_INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut is_installed = IS_INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if mem::replace(&mut *is_installed, true) {
        return Ok(());
    }
    // SAFETY: the handler is a function, valid for the life of the process.
    if unsafe { SetConsoleCtrlHandler(Some(handle), 1) } == 0 {
        *is_installed = false;
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Returns whether the event is handled. If not, Windows calls the next handler; the default handler
/// ends the process.
unsafe extern "system" fn handle(kind: u32) -> BOOL {
    let handles: Vec<EventHandle> = listeners()
        .iter()
        .filter(|entry| entry.kind == kind)
        .map(|entry| entry.handle.clone())
        .collect();
    for handle in &handles {
        handle.notify();
    }
    if handles.is_empty() {
        return 0;
    }
    if matches!(
        kind,
        CTRL_CLOSE_EVENT | CTRL_LOGOFF_EVENT | CTRL_SHUTDOWN_EVENT
    ) {
        // The process would end on return.
        loop {
            thread::park();
        }
    }
    1
}

/// Locks the list. It is valid at each point where a panic can occur, so poison is ignored.
fn listeners() -> MutexGuard<'static, Vec<Entry>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! listener {
    ($(#[$doc:meta])* $type:ident, $(#[$function_doc:meta])* $function:ident = $kind:ident) => {
        $(#[$doc])*
        ///
        /// Events that arrive between two calls of [`recv`](Self::recv) are kept; several are merged
        /// into one.
        #[derive(Debug)]
        pub struct $type(Listener);

        impl $type {
            /// Waits for the next event, which may have arrived before.
            ///
            /// # Errors
            ///
            /// The error that [`is_cancelled`](crate::runtime::is_cancelled) recognizes if a
            /// [`CancelToken`](crate::runtime::CancelToken) or `cancel_after` cancels the wait.
            ///
            /// # Cancellation
            ///
            /// No event is lost.
            pub async fn recv(&mut self) -> io::Result<()> {
                self.0.recv().await
            }
        }

        $(#[$function_doc])*
        ///
        /// The event does not end the process by itself while there is a listener. There may be any
        /// number of listeners, on any threads.
        ///
        /// # Errors
        ///
        /// The OS error of `SetConsoleCtrlHandler`.
        pub fn $function() -> io::Result<$type> {
            Listener::new($kind).map($type)
        }
    };
}

listener! {
    /// Listens to Ctrl-C; made by [`ctrl_c`].
    CtrlC,
    /// Listens to Ctrl-C from now on.
    ctrl_c = CTRL_C_EVENT
}
listener! {
    /// Listens to Ctrl-Break; made by [`ctrl_break`].
    CtrlBreak,
    /// Listens to Ctrl-Break from now on.
    ctrl_break = CTRL_BREAK_EVENT
}
listener! {
    /// Listens to the closing of the console's window; made by [`ctrl_close`].
    CtrlClose,
    /// Listens to the closing of the console's window from now on. Windows ends the process about five
    /// seconds later, if it has not ended by itself.
    ctrl_close = CTRL_CLOSE_EVENT
}
listener! {
    /// Listens to the end of the user's session; made by [`ctrl_logoff`].
    CtrlLogoff,
    /// Listens to the end of the user's session from now on. Only services receive this event. Windows
    /// ends the process about five seconds later, if it has not ended by itself.
    ctrl_logoff = CTRL_LOGOFF_EVENT
}
listener! {
    /// Listens to the shutdown of the machine; made by [`ctrl_shutdown`].
    CtrlShutdown,
    /// Listens to the shutdown of the machine from now on. Only services receive this event. Windows
    /// ends the process about twenty seconds later, if it has not ended by itself.
    ctrl_shutdown = CTRL_SHUTDOWN_EVENT
}

/// Waits for Ctrl-C.
pub(crate) async fn wait_for_ctrl_c() -> io::Result<()> {
    ctrl_c()?.0.recv().await
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// Calls the handler on a new thread, as Windows does.
    fn call_handler(kind: u32) -> thread::JoinHandle<BOOL> {
        // SAFETY: the handler only reads the number.
        thread::spawn(move || unsafe { handle(kind) })
    }

    fn is_told(listener: &Listener) -> bool {
        let recv = std::pin::pin!(listener.recv());
        let polled = recv.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Ok(())))
    }

    #[test]
    fn an_event_without_listener_is_left_to_the_next_handler() {
        drop(ctrl_logoff().unwrap());
        assert_eq!(call_handler(CTRL_LOGOFF_EVENT).join().unwrap(), 0);
    }

    #[test]
    fn every_listener_of_the_event_is_notified_once() {
        let (one, two, other) = (
            ctrl_break().unwrap(),
            ctrl_break().unwrap(),
            ctrl_c().unwrap(),
        );
        for _ in 0..3 {
            assert_eq!(call_handler(CTRL_BREAK_EVENT).join().unwrap(), 1);
        }
        assert!(is_told(&one.0) && is_told(&two.0));
        assert!(!is_told(&one.0) && !is_told(&two.0) && !is_told(&other.0));
    }

    #[test]
    fn the_handler_does_not_return_from_the_end() {
        let (close, shutdown) = (ctrl_close().unwrap(), ctrl_shutdown().unwrap());
        let threads = [CTRL_CLOSE_EVENT, CTRL_SHUTDOWN_EVENT].map(call_handler);
        while !(close.0.event.is_set() && shutdown.0.event.is_set()) {
            thread::yield_now();
        }
        assert!(is_told(&close.0) && is_told(&shutdown.0));
        // The handlers block for the life of the process.
        assert!(threads.iter().all(|thread| !thread.is_finished()));
    }
}
