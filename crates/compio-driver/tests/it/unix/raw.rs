//! Operations that are defined outside of the crate, as raw io_uring entries.

use std::io::{self, ErrorKind, Write};

use compio_driver::{
    AsRawFd, BackendKind, Driver, Operation, Owned, Poller, SharedFd,
    os::linux::{
        RawEntry,
        io_uring::{opcode, squeue, types::Fd},
    },
    request::Request,
};

use crate::support::{LONG, begin, check_code, drain, each_backend, pipe, run, share, uring};

/// Any entry, and the owner of the descriptor that it names.
struct Raw {
    entry: RawEntry,
    _fd: Option<SharedFd>,
}

// SAFETY: the request points to the entry in the operation. The entries below ask for one
// completion and point to nothing.
unsafe impl Operation for Raw {
    type Output = io::Result<usize>;

    fn request(&mut self) -> Request {
        Request::Raw(&raw const self.entry)
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer
    }
}

// SAFETY: the descriptor that the entries below name is owned by the operation.
unsafe impl Owned for Raw {}

fn poll_add(fd: &SharedFd) -> Raw {
    Raw {
        entry: opcode::PollAdd::new(Fd(fd.as_raw_fd()), libc::POLLIN as u32).build(),
        _fd: Some(fd.clone()),
    }
}

fn is_uring(driver: &Driver) -> bool {
    driver.backend().kind() == BackendKind::IoUring
}

#[test]
fn a_raw_entry_completes() {
    for driver in each_backend() {
        let (read, write) = pipe();
        let mut wait = driver.submit(poll_add(&read));
        if !is_uring(&driver) {
            let error = run(&driver, wait).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            continue;
        }
        begin(&driver, &mut wait);
        // SAFETY: one byte, which outlives the call.
        let written = unsafe { libc::write(write.as_raw_fd(), b"x".as_ptr().cast(), 1) };
        assert_eq!(written, 1);
        assert_eq!(run(&driver, wait).unwrap(), libc::POLLIN as usize);
    }
}

#[test]
fn a_raw_entry_returns_the_kernels_error() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    let (read, _write) = pipe();
    let entry = opcode::Fallocate::new(Fd(read.as_raw_fd()), 10).build();
    let raw = Raw {
        entry,
        _fd: Some(read),
    };
    check_code(run(&driver, driver.submit(raw)), libc::EBADF);
}

#[test]
fn a_raw_entry_is_cancelled() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    let (read, _write) = pipe();
    let mut wait = driver.submit(poll_add(&read));
    begin(&driver, &mut wait);
    wait.cancel();
    check_code(run(&driver, wait), libc::ECANCELED);
    let mut wait = driver.submit(poll_add(&read));
    begin(&driver, &mut wait);
    drop(wait);
    drain(&driver);
}

#[test]
fn a_raw_entry_can_be_pushed() {
    for driver in each_backend() {
        let mut raw = Raw {
            entry: opcode::Nop::new().build(),
            _fd: None,
        };
        // SAFETY: it stays in place until its entry has come.
        unsafe { driver.push(&mut raw, 7).unwrap() };
        let entry = driver.poll_one(Some(LONG)).unwrap();
        assert_eq!(entry.user_data(), 7);
        assert_eq!(entry.into_result().is_ok(), is_uring(&driver));
    }
}

#[test]
fn an_invalid_raw_entry_is_an_error() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"some").unwrap();
    let file = share(std::os::fd::OwnedFd::from(file));
    // Fadvise with an unknown advice.
    let entry: squeue::Entry = opcode::Fadvise::new(Fd(file.as_raw_fd()), 4, 12345).build();
    let raw = Raw {
        entry,
        _fd: Some(file),
    };
    check_code(run(&driver, driver.submit(raw)), libc::EINVAL);
}
