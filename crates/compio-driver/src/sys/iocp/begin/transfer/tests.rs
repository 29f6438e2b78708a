//! Transfers that a cancel ends: the part that was transferred, and other receives of the same socket.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::Write,
    net::{TcpListener, TcpStream},
    os::windows::{fs::OpenOptionsExt, io::OwnedHandle},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio_io::buf::BufResult;
use windows_sys::Win32::{
    Foundation::{ERROR_IO_PENDING, HANDLE, STATUS_CANCELLED},
    Storage::FileSystem::FILE_FLAG_OVERLAPPED,
    System::IO::{OVERLAPPED, PostQueuedCompletionStatus},
};

use crate::{
    driver::Driver,
    fd::SharedFd,
    op::{ReadAt, Recv, Send, WriteAt},
    operation::Owned,
    request::RawResult,
    submit::Submit,
    sys::{
        AsRawFd, OwnedFd,
        windows::{
            as_handle, assume_overlapped,
            fake::{self, Call},
        },
    },
};

/// The OVERLAPPEDs of the reads and writes that were started under a fake.
type Started = Rc<RefCell<Vec<*mut OVERLAPPED>>>;

/// Ends a call under a fake with a cancel, after `bytes` bytes.
fn end_by_cancel(port: HANDLE, overlapped: *mut OVERLAPPED, bytes: usize) {
    // SAFETY: the OVERLAPPED lies in the operation's cell, and no call uses it.
    unsafe {
        (*overlapped).Internal = STATUS_CANCELLED as usize;
        (*overlapped).InternalHigh = bytes;
        assert_ne!(
            PostQueuedCompletionStatus(port, bytes as u32, 0, overlapped),
            0
        );
    }
}

/// Answers the first `count` reads and writes with "pending".
fn pending(count: usize, started: &Started) -> impl FnMut(Call) -> Option<RawResult> + 'static {
    let started = Rc::clone(started);
    move |call| {
        let (Call::Read { overlapped } | Call::Write { overlapped }) = call else {
            return None;
        };
        let mut started = started.borrow_mut();
        started.push(overlapped);
        (started.len() <= count).then_some(Err(ERROR_IO_PENDING as i32))
    }
}

fn poll<O: Owned>(operation: &mut Pin<&mut Submit<O>>) -> Poll<O::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    operation.as_mut().poll(&mut cx)
}

/// The result of an operation that is cancelled after 3 of its bytes.
fn cancelled_after_three<O: Owned>(operation: O) -> O::Output {
    let driver = Driver::new().unwrap();
    let started = Started::default();
    fake::with(pending(1, &started), || {
        let mut operation = std::pin::pin!(driver.submit(operation));
        assert!(poll(&mut operation).is_pending());
        operation.cancel();
        end_by_cancel(as_handle(driver.as_raw_fd()), started.borrow()[0], 3);
        driver.turn(Some(Duration::ZERO)).unwrap();
        match poll(&mut operation) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("its packet has come"),
        }
    })
}

fn file() -> (tempfile::NamedTempFile, SharedFd) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8).unwrap();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED);
    let opened: File = options.open(file.path()).unwrap();
    let fd = SharedFd::from(OwnedFd::from(OwnedHandle::from(opened)));
    assume_overlapped(&fd);
    (file, fd)
}

fn connection() -> (TcpStream, SharedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, SharedFd::from(OwnedFd::from(server)))
}

fn check_three<B>((result, _): BufResult<usize, B>) {
    assert_eq!(result.unwrap(), 3);
}

#[test]
fn transfer_cancelled_after_three_bytes_reports_them() {
    // Each with a handle of its own: a handle belongs to the port of its first driver.
    let (_file, fd) = file();
    check_three(cancelled_after_three(WriteAt::new(fd, 0, "12345")));
    let (_file, fd) = file();
    check_three(cancelled_after_three(ReadAt::new(fd, 0, vec![0; 5])));
    let (_client, fd) = connection();
    check_three(cancelled_after_three(Send::new(fd, "12345", 0)));
    let (_client, fd) = connection();
    check_three(cancelled_after_three(Recv::new(fd, vec![0; 5], 0)));
}

#[test]
fn receive_that_ends_with_cancel_of_another_is_repeated() {
    let driver = Driver::new().unwrap();
    let port = as_handle(driver.as_raw_fd());
    let (mut client, fd) = connection();
    let started = Started::default();
    fake::with(pending(2, &started), || {
        let receive = || driver.submit(Recv::new(fd.clone(), vec![0; 5], 0));
        let (mut cancelled, mut other) = (std::pin::pin!(receive()), std::pin::pin!(receive()));
        assert!(poll(&mut cancelled).is_pending());
        assert!(poll(&mut other).is_pending());
        cancelled.cancel();
        for overlapped in started.take() {
            end_by_cancel(port, overlapped, 0);
        }
        started.borrow_mut().extend([std::ptr::null_mut(); 2]);
        driver.turn(Some(Duration::ZERO)).unwrap();
        let Poll::Ready((result, _)) = poll(&mut cancelled) else {
            panic!("it is cancelled");
        };
        assert!(crate::is_cancelled(&result.unwrap_err()));
        assert!(poll(&mut other).is_pending());
        client.write_all(b"bytes").unwrap();
        let (result, buffer) = loop {
            match poll(&mut other) {
                Poll::Ready(output) => break output,
                Poll::Pending => driver.turn(None).unwrap(),
            }
        };
        assert_eq!((result.unwrap(), &buffer[..]), (5, &b"bytes"[..]));
        assert_eq!(started.borrow().len(), 3);
    });
}

/// Calls of other code may cancel each receive again.
#[test]
fn receive_that_ends_cancelled_without_cancel_of_driver_is_not_repeated() {
    let driver = Driver::new().unwrap();
    let port = as_handle(driver.as_raw_fd());
    let (_client, fd) = connection();
    let started = Started::default();
    fake::with(pending(2, &started), || {
        let mut receive = std::pin::pin!(driver.submit(Recv::new(fd, vec![0; 5], 0)));
        assert!(poll(&mut receive).is_pending());
        end_by_cancel(port, started.borrow()[0], 0);
        driver.turn(Some(Duration::ZERO)).unwrap();
        let Poll::Ready((result, _)) = poll(&mut receive) else {
            panic!("it is over");
        };
        assert!(crate::is_cancelled(&result.unwrap_err()));
        assert_eq!(started.borrow().len(), 1);
    });
}
