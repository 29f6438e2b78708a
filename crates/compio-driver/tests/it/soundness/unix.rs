//! 8 and 13, with what is on unix alone: FIFOs, and sockets that copy always.

use std::{io::Read, sync::mpsc, time::Duration};

use compio_driver::{
    DriverBuilder,
    op::{Blocking, Open},
    request::OpenFlags,
};

use crate::{
    support::{begin, drain, each_backend, run, share, streams, unblocked, uring},
    unix::{fifos::make_fifo, is_done_without},
};

/// An open for reading waits for a writer only if it might create the file.
const WAITS: OpenFlags = libc::O_RDONLY | libc::O_CREAT;

/// It waits on a thread of the kernel, which must be interrupted.
#[test]
fn s08_dropping_what_blocks_inside_the_kernel_does_not_block() {
    unblocked(|| {
        let Some(builder) = uring() else { return };
        if is_done_without("OPENAT") {
            return;
        }
        let driver = builder.build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut open = driver.submit(Open::new(make_fifo(&folder), WAITS, 0));
        begin(&driver, &mut open);
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        drop(open);
        assert_eq!(driver.in_flight(), 1);
        drain(&driver);
    });
}

/// A thread of ours cannot be interrupted: what it opens in the end is closed.
#[test]
fn s08_dropping_what_blocks_on_another_thread_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let folder = tempfile::tempdir().unwrap();
            let name = make_fifo(&folder);
            let mut open = driver.submit(Open::new(name.clone(), WAITS, 0));
            begin(&driver, &mut open);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            drop(open);
            assert_eq!(driver.in_flight(), 1);
            // Both ends: this one waits for nobody, and lets the other one go.
            let _both = run(&driver, driver.submit(Open::new(name, libc::O_RDWR, 0))).unwrap();
            drain(&driver);
        }
    });
}

#[test]
fn s13_a_socket_that_cannot_is_sent_to_plainly() {
    for driver in each_backend() {
        let (mut peer, socket) = streams();
        let send = driver.send_zero_copy(share(socket), vec![7; 100], 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), 100, "{:?}", driver.backend());
        let mut got = vec![0; 100];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(got, run(&driver, loan));
    }
}

/// A runtime shuts its driver down, and then drops it.
#[test]
fn s09_a_driver_waits_once_for_what_does_not_end() {
    for kind in each_backend().map(|driver| driver.backend().kind()) {
        let builder = DriverBuilder::new().backend(kind);
        let builder = builder.shutdown_timeout(Duration::from_millis(5));
        let driver = builder.build().unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let mut work = driver.submit(Blocking::new(move || {
            started.send(()).unwrap();
            released.recv()
        }));
        begin(&driver, &mut work);
        has_started.recv().unwrap();
        driver.shut_down();
        assert_eq!(driver.in_flight(), 1);
        let before = driver.enters();
        driver.shut_down();
        assert_eq!(driver.enters(), before, "it has slept again");
        release.send(()).unwrap();
    }
}
