//! Connects and accepts: their options, and the errors of peers that have gone.

use std::{
    cell::{Cell, RefCell},
    net::{TcpListener, TcpStream},
    rc::Rc,
};

use socket2::SockAddr;
use windows_sys::Win32::{
    Foundation::{ERROR_IO_PENDING, STATUS_CONNECTION_RESET},
    Networking::WinSock::{
        AF_INET, SO_REUSE_UNICASTPORT, SOCK_STREAM, SOL_SOCKET, WSAECONNRESET, WSAEMFILE,
        WSAENOPROTOOPT, WSAENOTCONN,
    },
    System::IO::{OVERLAPPED, PostQueuedCompletionStatus},
};

use crate::{
    driver::Driver,
    fd::SharedFd,
    op::{Accept, Connect},
    operation::Owned,
    request::RawResult,
    sys::{
        AsRawFd, OwnedFd, socket_from_raw,
        windows::{
            as_handle,
            fake::{self, Call},
            new_socket,
        },
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

fn stream_socket() -> SharedFd {
    let raw = new_socket(AF_INET.into(), SOCK_STREAM, 0).unwrap();
    // SAFETY: the socket is new, and has no other owner.
    SharedFd::from(unsafe { socket_from_raw(raw) })
}

#[test]
fn implicit_bind_of_connect_requests_shared_ports_and_survives_refusal() {
    let driver = Driver::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SockAddr::from(listener.local_addr().unwrap());
    let options = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&options);
    let fake = move |call| {
        let Call::SetOption { level, name, value } = call else {
            return None;
        };
        seen.borrow_mut().push((level, name, value));
        Some(Err(WSAENOPROTOOPT))
    };
    fake::with(fake, || {
        run(&driver, Connect::new(stream_socket(), address)).unwrap()
    });
    assert_eq!(options.take(), [(SOL_SOCKET, SO_REUSE_UNICASTPORT, 1)]);
}

/// Accepts a connection. `answers` are the ones of the first calls.
fn accepted_after(
    driver: &Driver,
    mut answers: impl FnMut(*mut OVERLAPPED) -> Option<RawResult> + 'static,
) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let fake = move |call| {
        let Call::Accept { overlapped } = call else {
            return None;
        };
        answers(overlapped)
    };
    let accept = Accept::new(SharedFd::from(OwnedFd::from(listener)));
    let (_, peer) = fake::with(fake, || run(driver, accept))?;
    assert_eq!(peer.as_socket(), Some(client.local_addr().unwrap()));
    Ok(())
}

#[test]
fn accept_is_repeated_if_call_reports_peer_that_has_gone() {
    let driver = Driver::new().unwrap();
    let mut left = vec![WSAENOTCONN, WSAECONNRESET, WSAECONNRESET];
    accepted_after(&driver, move |_| left.pop().map(Err)).unwrap();
}

#[test]
fn accept_is_repeated_if_packet_reports_peer_that_has_gone() {
    let driver = Driver::new().unwrap();
    let port = as_handle(driver.as_raw_fd());
    let left = Cell::new(3);
    let answers = move |overlapped: *mut OVERLAPPED| {
        left.set(left.get() - 1);
        if left.get() <= 0 {
            return None;
        }
        // SAFETY: the OVERLAPPED lies in the operation's cell, and no call uses it.
        unsafe {
            (*overlapped).Internal = STATUS_CONNECTION_RESET as usize;
            assert_ne!(PostQueuedCompletionStatus(port, 0, 0, overlapped), 0);
        }
        Some(Err(ERROR_IO_PENDING as i32))
    };
    accepted_after(&driver, answers).unwrap();
}

#[test]
fn other_errors_of_accept_are_reported() {
    let driver = Driver::new().unwrap();
    let error = accepted_after(&driver, |_| Some(Err(WSAEMFILE))).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(WSAEMFILE));
}

#[test]
fn cancel_ends_accept_whose_peers_have_gone() {
    let driver = Driver::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let accept = driver.submit(Accept::new(SharedFd::from(OwnedFd::from(listener))));
    let mut accept = std::pin::pin!(accept);
    let fake = |call| matches!(call, Call::Accept { .. }).then_some(Err(WSAECONNRESET));
    fake::with(fake, || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            assert!(accept.as_mut().poll(&mut cx).is_pending());
            driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        }
        accept.cancel();
        driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        let std::task::Poll::Ready(ended) = accept.as_mut().poll(&mut cx) else {
            panic!("it is not cancelled");
        };
        assert!(crate::is_cancelled(&ended.unwrap_err()));
    });
}
