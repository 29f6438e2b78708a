//! A poll(2) that fails: the waiting operation reports the error (scenario 47).
//!
//! A seccomp filter can refuse the call. With `RLIMIT_NOFILE` 0 it answers EINVAL, even for one
//! descriptor: tests/limits of the crate `compio` has that case.

use std::{
    io::{self, Write},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    ptr, thread,
    time::Duration,
};

use compio_driver::{
    BufferPool,
    op::{PollOnce, Position, ReadAt, Readiness, Splice},
};

use crate::{
    streams::{collect, expect_wait},
    support::{
        begin, check_code, each_backend, pipe, pipe_in, readiness, refuse_poll, run, share, tcp,
    },
};

/// Runs the test on a thread of its own, which keeps the seccomp filter.
fn on_thread(test: impl FnOnce() + Send + 'static) {
    thread::spawn(test).join().unwrap();
}

#[test]
fn s47_readiness_poll_refused_before_it_begins_is_an_error() {
    on_thread(|| {
        let driver = readiness();
        let (near, _far) = UnixStream::pair().unwrap();
        refuse_poll(libc::EPERM);
        let poll = PollOnce::new(share(near), Readiness::READABLE);
        check_code(run(&driver, driver.submit(poll)), libc::EPERM);
    });
}

#[test]
fn s47_readiness_poll_refused_while_it_waits_is_an_error() {
    on_thread(|| {
        let driver = readiness();
        let (near, mut far) = UnixStream::pair().unwrap();
        let poll = PollOnce::new(share(near), Readiness::READABLE);
        let mut poll = driver.submit(poll);
        begin(&driver, &mut poll);
        refuse_poll(libc::EPERM);
        far.write_all(b"now").unwrap();
        check_code(run(&driver, poll), libc::EPERM);
    });
}

#[test]
fn s47_readiness_poll_out_of_memory_is_an_error() {
    on_thread(|| {
        let driver = readiness();
        let (near, _far) = UnixStream::pair().unwrap();
        refuse_poll(libc::ENOMEM);
        let poll = PollOnce::new(share(near), Readiness::WRITABLE);
        check_code(run(&driver, driver.submit(poll)), libc::ENOMEM);
    });
}

/// The two sides of a terminal in canonical mode.
fn terminal() -> (std::fs::File, OwnedFd) {
    let (mut outside, mut inside) = (0, 0);
    // SAFETY: both numbers outlive the call, which leaves out the other parameters. The descriptors
    // are new.
    unsafe {
        let opened = libc::openpty(
            &raw mut outside,
            &raw mut inside,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        );
        assert_eq!(opened, 0, "{}", io::Error::last_os_error());
        (
            std::fs::File::from_raw_fd(outside),
            OwnedFd::from_raw_fd(inside),
        )
    }
}

/// Linux (6.18) has no non-blocking read of a terminal, so the backend calls poll(2) first.
#[test]
fn s47_terminal_read_with_refused_poll_ends() {
    on_thread(|| {
        let driver = readiness();
        let (mut outside, inside) = terminal();
        refuse_poll(libc::EPERM);
        outside.write_all(b"line\n").unwrap();
        let read = ReadAt::at_cursor(share(inside), vec![0; 16]);
        match run(&driver, driver.submit(read)) {
            (Ok(len), bytes) => assert_eq!(&bytes[..len], b"line\n"),
            (Err(error), _) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
    });
}

#[test]
fn s47_splice_with_refused_poll_ends() {
    // One thread each: a filter refuses the first poll of the next splice, too.
    for backend in 0..each_backend().count() {
        on_thread(move || {
            let driver = each_backend().nth(backend).unwrap();
            let (from, mut fill) = pipe_in();
            let (_read, to) = pipe();
            let splice = Splice::new(from, Position::Cursor, to, Position::Cursor, 5);
            let mut splice = driver.submit(splice);
            begin(&driver, &mut splice);
            driver.turn(Some(Duration::ZERO)).unwrap();
            refuse_poll(libc::EPERM);
            fill.write_all(b"bytes").unwrap();
            match run(&driver, splice) {
                Ok(len) => assert_eq!(len, 5),
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
            }
        });
    }
}

/// After a burst the stream checks with poll(2) for EOF (`BufferRing::has_ended`).
#[test]
fn s47_recv_stream_with_refused_poll_sees_bytes_and_end() {
    on_thread(|| {
        for driver in each_backend() {
            let pool = BufferPool::new(&driver, 8, 64).unwrap();
            let streams: Vec<_> = (0..100)
                .map(|_| {
                    let (near, far) = tcp();
                    let mut stream = driver.recv_stream(share(near), &pool, 0);
                    expect_wait(&driver, &mut stream);
                    (stream, far)
                })
                .collect();
            driver.turn(Some(Duration::ZERO)).unwrap();
            refuse_poll(libc::EPERM);
            for (mut stream, mut far) in streams {
                far.write_all(b"the end").unwrap();
                drop(far);
                assert_eq!(run(&driver, collect(&mut stream)), b"the end");
            }
        }
    });
}
