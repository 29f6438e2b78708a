//! Handles that belong to another port, or to none.

use std::{
    os::windows::io::OwnedHandle,
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    AsRawFd, Driver, DriverBuilder, OwnedFd, Poller, SharedFd,
    op::{ReadAt, WriteAt},
    os::windows::{ConnectNamedPipe, assume_overlapped},
};
use windows_sys::Win32::Foundation::ERROR_OPERATION_ABORTED;

use crate::support::{
    Mode, begin, check_read, check_returned, client, driver, name, pair, run, server, share,
};

/// Echoes one message.
fn echo(driver: &Driver, server: &SharedFd) {
    let read = ReadAt::at_cursor(server.clone(), Vec::with_capacity(64));
    let (read, buffer) = run(driver, driver.submit(read));
    read.expect("a read");
    let write = WriteAt::at_cursor(server.clone(), buffer);
    run(driver, driver.submit(write)).0.expect("a write");
}

fn check_echo(client: &mut std::fs::File) {
    use std::io::{Read, Write};
    client.write_all(b"hello").expect("a write");
    let mut buffer = [0; 5];
    client.read_exact(&mut buffer).expect("a read");
    assert_eq!(&buffer, b"hello");
}

/// The handle itself, which can move to another thread.
fn take(server: SharedFd) -> OwnedHandle {
    match server.try_unwrap().expect("the only owner") {
        OwnedFd::Handle(handle) => handle,
        OwnedFd::Socket(_) => panic!("a pipe is no socket"),
    }
}

/// A pipe that this thread's driver has used, so that it belongs to that port for life.
fn used() -> (OwnedHandle, std::fs::File) {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let client = client(&name);
    let connect = ConnectNamedPipe::new(server.clone());
    run(&driver, driver.submit(connect)).expect("a client");
    (take(server), client)
}

#[test]
fn a_pipe_goes_to_another_thread_before_its_first_use() {
    let name = name();
    let server = server(&name, Mode::Byte);
    let mut client = client(&name);
    let echoing = thread::spawn(move || echo(&driver(), &share(server)));
    check_echo(&mut client);
    echoing.join().expect("an echo");
}

#[test]
fn a_pipe_goes_to_another_thread_after_its_first_use() {
    for is_assumed in [false, true] {
        let (handle, mut client) = used();
        let echoing = thread::spawn(move || {
            let server = share(handle);
            if is_assumed {
                assume_overlapped(&server);
            }
            echo(&driver(), &server);
        });
        check_echo(&mut client);
        echoing.join().expect("an echo");
    }
}

#[test]
fn at_its_second_thread_a_pending_read_is_cancelled_if_the_handle_is_known() {
    let (handle, _client) = used();
    let driver = driver();
    let server = share(handle);
    assume_overlapped(&server);
    let mut read = driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(64)));
    begin(&driver, &mut read);
    read.cancel();
    check_returned(run(&driver, read), ERROR_OPERATION_ABORTED, b"");
    let mut connect = driver.submit(ReadAt::at_cursor(server, Vec::<u8>::with_capacity(64)));
    begin(&driver, &mut connect);
    drop(connect);
    let began = Instant::now();
    drop(driver);
    assert!(began.elapsed() < Duration::from_secs(4), "it has waited");
}

#[test]
fn at_its_second_thread_an_unserved_read_keeps_the_shutdown_timeout() {
    let (handle, client) = used();
    let driver = DriverBuilder::new()
        .shutdown_timeout(Duration::from_millis(100))
        .build()
        .expect("a driver");
    let read = ReadAt::at_cursor(share(handle), Vec::<u8>::with_capacity(64));
    let mut read = driver.submit(read);
    begin(&driver, &mut read);
    // A thread waits for it. Whether the read has begun is unknown.
    drop(read);
    drop(driver);
    drop(client);
}

#[test]
fn a_handle_for_calls_that_block_is_read_by_a_thread() {
    use std::io::Write;
    let name = name();
    let mut server = std::fs::File::from(server(&name, Mode::Byte));
    let client = share(client(&name));
    let driver = driver();
    let mut read = driver.submit(ReadAt::at_cursor(client.clone(), Vec::with_capacity(64)));
    begin(&driver, &mut read);
    server.write_all(b"hello").expect("a write");
    check_read(run(&driver, read), "hello");
    drop(server);
    let end = ReadAt::at_cursor(client, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(end)), "");
}

#[test]
fn a_bare_number_is_used_again_and_again() {
    use std::io::Write;
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    let server = take(server);
    let fd = server.as_raw_fd();
    driver.attach(fd).expect("a port");
    for round in 0..3 {
        client.write_all(b"hello").expect("a write");
        let mut read = ReadAt::at_cursor(fd, Vec::with_capacity(64));
        // SAFETY: the operation stays in place until its entry has come, and the handle open.
        unsafe { driver.push(&mut read, round) }.expect("a push");
        let entry = driver.poll_one(None).expect("an entry");
        assert_eq!(entry.user_data(), round);
        assert_eq!(entry.into_result().expect("a read"), 5);
    }
}
