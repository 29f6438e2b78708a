//! Overlapped calls that are defined outside of the driver.

use std::{ffi::c_void, io, io::Write, ptr, time::Duration};

use compio_driver::{
    AsRawFd, Operation, Owned, OwnsFd, RawFd, SharedFd,
    os::windows::{Begun, RawEntry},
    request::Request,
};
use windows_sys::Win32::{Foundation::HANDLE, Storage::FileSystem::ReadFile};

use crate::support::{begin, check_code, code, drain, driver, file, pipe_in, run, share};

/// A read by `ReadFile`, from the beginning.
struct OwnRead<F> {
    fd: F,
    buffer: [u8; 8],
    entry: Option<RawEntry>,
}

impl<F> OwnRead<F> {
    fn new(fd: F) -> Self {
        let (buffer, entry) = ([0; 8], None);
        Self { fd, buffer, entry }
    }
}

/// # Safety
///
/// `data` points to a buffer of eight bytes that outlives the call.
unsafe fn read(fd: RawFd, overlapped: *mut c_void, data: *mut ()) -> Begun {
    let handle: HANDLE = match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => socket as HANDLE,
    };
    // SAFETY: by the contracts of this function and of `RawEntry::new`.
    let returned = unsafe { ReadFile(handle, data.cast(), 8, ptr::null_mut(), overlapped.cast()) };
    Begun::new(returned != 0)
}

// SAFETY: the request points into the operation.
unsafe impl<F: AsRawFd + 'static> Operation for OwnRead<F> {
    type Output = io::Result<Vec<u8>>;

    fn request(&mut self) -> Request {
        let data = (&raw mut self.buffer).cast();
        // SAFETY: one call is made, and nothing after it.
        let entry = unsafe { RawEntry::new(self.fd.as_raw_fd(), read, data) };
        Request::Raw(self.entry.insert(entry))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(|len| self.buffer[..len].to_vec())
    }
}

// SAFETY: the operation owns the descriptor.
unsafe impl<F: OwnsFd> Owned for OwnRead<F> {}

#[test]
fn a_raw_call_comes_to_its_end() {
    let driver = driver();
    let (_file, fd) = file(b"content");
    for _ in 0..10 {
        let read = driver.submit(OwnRead::new(fd.clone()));
        assert_eq!(run(&driver, read).unwrap(), b"content");
    }
}

#[test]
fn a_raw_call_waits_and_is_cancelled() {
    let driver = driver();
    let (reader, mut writer) = pipe_in();
    let mut read = driver.submit(OwnRead::new(reader.clone()));
    begin(&driver, &mut read);
    driver.turn(Some(Duration::from_millis(1))).unwrap();
    begin(&driver, &mut read);
    writer.write_all(b"x").unwrap();
    assert_eq!(run(&driver, read).unwrap(), b"x");

    let mut cancelled = driver.submit(OwnRead::new(reader.clone()));
    begin(&driver, &mut cancelled);
    let mut dropped = driver.submit(OwnRead::new(reader.clone()));
    begin(&driver, &mut dropped);
    cancelled.cancel();
    drop(dropped);
    check_code(run(&driver, cancelled), code::CANCELLED);
    drain(&driver);
    writer.write_all(b"y").unwrap();
    let read = driver.submit(OwnRead::new(reader));
    assert_eq!(run(&driver, read).unwrap(), b"y");
}

/// The call is made on another thread.
#[test]
fn a_raw_call_on_a_handle_that_is_not_overlapped_completes() {
    let driver = driver();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"content").unwrap();
    let fd: SharedFd = share(file);
    let read = driver.submit(OwnRead::new(fd));
    assert_eq!(run(&driver, read).unwrap(), b"content");
}

#[test]
fn a_raw_call_on_a_file_between_others() {
    let driver = driver();
    let (_file, fd) = file(b"content");
    for _ in 0..10 {
        let others: Vec<_> = (0..4)
            .map(|_| {
                let read = compio_driver::op::ReadAt::new(fd.clone(), 3, vec![0; 8]);
                driver.submit(read)
            })
            .collect();
        let read = driver.submit(OwnRead::new(fd.clone()));
        assert_eq!(run(&driver, read).unwrap(), b"content");
        for other in others {
            assert_eq!(run(&driver, other).1, b"tent");
        }
    }
}
