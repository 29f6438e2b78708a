//! The console events that a process can raise itself.

use std::{
    env,
    fs::File,
    io::{self, Write},
    pin::pin,
    thread,
    time::Duration,
};

use compio::{
    runtime::is_cancelled,
    signal::{
        ctrl_c,
        windows::{ctrl_break, ctrl_close, ctrl_logoff, ctrl_shutdown},
    },
    time::cancel_after,
};
use windows_sys::Win32::System::Console::{
    AllocConsole, CTRL_BREAK_EVENT, CTRL_C_EVENT, GenerateConsoleCtrlEvent,
};

use crate::support::{begin, run};

/// Sends the event to all processes of this console, which is this one. False if there is no console, or
/// the system does not send this event: then the test is skipped, with a line in the file named by
/// `COMPIO_SKIPS`.
fn raise(event: u32, test: &str) -> bool {
    // SAFETY: no pointers are passed. There may be a console already.
    let raised = unsafe {
        AllocConsole();
        GenerateConsoleCtrlEvent(event, 0) != 0
    };
    if !raised {
        let error = io::Error::last_os_error();
        let line = format!("signal::{test}: no event from the console: {error}\n");
        eprint!("{line}");
        if let Ok(path) = env::var("COMPIO_SKIPS") {
            let mut skips = File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            skips.write_all(line.as_bytes()).unwrap();
        }
    }
    raised
}

#[test]
fn listeners_come_and_go() {
    run(async {
        for _ in 0..100 {
            let (mut close, mut logoff, mut shutdown) = (
                ctrl_close().unwrap(),
                ctrl_logoff().unwrap(),
                ctrl_shutdown().unwrap(),
            );
            begin(pin!(close.recv())).await;
            begin(pin!(logoff.recv())).await;
            begin(pin!(shutdown.recv())).await;
        }
    });
}

#[test]
fn ctrl_break_reaches_all_listeners() {
    run(async {
        let listeners: Vec<_> = (0..5).map(|_| ctrl_break().unwrap()).collect();
        if !raise(CTRL_BREAK_EVENT, "ctrl_break_reaches_all_listeners") {
            return;
        }
        for mut listener in listeners {
            // The event has come before, or comes now.
            listener.recv().await.unwrap();
        }
    });
}

#[test]
fn ctrl_c_is_heard() {
    run(async {
        let mut waiting = pin!(ctrl_c());
        begin(waiting.as_mut()).await;
        let raiser = thread::spawn(|| raise(CTRL_C_EVENT, "ctrl_c_is_heard"));
        if raiser.join().unwrap() {
            waiting.await.unwrap();
        }
    });
}

#[test]
fn s51_recv_in_cancel_after_ends_with_error_of_cancel() {
    run(async {
        let mut listener = ctrl_logoff().unwrap();
        for patience in [Duration::ZERO, Duration::from_millis(5)] {
            let error = cancel_after(patience, listener.recv()).await.unwrap_err();
            assert!(is_cancelled(&error), "{error}");
        }
    });
}
