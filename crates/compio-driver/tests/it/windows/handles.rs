//! Handles that are not overlapped, that belong to another port, or that are no files.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    process::{Command, Stdio},
    ptr,
    time::Duration,
};

use compio_driver::{
    OwnedFd, SharedFd,
    op::{PollOnce, ReadAt, Readiness, Shutdown, WriteAt},
};
use windows_sys::Win32::System::Threading::{CreateEventW, SetEvent};

use crate::support::{begin, check_code, code, drain, driver, pipe_in, run, share, unblocked};

/// The ends of a pipe as std creates them.
fn pipe_of_stds() -> (SharedFd, File) {
    let (reader, writer) = io::pipe().unwrap();
    (
        share(OwnedHandle::from(reader)),
        File::from(OwnedHandle::from(writer)),
    )
}

#[test]
fn a_pipe_of_stds_is_read() {
    unblocked(|| {
        let driver = driver();
        let (reader, mut writer) = pipe_of_stds();
        let mut read = driver.submit(ReadAt::at_cursor(reader.clone(), Vec::with_capacity(8)));
        begin(&driver, &mut read);
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        begin(&driver, &mut read);
        writer.write_all(b"x").unwrap();
        assert_eq!(run(&driver, read).1, b"x");
        drop(writer);
        let end = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
        assert_eq!(run(&driver, end).0.unwrap(), 0);
    });
}

#[test]
fn a_pipe_of_stds_is_written() {
    let driver = driver();
    let (mut reader, writer) = io::pipe().unwrap();
    let writer = share(OwnedHandle::from(writer));
    let write = WriteAt::at_cursor(writer.clone(), "hello");
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 5);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_pipe_that_belongs_to_another_driver_is_read() {
    unblocked(|| {
        let (one, other) = (driver(), driver());
        let (reader, mut writer) = pipe_in();
        for text in ["one", "two"] {
            for driver in [&one, &other] {
                let read = ReadAt::at_cursor(reader.clone(), Vec::with_capacity(8));
                let mut read = driver.submit(read);
                begin(driver, &mut read);
                driver.turn(Some(Duration::from_millis(1))).unwrap();
                writer.write_all(text.as_bytes()).unwrap();
                assert_eq!(run(driver, read).1, text.as_bytes());
            }
        }
    });
}

/// A manual-reset event that is not set.
fn event() -> OwnedHandle {
    // SAFETY: no pointers are passed but null. The handle is new.
    unsafe { OwnedHandle::from_raw_handle(CreateEventW(ptr::null(), 1, 0, ptr::null())) }
}

fn set(event: &OwnedHandle) {
    // SAFETY: no pointers are passed.
    assert_ne!(unsafe { SetEvent(event.as_raw_handle()) }, 0);
}

#[test]
fn s23_a_handle_is_waited_for_until_it_is_signalled() {
    let driver = driver();
    let event = event();
    let fd = share(event.try_clone().unwrap());
    for _ in 0..20 {
        let mut waits =
            [(); 3].map(|()| driver.submit(PollOnce::new(fd.clone(), Readiness::READABLE)));
        waits.iter_mut().for_each(|wait| begin(&driver, wait));
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        waits.iter_mut().for_each(|wait| begin(&driver, wait));
        let [given_up, dropped, last] = waits;
        given_up.cancel();
        drop(dropped);
        check_code(run(&driver, given_up), code::CANCELLED);
        drain_but(&driver, 1);
        drop(last);
        drain(&driver);
    }
    let mut wait = driver.submit(PollOnce::new(fd, Readiness::READABLE));
    begin(&driver, &mut wait);
    set(&event);
    assert!(run(&driver, wait).unwrap().contains(Readiness::READABLE));
}

fn drain_but(driver: &compio_driver::Driver, count: usize) {
    crate::support::turn_until(driver, || driver.in_flight() == count);
}

/// The system's wait thread may be about to report the signal.
#[test]
fn s23_a_wait_is_dropped_while_its_handle_is_signalled() {
    let driver = driver();
    for _ in 0..100 {
        let event = event();
        let fd = share(event.try_clone().unwrap());
        let mut wait = driver.submit(PollOnce::new(fd, Readiness::READABLE));
        begin(&driver, &mut wait);
        set(&event);
        wait.cancel();
        match run(&driver, wait) {
            Ok(ready) => assert!(ready.contains(Readiness::READABLE)),
            Err(error) => check_code::<()>(Err(error), code::CANCELLED),
        }
        drain(&driver);
    }
}

#[test]
fn s23_a_driver_dies_with_waits_for_handles() {
    let driver = driver();
    let event = event();
    let fd = share(event.try_clone().unwrap());
    let mut waits: Vec<_> = (0..100)
        .map(|_| driver.submit(PollOnce::new(fd.clone(), Readiness::READABLE)))
        .collect();
    waits.iter_mut().for_each(|wait| begin(&driver, wait));
    drop(driver);
    set(&event);
    drop(waits);
    fd.try_unwrap().expect("no operation has it any more");
}

#[test]
fn a_process_is_waited_for() {
    let driver = driver();
    let mut child = Command::new("cmd")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // SAFETY: the child is kept until the end, and the duplicate is ours.
    let process =
        unsafe { std::os::windows::io::BorrowedHandle::borrow_raw(child.as_raw_handle()) };
    let process = OwnedFd::from(process.try_clone_to_owned().unwrap());
    let mut wait = driver.submit(PollOnce::new(share(process), Readiness::READABLE));
    begin(&driver, &mut wait);
    driver.turn(Some(Duration::from_millis(5))).unwrap();
    begin(&driver, &mut wait);
    // The child ends at EOF of its input.
    drop(child.stdin.take());
    run(&driver, wait).unwrap();
    child.wait().unwrap();
}

#[test]
fn a_shutdown_of_a_pipe_fails() {
    let driver = driver();
    let (reader, _writer) = pipe_in();
    let shutdown = Shutdown::new(reader, std::net::Shutdown::Both);
    run(&driver, driver.submit(shutdown)).unwrap_err();
}
