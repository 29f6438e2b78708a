//! Failed connects under a `WSAPoll` that does not report them, as before Windows 10 2004.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::windows::io::AsRawSocket,
    time::{Duration, Instant},
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::*;
use crate::{
    driver::Driver,
    fd::SharedFd,
    op::{PollOnce, Readiness},
    sys::OwnedFd,
};

/// A port that refuses connections.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A socket with a connect in flight that a port refuses, or has refused.
fn refused() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.connect(&SockAddr::from(closed_port())).unwrap_err();
    socket
}

fn raw(socket: &impl AsRawSocket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

/// `WSAPoll` as before Windows 10 2004, of a socket whose connect has failed.
fn blind(call: Call) -> Option<RawResult> {
    matches!(call, Call::Poll).then_some(Ok(0))
}

#[test]
fn failed_connect_is_reported_without_wsapoll() {
    let socket = refused();
    let began = Instant::now();
    for events in [ready::OUT, ready::IN | ready::OUT, ready::IN] {
        let bits = fake::with(blind, || {
            loop {
                match poll_connecting(raw(&socket), events).unwrap() {
                    0 => assert!(began.elapsed() < Duration::from_secs(60)),
                    bits => return bits,
                }
                std::thread::yield_now();
            }
        });
        assert_eq!(bits, ready::ERR | ready::HUP | events & ready::OUT);
    }
    let error = socket.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn write_readiness_ends_for_failed_connect_without_wsapoll() {
    let socket = SharedFd::from(OwnedFd::from(refused()));
    let driver = Driver::new().unwrap();
    let poll = driver.submit(PollOnce::new(socket, Readiness::WRITABLE));
    let mut poll = std::pin::pin!(poll);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let began = Instant::now();
    fake::with(blind, || {
        while poll.as_mut().poll(&mut cx).is_pending() {
            driver.turn(Some(Duration::from_secs(60))).unwrap();
            assert!(began.elapsed() < Duration::from_secs(60));
        }
    });
}

#[test]
fn out_of_band_data_is_no_failed_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    Socket::from(client.try_clone().unwrap())
        .send_out_of_band(b"!")
        .unwrap();
    let began = Instant::now();
    while poll_now(raw(&server), ready::PRI) == Ok(0) {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    let answer = fake::with(blind, || poll_connecting(raw(&server), ready::OUT));
    assert_eq!(answer, Ok(0));
}

#[test]
fn sockets_that_do_not_connect_are_not_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fresh = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for socket in [raw(&listener), raw(&fresh), raw(&datagrams)] {
        let answer = fake::with(blind, || poll_connecting(socket, ready::IN));
        assert_eq!(answer, Ok(0));
    }
}
