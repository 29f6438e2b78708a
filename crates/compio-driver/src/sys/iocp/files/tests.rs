//! The file calls that go to the thread pool.

use std::{cell::Cell, fs::OpenOptions, os::windows::fs::OpenOptionsExt, rc::Rc};

use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OVERLAPPED;

use super::*;
use crate::{
    driver::Driver,
    fd::SharedFd,
    op::{ReadAt, Truncate, WriteAt, WriteVectoredAt},
    operation::Owned,
    sys::{
        OwnedFd,
        windows::{assume_append_only, assume_overlapped},
    },
};

fn run<O: Owned>(driver: &Driver, operation: O) -> O::Output {
    let mut future = std::pin::pin!(driver.submit(operation));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => driver.turn(None).unwrap(),
        }
    }
}

/// A file of eight bytes.
fn file(options: &mut OpenOptions) -> (tempfile::NamedTempFile, SharedFd) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "12345678").unwrap();
    let opened = options
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(file.path())
        .unwrap();
    let fd = SharedFd::from(OwnedFd::from(opened));
    assume_overlapped(&fd);
    (file, fd)
}

/// How many reads and writes the driver's own thread makes during `test`.
fn calls_during(attributes: Option<u32>, test: impl FnOnce()) -> usize {
    let count = Rc::new(Cell::new(0));
    let seen = Rc::clone(&count);
    let fake = move |call| match call {
        Call::Write { .. } | Call::Read { .. } => {
            seen.set(seen.get() + 1);
            None
        }
        Call::FileAttributes => attributes.map(Ok),
        _ => None,
    };
    fake::with(fake, test);
    count.get()
}

/// How many calls the driver's thread makes for a write of five bytes.
fn calls_of_write(driver: &Driver, fd: &SharedFd, offset: u64) -> usize {
    calls_during(None, || {
        let write = WriteAt::new(fd.clone(), offset, "abcde");
        assert_eq!(run(driver, write).0.unwrap(), 5);
    })
}

#[test]
fn only_write_behind_end_goes_to_thread_pool() {
    let driver = Driver::new().unwrap();
    let (file, fd) = file(OpenOptions::new().read(true).write(true));
    assert_eq!(calls_of_write(&driver, &fd, 3), 1);
    assert_eq!(calls_of_write(&driver, &fd, 4), 0);
    assert_eq!(calls_of_write(&driver, &fd, 20), 0);
    let vectored = || {
        let write = WriteVectoredAt::new(fd.clone(), 25, ["fghi", "j"]);
        assert_eq!(run(&driver, write).0.unwrap(), 4);
        let read = ReadAt::new(fd.clone(), 20, vec![0; 9]);
        assert_eq!(run(&driver, read).1, b"abcdefghi");
    };
    assert_eq!(calls_during(None, vectored), 1);
    assert_eq!(std::fs::metadata(file.path()).unwrap().len(), 29);
}

#[test]
fn append_goes_to_thread_pool_at_each_offset() {
    let driver = Driver::new().unwrap();
    let (file, fd) = file(OpenOptions::new().append(true));
    assume_append_only(&fd);
    assert_eq!(calls_of_write(&driver, &fd, 0), 0);
    assert_eq!(std::fs::read(file.path()).unwrap(), b"12345678abcde");
}

#[test]
fn length_of_truncation_is_no_valid_data() {
    let driver = Driver::new().unwrap();
    let (_file, fd) = file(OpenOptions::new().read(true).write(true));
    run(&driver, Truncate::new(fd.clone(), 100)).unwrap();
    assert_eq!(calls_of_write(&driver, &fd, 50), 0);
    assert_eq!(calls_of_write(&driver, &fd, 3), 1);
    run(&driver, Truncate::new(fd.clone(), 5)).unwrap();
    run(&driver, Truncate::new(fd.clone(), 100)).unwrap();
    assert_eq!(calls_of_write(&driver, &fd, 3), 0);
    assert_eq!(calls_of_write(&driver, &fd, 0), 1);
}

#[test]
fn writes_after_truncation_of_unknown_handle_go_to_thread_pool() {
    let driver = Driver::new().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(file.path())
        .unwrap();
    let fd = SharedFd::from(OwnedFd::from(opened));
    run(&driver, Truncate::new(fd.clone(), 100)).unwrap();
    assert_eq!(calls_of_write(&driver, &fd, 0), 0);
    assert_eq!(calls_of_write(&driver, &fd, 0), 0);
}

#[test]
fn calls_on_compressed_and_encrypted_files_go_to_thread_pool() {
    for attribute in [FILE_ATTRIBUTE_COMPRESSED, FILE_ATTRIBUTE_ENCRYPTED] {
        let driver = Driver::new().unwrap();
        let (_file, fd) = file(OpenOptions::new().read(true).write(true));
        let calls = calls_during(Some(attribute), || {
            let write = WriteAt::new(fd.clone(), 0, "abcde");
            assert_eq!(run(&driver, write).0.unwrap(), 5);
            let read = ReadAt::new(fd, 0, vec![0; 9]);
            assert_eq!(run(&driver, read).1, b"abcde678");
        });
        assert_eq!(calls, 0);
    }
}
