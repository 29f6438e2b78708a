//! Errors of a file system that look like the kernel's own: a request reaches the file system once,
//! and a descriptor is closed once (row 30).
//!
//! Linux frees the number of a closed descriptor before it calls the file system's flush
//! (`file_close_fd_locked` before `filp_flush`): the number is free after any result. io_uring
//! returns ECANCELED for a request that it has dropped because no io-wq worker could be started. A
//! FUSE server may return ECANCELED for a request that it has executed.

use std::os::fd::OwnedFd;

use compio_driver::{
    Driver, Poller, SharedFd,
    op::{Close, Link, MakeDir, Open, ReadAt, Remove, Rename, Sync, WriteAt},
};

use super::fuse::{Fuse, opcode};
use crate::support::{LONG, ask, native, poll_once, run};

/// Runs this test of this file in a process of its own, once per backend.
#[track_caller]
fn check_each_backend(test: &str) {
    for backend in ["io-uring", "poll"] {
        let test = format!("soundness::kernels::replays::{test}");
        let said = ask(&test, &[("COMPIO_BACKEND", backend)]);
        if said != "done" {
            println!("{said}");
        }
    }
}

/// A mounted file system and a driver, or `None` with the reason printed.
fn mount() -> Option<(Fuse, Driver)> {
    let Ok(driver) = Driver::new() else {
        println!("SAYS skipped: this backend is missing");
        return None;
    };
    let fuse = Fuse::mount();
    if fuse.is_none() {
        println!("SAYS skipped: no FUSE");
    }
    Some((fuse?, driver))
}

fn open(driver: &Driver, fuse: &Fuse, flags: i32) -> OwnedFd {
    let open = Open::new(native(fuse.path("file")), flags, 0o600);
    run(driver, driver.submit(open)).unwrap()
}

/// The errors of a flush, and the result of the close. EINTR says nothing about the data.
const CLOSE_ERRORS: [(i32, Option<i32>); 5] = [
    (libc::EAGAIN, Some(libc::EAGAIN)),
    (libc::ECANCELED, Some(libc::ECANCELED)),
    (libc::EIO, Some(libc::EIO)),
    (libc::EINTR, None),
    (0, None),
];

#[test]
fn s30_close_with_any_answer_closes_once() {
    check_each_backend("close_with_errors");
}

#[test]
#[ignore = "run by `s30_close_with_any_answer_closes_once` in a process of its own"]
fn close_with_errors() {
    let Some((fuse, driver)) = mount() else {
        return;
    };
    for (error, expected) in CLOSE_ERRORS {
        fuse.fail(opcode::FLUSH, error);
        for _ in 0..10 {
            let fd = open(&driver, &fuse, libc::O_RDONLY);
            let closed = run(&driver, driver.submit(Close::new(fd)));
            assert_eq!(closed.err().and_then(|e| e.raw_os_error()), expected);
            assert_eq!(fuse.count(opcode::FLUSH), 1, "{error}");
            assert!(fuse.keeps_files_of_flush(), "{error}");
        }
        // The same by dropping the future, and by `Poller::push`.
        let fd = open(&driver, &fuse, libc::O_RDONLY);
        let mut close = driver.submit(Close::new(fd));
        let _ = poll_once(&driver, &mut close);
        drop(close);
        while driver.in_flight() > 0 {
            driver.turn(Some(LONG)).unwrap();
        }
        assert_eq!(fuse.count(opcode::FLUSH), 1, "{error}");
        let fd = open(&driver, &fuse, libc::O_RDONLY);
        let mut close = Close::new(fd);
        // SAFETY: the operation is in place until its entry has come.
        unsafe { driver.push(&mut close, 7).unwrap() };
        driver.poll_one(Some(LONG)).unwrap();
        drop(close);
        assert_eq!(fuse.count(opcode::FLUSH), 1, "{error}");
        assert!(fuse.keeps_files_of_flush(), "{error}");
    }
    println!("SAYS done");
}

#[test]
fn s30_path_operation_reaches_the_file_system_once() {
    check_each_backend("change_names_with_errors");
}

#[test]
#[ignore = "run by `s30_path_operation_reaches_the_file_system_once` in a process of its own"]
fn change_names_with_errors() {
    let Some((fuse, driver)) = mount() else {
        return;
    };
    let path = |name: &str| native(fuse.path(name));
    for error in [libc::ECANCELED, libc::EAGAIN, libc::EINTR, libc::EIO] {
        for opcode in [
            opcode::UNLINK,
            opcode::RMDIR,
            opcode::MKDIR,
            opcode::RENAME,
            opcode::LINK,
            opcode::SYMLINK,
        ] {
            fuse.fail(opcode, error);
            let done = match opcode {
                opcode::UNLINK => run(&driver, driver.submit(Remove::file(path("file")))),
                opcode::RMDIR => run(&driver, driver.submit(Remove::dir(path("dir")))),
                opcode::MKDIR => run(&driver, driver.submit(MakeDir::new(path("new"), 0o700))),
                opcode::RENAME => run(
                    &driver,
                    driver.submit(Rename::new(path("file"), path("new"))),
                ),
                opcode::LINK => run(
                    &driver,
                    driver.submit(Link::hard(path("file"), path("new"))),
                ),
                _ => run(
                    &driver,
                    driver.submit(Link::symbolic(path("file"), path("new"))),
                ),
            };
            assert_eq!(done.unwrap_err().raw_os_error(), Some(error), "{opcode}");
            assert_eq!(fuse.count(opcode), 1, "opcode {opcode}, error {error}");
        }
    }
    println!("SAYS done");
}

#[test]
fn s30_change_of_a_file_reaches_the_file_system_once() {
    check_each_backend("change_files_with_errors");
}

#[test]
#[ignore = "run by `s30_change_of_a_file_reaches_the_file_system_once` in a process of its own"]
fn change_files_with_errors() {
    let Some((fuse, driver)) = mount() else {
        return;
    };
    let error = libc::ECANCELED;
    for opcode in [opcode::FSYNC, opcode::WRITE, opcode::CREATE] {
        fuse.fail(opcode, error);
    }
    let code = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();

    // A second fsync would hide the error: the kernel reports each one once.
    let file = SharedFd::from(open(&driver, &fuse, libc::O_RDWR));
    let synced = run(&driver, driver.submit(Sync::all(file.clone())));
    assert_eq!((code(synced), fuse.count(opcode::FSYNC)), (Some(error), 1));

    let log = SharedFd::from(open(&driver, &fuse, libc::O_WRONLY | libc::O_APPEND));
    for write in [
        WriteAt::new(log.clone(), 0, "line"),
        WriteAt::at_cursor(log, "line"),
    ] {
        let (written, _) = run(&driver, driver.submit(write));
        assert_eq!(code(written.map(drop)), Some(error));
        assert_eq!(fuse.count(opcode::WRITE), 1);
    }

    let exclusive = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let create = Open::new(native(fuse.path("new")), exclusive, 0o600);
    let created = run(&driver, driver.submit(create)).map(drop);
    assert_eq!(
        (code(created), fuse.count(opcode::CREATE)),
        (Some(error), 1)
    );

    // A read may be repeated, but its error is final.
    fuse.fail(opcode::READ, error);
    let (read, _) = run(
        &driver,
        driver.submit(ReadAt::new(file, 0, Vec::with_capacity(8))),
    );
    assert_eq!(code(read.map(drop)), Some(error));
    assert!(fuse.count(opcode::READ) <= 2);
    println!("SAYS done");
}
