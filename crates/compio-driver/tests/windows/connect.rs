//! Waiting for the client of a named pipe.

use std::{
    fs::OpenOptions,
    io::{Read, Write},
    os::windows::io::AsHandle,
};

use compio_driver::{
    AsFd, BorrowedFd, SharedFd,
    op::{ReadAt, WriteAt},
    os::windows::{ConnectNamedPipe, disconnect_named_pipe},
};
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_OPERATION_ABORTED};

use crate::support::{
    Mode, begin, check_code, check_read, client, drain, driver, file, name, run, server, share,
};

fn disconnect(server: &SharedFd) {
    let BorrowedFd::Handle(handle) = server.as_fd() else {
        panic!("a pipe is no socket");
    };
    disconnect_named_pipe(handle).expect("the client is sent away");
}

#[test]
fn a_client_that_comes_later_is_waited_for() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let mut connect = driver.submit(ConnectNamedPipe::new(server));
    begin(&driver, &mut connect);
    let _client = client(&name);
    run(&driver, connect).expect("a client");
}

#[test]
fn a_client_that_was_there_before_is_success() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let _client = client(&name);
    run(&driver, driver.submit(ConnectNamedPipe::new(server))).expect("a client");
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn a_client_that_has_closed_is_success_and_its_bytes_are_read() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    client(&name).write_all(b"bye").expect("a write");
    run(
        &driver,
        driver.submit(ConnectNamedPipe::new(server.clone())),
    )
    .expect("a client");
    let read = |server| driver.submit(ReadAt::at_cursor(server, Vec::with_capacity(64)));
    check_read(run(&driver, read(server.clone())), "bye");
    check_read(run(&driver, read(server)), "");
}

#[test]
fn an_instance_takes_one_client_after_the_other() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    for greeting in ["one", "two", "three"] {
        let mut connect = driver.submit(ConnectNamedPipe::new(server.clone()));
        begin(&driver, &mut connect);
        let mut client = client(&name);
        run(&driver, connect).expect("a client");
        let write = WriteAt::at_cursor(server.clone(), greeting);
        run(&driver, driver.submit(write)).0.expect("a write");
        let mut buffer = [0; 16];
        let read = client.read(&mut buffer).expect("a read");
        assert_eq!(&buffer[..read], greeting.as_bytes());
        disconnect(&server);
    }
}

#[test]
fn a_cancelled_wait_is_an_error_and_the_next_one_finds_the_client() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let mut connect = driver.submit(ConnectNamedPipe::new(server.clone()));
    begin(&driver, &mut connect);
    connect.cancel();
    check_code(run(&driver, connect), ERROR_OPERATION_ABORTED);
    let _client = client(&name);
    run(&driver, driver.submit(ConnectNamedPipe::new(server))).expect("a client");
}

#[test]
fn s23_a_wait_that_is_dropped_ends_and_the_next_one_finds_the_client() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let mut connect = driver.submit(ConnectNamedPipe::new(server.clone()));
    begin(&driver, &mut connect);
    drop(connect);
    drain(&driver);
    let _client = client(&name);
    run(&driver, driver.submit(ConnectNamedPipe::new(server))).expect("a client");
}

#[test]
fn s23_a_dropped_wait_closes_the_pipe_as_its_last_owner() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let mut connect = driver.submit(ConnectNamedPipe::new(server));
    begin(&driver, &mut connect);
    // The wait keeps the pipe open until the system has cancelled it.
    drop(connect);
    drain(&driver);
    let opened = OpenOptions::new().read(true).open(&name);
    check_code(opened, ERROR_FILE_NOT_FOUND);
}

#[test]
fn s23_a_driver_that_is_dropped_takes_its_waits_along() {
    let (driver, name) = (driver(), name());
    let server = server(&name, Mode::Byte);
    assert!(server.as_handle().try_clone_to_owned().is_ok());
    let mut connect = driver.submit(ConnectNamedPipe::new(share(server)));
    begin(&driver, &mut connect);
    drop(driver);
    drop(connect);
    let opened = OpenOptions::new().read(true).open(&name);
    check_code(opened, ERROR_FILE_NOT_FOUND);
}

#[test]
fn a_handle_that_is_no_pipe_is_refused() {
    let driver = driver();
    let (_dir, file) = file("");
    let connected = run(&driver, driver.submit(ConnectNamedPipe::new(file)));
    connected.expect_err("a file has no clients");
}
