//! The options that sockets get when they are created, adopted or connected, and the backlog.

use std::{cell::RefCell, net::UdpSocket, rc::Rc};

use socket2::{Domain, Type};
use windows_sys::Win32::Networking::WinSock::WSAEOPNOTSUPP;

use super::*;
use crate::{
    driver::Driver,
    op::Connect,
    os_calls::socket::{adopt, create},
    sys::{AsFd, OwnedFd, windows::new_socket},
};

/// Makes the calls, with fakes for the flags. Returns the flags that were set.
fn flags_of(test: impl FnOnce()) -> Vec<(u32, bool)> {
    let flags = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&flags);
    let fake = move |call| {
        let Call::SetFlag { code, on } = call else {
            return None;
        };
        seen.borrow_mut().push((code, on));
        // Refused, as on other providers.
        Some(Err(WSAEOPNOTSUPP))
    };
    fake::with(fake, test);
    flags.take()
}

const SILENT: [(u32, bool); 2] = [(SIO_UDP_CONNRESET, false), (SIO_UDP_NETRESET, false)];
const LOUD: [(u32, bool); 2] = [(SIO_UDP_CONNRESET, true), (SIO_UDP_NETRESET, true)];

#[test]
fn new_datagram_socket_is_silent_about_unreachable_peers() {
    let made = flags_of(|| drop(create(Domain::IPV4, Type::DGRAM, None).unwrap()));
    assert_eq!(made, SILENT);
    let by_request = flags_of(|| {
        let raw = new_socket(Domain::IPV4.into(), Type::DGRAM.into(), 0).unwrap();
        // SAFETY: the socket is new, and has no other owner.
        drop(unsafe { crate::sys::socket_from_raw(raw) });
    });
    assert_eq!(by_request, SILENT);
}

#[test]
fn new_stream_socket_has_no_such_flags() {
    let made = flags_of(|| drop(create(Domain::IPV4, Type::STREAM, None).unwrap()));
    assert_eq!(made, []);
}

#[test]
fn adopted_datagram_socket_is_silent_unless_it_has_a_peer() {
    let one = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(flags_of(|| adopt(one.as_fd()).unwrap()), SILENT);
    one.connect(other.local_addr().unwrap()).unwrap();
    assert_eq!(flags_of(|| adopt(one.as_fd()).unwrap()), []);
}

#[test]
fn connect_of_datagram_socket_reports_unreachable_peers() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = SockAddr::from(other.local_addr().unwrap());
    let socket: OwnedFd = UdpSocket::bind("127.0.0.1:0").unwrap().into();
    let connected = flags_of(|| {
        let driver = Driver::new().unwrap();
        let connect = Connect::new(crate::fd::SharedFd::from(socket), address);
        let mut connect = std::pin::pin!(driver.submit(connect));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let connected = connect.as_mut().poll(&mut cx);
        assert!(matches!(connected, std::task::Poll::Ready(Ok(()))));
    });
    assert_eq!(connected, LOUD);
}

#[test]
fn backlog_above_200_is_passed_as_hint() {
    let passed = [0, 1, 200, 201, 4096, 65_535, 65_536, i32::MAX].map(backlog);
    assert_eq!(passed, [0, 1, 200, -201, -4096, -65_535, -65_535, -65_535]);
}
