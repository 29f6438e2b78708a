//! Terminals: poll(2) reports them as writable, and a write blocks halfway.

use std::{
    fs,
    io::{Read, Write},
    os::fd::FromRawFd,
    time::Duration,
};

use compio_driver::op::{ReadAt, WriteAt};

use crate::support::{
    begin, check_blocks, check_code, code, drain, each_backend, readiness, run, share, start,
    unblocked,
};

/// The two sides of a terminal.
pub(crate) fn terminal() -> (fs::File, fs::File) {
    let (mut outside, mut inside) = (0, 0);
    let (name, settings, size) = (
        std::ptr::null_mut(),
        std::ptr::null_mut::<libc::termios>(),
        std::ptr::null_mut::<libc::winsize>(),
    );
    // SAFETY: both numbers outlive the call; the other results are not needed. The descriptors are
    // new.
    unsafe {
        let opened = libc::openpty(&raw mut outside, &raw mut inside, name, settings, size);
        assert_eq!(opened, 0);
        let mut settings = std::mem::zeroed();
        libc::tcgetattr(inside, &raw mut settings);
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(inside, libc::TCSANOW, &raw const settings);
        (
            fs::File::from_raw_fd(outside),
            fs::File::from_raw_fd(inside),
        )
    }
}

/// The minimum number of bytes of a read, and the tenths of a second between two bytes.
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) fn set_min_and_time(terminal: &fs::File, min: u8, time: u8) {
    use std::os::fd::AsRawFd;
    // SAFETY: the settings are plain data, and outlive the calls.
    unsafe {
        let mut settings = std::mem::zeroed();
        libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings);
        settings.c_cc[libc::VMIN] = min;
        settings.c_cc[libc::VTIME] = time;
        let set = libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const settings);
        assert_eq!(set, 0);
    }
}

/// Whether there are bytes to read within a moment.
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) fn is_readable(file: &fs::File) -> bool {
    let mut entry = libc::pollfd {
        fd: std::os::fd::AsRawFd::as_raw_fd(file),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&raw mut entry, 1, 50) == 1 }
}

#[test]
fn an_empty_terminal() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut outside, inside) = terminal();
            let inside = share(inside);
            let mut read = driver.submit(ReadAt::at_cursor(inside.clone(), vec![0; 8]));
            begin(&driver, &mut read);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            read.cancel();
            check_code(run(&driver, read).0, code::CANCELLED);
            let mut read = driver.submit(ReadAt::at_cursor(inside.clone(), vec![0; 8]));
            begin(&driver, &mut read);
            outside.write_all(b"x").unwrap();
            assert_eq!(run(&driver, read).1, b"x");
            check_blocks(&inside);
        }
    });
}

/// poll(2) reports it as writable, and a write blocks halfway.
#[test]
fn a_full_terminal() {
    unblocked(|| {
        let driver = readiness();
        let (outside, inside) = terminal();
        let inside = share(inside);
        let mut writes: Vec<_> = (0..20)
            .map(|_| driver.submit(WriteAt::at_cursor(inside.clone(), vec![b'x'; 3000])))
            .collect();
        for write in &mut writes {
            start(&driver, write);
        }
        driver.turn(Some(Duration::from_millis(5))).unwrap();
        // The thread has not been blocked.
        drop(outside);
        drain(&driver);
    });
}

/// Like any stream, it has no positions.
#[test]
fn positions_of_a_terminal_are_ignored() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut outside, inside) = terminal();
            let inside = share(inside);
            let write = driver.submit(WriteAt::new(inside.clone(), 99, "hello"));
            assert_eq!(run(&driver, write).0.unwrap(), 5);
            outside.read_exact(&mut [0; 5]).unwrap();
            outside.write_all(b"hello").unwrap();
            let read = driver.submit(ReadAt::new(inside, 77, Vec::with_capacity(8)));
            assert_eq!(run(&driver, read).1, b"hello");
        }
    });
}
