//! Reading and writing pipes.

use std::{
    cell::Cell,
    io::{Read, Write},
    os::windows::io::AsRawHandle,
    rc::Rc,
};

use compio_driver::{
    AsRawFd, Poller,
    op::{ReadAt, WriteAt},
    os_calls::system::start_relay,
};
use windows_sys::Win32::{
    Foundation::{ERROR_NO_DATA, ERROR_OPERATION_ABORTED},
    Storage::FileSystem::WriteFile,
};

use crate::support::{
    Canary, Mode, begin, check_code, check_read, check_returned, drain, driver, name,
    overlapped_client, pair, run, server, share,
};

#[test]
fn a_reader_that_is_gone_is_a_broken_pipe() {
    let driver = driver();
    let (server, client) = pair(Mode::Byte);
    drop(client);
    let (written, buffer) = run(&driver, driver.submit(WriteAt::at_cursor(server, "hello")));
    assert_eq!(buffer, "hello");
    let error = written.expect_err("no reader");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    check_code::<()>(Err(error), ERROR_NO_DATA);
}

#[test]
fn a_writer_that_is_gone_is_the_end() {
    let driver = driver();
    let (server, client) = pair(Mode::Byte);
    let mut read = driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(64)));
    begin(&driver, &mut read);
    drop(client);
    check_read(run(&driver, read), "");
    let again = ReadAt::at_cursor(server, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(again)), "");
}

#[test]
fn s23_a_pending_read_is_cancelled_and_gives_back_its_buffer() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    let mut buffer = Vec::with_capacity(64);
    buffer.extend(b"old");
    let mut read = driver.submit(ReadAt::at_cursor(server.clone(), buffer));
    begin(&driver, &mut read);
    read.cancel();
    check_returned(run(&driver, read), ERROR_OPERATION_ABORTED, b"old");
    // The read has taken no byte.
    client.write_all(b"hello").expect("a write");
    let read = ReadAt::at_cursor(server, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(read)), "hello");
}

#[test]
fn s23_a_pending_read_that_is_dropped_keeps_its_buffer_until_its_end() {
    let driver = driver();
    let (server, _client) = pair(Mode::Byte);
    let deaths = Rc::new(Cell::new(0));
    let mut read = driver.submit(ReadAt::at_cursor(server, Canary::new(&deaths)));
    begin(&driver, &mut read);
    drop(read);
    assert_eq!(deaths.get(), 0);
    drain(&driver);
    assert_eq!(deaths.get(), 1);
}

#[test]
fn s23_with_its_last_owner_and_read_the_pipe_is_closed() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    let mut read = driver.submit(ReadAt::at_cursor(server, Vec::<u8>::with_capacity(64)));
    begin(&driver, &mut read);
    // Here the operation is the last owner.
    drop(read);
    drain(&driver);
    let error = client.write_all(b"hello").expect_err("no reader");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_message_that_does_not_fit_is_read_in_parts() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Message);
    for is_there_before in [true, false] {
        let mut read = driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(4)));
        if !is_there_before {
            begin(&driver, &mut read);
        }
        client.write_all(b"first part, rest").expect("a write");
        client.write_all(b"next").expect("a write");
        check_read(run(&driver, read), "firs");
        let rest = ReadAt::at_cursor(server.clone(), Vec::with_capacity(64));
        check_read(run(&driver, driver.submit(rest)), "t part, rest");
        let next = ReadAt::at_cursor(server.clone(), Vec::with_capacity(64));
        check_read(run(&driver, driver.submit(next)), "next");
        assert_eq!(driver.in_flight(), 0);
    }
}

#[test]
fn an_empty_message_arrives() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Message);
    let mut read = driver.submit(ReadAt::at_cursor(server.clone(), Vec::with_capacity(64)));
    begin(&driver, &mut read);
    assert_eq!(client.write(b"").expect("a write"), 0);
    client.write_all(b"more").expect("a write");
    check_read(run(&driver, read), "");
    let more = ReadAt::at_cursor(server, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(more)), "more");
}

#[test]
fn an_empty_write_is_done_at_once() {
    let driver = driver();
    for mode in [Mode::Byte, Mode::Message] {
        let (server, _client) = pair(mode);
        let (written, _) = run(&driver, driver.submit(WriteAt::at_cursor(server, "")));
        assert_eq!(written.expect("a write"), 0);
    }
}

#[test]
fn reads_and_writes_of_both_ends_go_on_at_once() {
    let (driver, name) = (driver(), name());
    let server = share(server(&name, Mode::Byte));
    let client = overlapped_client(&name);
    let mut reads = [&server, &client]
        .map(|end| driver.submit(ReadAt::at_cursor(end.clone(), Vec::with_capacity(64))));
    for read in &mut reads {
        begin(&driver, read);
    }
    for (end, text) in [(server, "to the client"), (client, "to the server")] {
        let (written, _) = run(&driver, driver.submit(WriteAt::at_cursor(end, text)));
        assert_eq!(written.expect("a write"), text.len());
    }
    let [at_server, at_client] = reads;
    check_read(run(&driver, at_server), "to the server");
    check_read(run(&driver, at_client), "to the client");
}

#[test]
fn s23_a_write_waits_for_room_and_can_be_cancelled() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    // More than the pipe's buffer, which the system may enlarge.
    let mut write = driver.submit(WriteAt::at_cursor(server.clone(), vec![7; 1 << 20]));
    begin(&driver, &mut write);
    write.cancel();
    let (written, buffer) = run(&driver, write);
    assert_eq!(buffer.len(), 1 << 20);
    if written.is_ok() {
        // This pipe's buffer has no limit.
        return;
    }
    check_code(written, ERROR_OPERATION_ABORTED);
    let (written, _) = run(&driver, driver.submit(WriteAt::at_cursor(server, "end")));
    assert_eq!(written.expect("a write"), 3);
    // A part of the first write may have been written.
    let mut received = Vec::new();
    while !received.ends_with(b"end") {
        let mut buffer = [0; 4096];
        let read = client.read(&mut buffer).expect("a read");
        received.extend(&buffer[..read]);
    }
}

/// A write of 0 bytes is a read of 0 bytes, and not EOF.
#[test]
fn relay_passes_all_bytes_of_attached_pipe_also_after_empty_write() {
    let driver = driver();
    let (server, client) = pair(Mode::Byte);
    driver.attach(server.as_raw_fd()).expect("a port");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let from = server.try_unwrap().expect("the only owner");
    start_relay(from.into(), writer.into()).expect("a thread");
    for part in ["one", "", "two"] {
        let mut written = 0;
        // SAFETY: the memory has the length that is passed; std skips empty writes.
        let returned = unsafe {
            WriteFile(
                client.as_raw_handle(),
                part.as_ptr(),
                part.len() as u32,
                &mut written,
                std::ptr::null_mut(),
            )
        };
        assert_ne!(returned, 0);
    }
    drop(client);
    let mut all = String::new();
    reader.read_to_string(&mut all).expect("the bytes");
    assert_eq!(all, "onetwo");
}
