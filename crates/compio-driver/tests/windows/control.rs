//! Device control codes.

use std::io::Write;

use compio_driver::{
    Driver, SharedFd,
    op::{ReadAt, WriteAt},
    os::windows::DeviceIoControl,
};
use windows_sys::Win32::{
    Foundation::{ERROR_MORE_DATA, ERROR_OPERATION_ABORTED},
    System::Ioctl::FSCTL_GET_COMPRESSION,
};

use crate::support::{
    Mode, begin, check_code, check_read, driver, file, name, pair, run, server, share,
};

/// Codes of named pipes, which windows-sys does not have.
const FSCTL_PIPE_LISTEN: u32 = 0x11_0008;
const FSCTL_PIPE_PEEK: u32 = 0x11_400c;

/// Runs a control code that uses only the two buffers.
fn control<O: compio_io::buf::IoBufMut>(
    driver: &Driver,
    fd: &SharedFd,
    code: u32,
    output: O,
) -> (std::io::Result<usize>, O) {
    // SAFETY: no such code names other memory.
    let control = unsafe { DeviceIoControl::new(fd.clone(), code, [], output) };
    let (result, ([], output)) = run(driver, driver.submit(control));
    (result, output)
}

/// The length of a peek's result before the data: four words.
const PEEK_HEAD: usize = 16;

/// The number of bytes in the pipe: the second word of the result.
fn available(answer: &[u8]) -> u32 {
    u32::from_le_bytes(answer[4..8].try_into().expect("a word"))
}

#[test]
fn an_answer_comes_with_its_length() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Byte);
    client.write_all(b"hello").expect("a write");
    let room = Vec::with_capacity(64);
    let (answered, answer) = control(&driver, &server, FSCTL_PIPE_PEEK, room);
    assert_eq!(answered.expect("an answer"), PEEK_HEAD + 5);
    assert_eq!(available(&answer), 5);
    assert_eq!(&answer[PEEK_HEAD..], b"hello");
}

#[test]
fn an_answer_that_does_not_fit_comes_in_part_and_only_once() {
    let driver = driver();
    let (server, mut client) = pair(Mode::Message);
    client.write_all(b"hello").expect("a write");
    // A pipe posts a packet in any case, and so does a call that returns a warning.
    for _ in 0..100 {
        let room = Vec::with_capacity(PEEK_HEAD);
        let (answered, answer) = control(&driver, &server, FSCTL_PIPE_PEEK, room);
        check_code(answered, ERROR_MORE_DATA);
        assert_eq!(answer.len(), PEEK_HEAD);
        assert_eq!(available(&answer), 5);
    }
    let read = ReadAt::at_cursor(server, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(read)), "hello");
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn a_refusal_gives_both_buffers_back() {
    let driver = driver();
    let (_dir, file) = file("content");
    let room = vec![1, 2, 3];
    let (answered, room) = control(&driver, &file, FSCTL_PIPE_PEEK, room);
    answered.expect_err("a file is no pipe");
    assert_eq!(room, [1, 2, 3]);
}

#[test]
fn a_file_that_has_been_read_takes_codes_and_is_read_again() {
    let driver = driver();
    let (_dir, file) = file("content");
    for _ in 0..3 {
        let read = ReadAt::new(file.clone(), 0, Vec::with_capacity(64));
        check_read(run(&driver, driver.submit(read)), "content");
        // The operation completes once, whether this file system supports the code or not.
        let (answered, answer) = control(&driver, &file, FSCTL_GET_COMPRESSION, [0; 2]);
        if let Ok(len) = answered {
            assert_eq!((len, answer), (2, [0; 2]));
        }
        let write = WriteAt::new(file.clone(), 0, "content");
        assert_eq!(
            run(&driver, driver.submit(write)).0.expect("a write"),
            "content".len()
        );
        assert_eq!(driver.in_flight(), 0);
    }
}

#[test]
fn a_code_that_waits_can_be_cancelled() {
    let driver = driver();
    let server = share(server(&name(), Mode::Byte));
    // SAFETY: the code has no buffers.
    let listen = unsafe { DeviceIoControl::new(server, FSCTL_PIPE_LISTEN, [], []) };
    let mut listen = driver.submit(listen);
    begin(&driver, &mut listen);
    listen.cancel();
    check_code(run(&driver, listen).0, ERROR_OPERATION_ABORTED);
}
