//! Overlapped calls that are defined outside of the driver.

use std::{ffi::c_void, io, io::Write, ptr, time::Duration};

use compio_driver::{
    AsRawFd, Operation, Owned, OwnsFd, Poller, RawFd, SharedFd,
    os::windows::{Begun, RawEntry, open_directory},
    request::Request,
};
use windows_sys::Win32::{
    Foundation::HANDLE,
    Storage::FileSystem::{FILE_NOTIFY_CHANGE_FILE_NAME, ReadDirectoryChangesW, ReadFile},
};

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

/// A watch of a directory, whose call reports the success of the queueing as its own.
struct HastyWatch {
    fd: SharedFd,
    buffer: Box<[u32; 64]>,
    entry: Option<RawEntry>,
}

/// # Safety
///
/// `data` points to a buffer of 64 words that outlives the call.
unsafe fn watch(fd: RawFd, overlapped: *mut c_void, data: *mut ()) -> Begun {
    let (RawFd::Handle(handle), recursive) = (fd, 0) else {
        unreachable!("a directory is no socket");
    };
    // SAFETY: by the contracts of this function and of `RawEntry::new`.
    let returned = unsafe {
        ReadDirectoryChangesW(
            handle,
            data.cast(),
            256,
            recursive,
            FILE_NOTIFY_CHANGE_FILE_NAME,
            ptr::null_mut(),
            overlapped.cast(),
            None,
        )
    };
    Begun::new(returned != 0)
}

// SAFETY: the request points into the operation, and to its memory on the heap.
unsafe impl Operation for HastyWatch {
    type Output = io::Result<usize>;

    fn request(&mut self) -> Request {
        let data = (&raw mut *self.buffer).cast();
        // SAFETY: one call is made, and nothing after it.
        let entry = unsafe { RawEntry::new(self.fd.as_raw_fd(), watch, data) };
        Request::Raw(self.entry.insert(entry))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer
    }
}

// SAFETY: the operation owns the descriptor.
unsafe impl Owned for HastyWatch {}

#[test]
fn s36_raw_call_that_succeeds_when_queued_completes_at_its_end() {
    for is_attached in [false, true] {
        let driver = driver();
        let dir = tempfile::tempdir().unwrap();
        let fd = share(open_directory(dir.path()).unwrap());
        if is_attached {
            driver.attach(fd.as_raw_fd()).unwrap();
        }
        let watch = || HastyWatch {
            fd: fd.clone(),
            buffer: Box::new([0; 64]),
            entry: None,
        };
        let mut changed = driver.submit(watch());
        begin(&driver, &mut changed);
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        begin(&driver, &mut changed);
        // The thread pool attaches a foreign handle: the watch may begin after the first change.
        let is_done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (ends, folder) = (is_done.clone(), dir.path().to_owned());
        let writer = std::thread::spawn(move || {
            let mut number = 0_u32;
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::write(folder.join(number.to_string()), "").unwrap();
                std::thread::sleep(Duration::from_millis(10));
                number += 1;
            }
        });
        assert!(run(&driver, changed).unwrap() > 0);
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();

        let mut dropped = driver.submit(watch());
        begin(&driver, &mut dropped);
        assert_eq!(driver.in_flight(), 1);
        drop(dropped);
        drain(&driver);
    }
}
