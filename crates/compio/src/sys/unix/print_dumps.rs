//! Dumps on a signal.

use std::{io, sync::mpsc, thread};

use crate::{
    dump::all,
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// From now on, prints the dumps of all runtimes to the standard error when the process gets this signal.
///
/// A thread named `compio-dump` waits for the signal, until the process ends. It works also if all other threads are stuck.
/// `SIGQUIT` is usual, which a terminal sends for `Ctrl-\`, or `SIGUSR1`.
///
/// ```no_run
/// use compio::signal::unix::{SignalKind, print_dumps};
///
/// fn main() -> std::io::Result<()> {
///     print_dumps(SignalKind::quit())?;
///     // The program.
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// The errors of [`signal`], of a new runtime, and of a new thread.
pub fn print_dumps(kind: SignalKind) -> io::Result<()> {
    let (send, started) = mpsc::channel();
    let thread = thread::Builder::new().name("compio-dump".into());
    thread.spawn(move || {
        let begun = Runtime::new().and_then(|runtime| {
            let signals = runtime.enter(|| signal(kind))?;
            Ok((runtime, signals))
        });
        match begun {
            Ok((runtime, signals)) => {
                // The caller waits for it.
                let _ = send.send(Ok(()));
                runtime.block_on(print(signals, runtime.metrics().runtime_number()));
            }
            Err(error) => {
                let _ = send.send(Err(error));
            }
        }
    })?;
    let ended = |_| Err(io::Error::other("the thread has panicked"));
    started.recv().unwrap_or_else(ended)
}

/// Prints all dumps but that of one runtime, at each signal.
async fn print(mut signals: Signal, except: u64) {
    while signals.recv().await.is_ok() {
        for dump in all() {
            if dump.metrics().runtime_number() != except {
                eprintln!("{dump}");
            }
        }
    }
}
