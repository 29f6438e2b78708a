//! Behaviour of macOS and FreeBSD, on sockets of this system.

use std::{
    io::Read,
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::net::UnixStream},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::*;
use crate::sys::unix::{get_option, mode::shim::without_dontwait};

/// More than a socket takes.
const LARGE: usize = 4 << 20;
static BYTES: [u8; LARGE] = [7; LARGE];

/// Sends until there is no room, on a system that ignores `MSG_DONTWAIT`.
fn check_does_not_wait(request: impl Fn(RawFd) -> Request) {
    let (sender, mut receiver) = UnixStream::pair().unwrap();
    // Ends a send that waits, so that the test fails and does not hang.
    sender
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let request = request(sender.as_raw_fd());
    let sent = without_dontwait(|| {
        let Outcome::Answered(Ok(sent)) = attempt_to_send(&request) else {
            panic!("there is room");
        };
        assert!(matches!(attempt_to_send(&request), Outcome::NotNow));
        sent
    });
    assert!(0 < sent && (sent as usize) < LARGE, "{sent}");
    assert!(is_nonblocking(sender.as_raw_fd()));
    drop(sender);
    let mut received = Vec::new();
    receiver.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), sent as usize);
}

fn attempt_to_send(request: &Request) -> Outcome {
    // SAFETY: descriptor and memory are valid.
    unsafe {
        // Linux makes another call first, which these systems do not have.
        if let Request::Transfer(transfer) = request {
            return unless(libc::EAGAIN, transfer_of_socket(transfer));
        }
        attempt(request)
    }
}

fn is_nonblocking(fd: RawFd) -> bool {
    mode_of(fd).unwrap() & libc::O_NONBLOCK != 0
}

fn span(bytes: &'static [u8]) -> Span {
    Span::new(bytes.as_ptr().cast_mut(), bytes.len())
}

#[test]
fn send_without_dontwait_does_not_block() {
    check_does_not_wait(|fd| {
        Request::Net(Net::Send {
            fd,
            span: span(&BYTES),
            flags: 0,
        })
    });
}

#[test]
fn send_msg_without_dontwait_does_not_block() {
    let slice = RawSlice::new(BYTES.as_ptr().cast_mut(), BYTES.len());
    let mut message = Message::new();
    message.point_at(&raw const slice, 1);
    check_does_not_wait(|fd| {
        Request::Net(Net::SendMsg {
            fd,
            message: &raw const message,
            flags: 0,
        })
    });
}

#[test]
fn write_to_socket_without_dontwait_does_not_block() {
    check_does_not_wait(|fd| {
        Request::Transfer(Transfer::Write {
            fd,
            span: span(&BYTES),
            position: Position::Cursor,
        })
    });
}

#[test]
fn send_changes_mode_of_socket_only_if_dontwait_is_ignored() {
    let (sender, _receiver) = UnixStream::pair().unwrap();
    let request = Request::Net(Net::Send {
        fd: sender.as_raw_fd(),
        span: span(b"x"),
        flags: 0,
    });
    // SAFETY: descriptor and memory are valid.
    let sent = unsafe { attempt(&request) };
    assert!(matches!(sent, Outcome::Answered(Ok(1))));
    let changed = is_nonblocking(sender.as_raw_fd());
    assert_eq!(changed, platform::SENDS_IGNORE_DONTWAIT);
}

fn connecting(address: &SockAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    // In progress, or over already.
    let _ = socket.connect(address);
    socket
}

#[track_caller]
fn outcome(socket: &Socket) -> RawResult {
    for _ in 0..1000 {
        match outcome_of_connect(socket.as_raw_fd()) {
            Err(libc::EINPROGRESS) => {
                ready_now(socket.as_raw_fd(), ready::OUT).unwrap();
                std::thread::yield_now();
            }
            outcome => return outcome,
        }
    }
    panic!("still in progress");
}

#[test]
fn outcome_of_connect_is_success_or_error_of_first_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    let socket = connecting(&address);
    assert_eq!(outcome(&socket), Ok(0));
    drop(listener);
    let socket = connecting(&address);
    // Connect itself may have reported it.
    let outcome = outcome_of_connect(socket.as_raw_fd());
    assert!(
        matches!(outcome, Err(libc::ECONNREFUSED | libc::EINPROGRESS)),
        "{outcome:?}"
    );
}

#[test]
fn outcome_of_connect_to_full_listener_is_in_progress() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(
            &"127.0.0.1:0"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
        )
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let sockets: Vec<_> = (0..4).map(|_| connecting(&address)).collect();
    let last = sockets.last().unwrap();
    assert_eq!(outcome_of_connect(last.as_raw_fd()), Err(libc::EINPROGRESS));
}

#[test]
fn outcome_of_connect_that_was_reset_is_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    Socket::from(peer).set_linger(Some(Duration::ZERO)).unwrap();
    assert_ne!(ready_now(stream.as_raw_fd(), ready::IN), Ok(0));
    assert_eq!(
        outcome_of_connect(stream.as_raw_fd()),
        Err(libc::ECONNRESET)
    );
    // The error is cleared, and the socket is not connected.
    assert_eq!(
        get_option(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR),
        Ok(0)
    );
    let _ = stream.shutdown(Shutdown::Both);
}
