//! Streams whose EOF comes together with bytes, after the kernel has checked the socket and before it
//! begins to wait. The kernel misses such an EOF.
//!
//! That interval is short. With `IORING_RECVSEND_POLL_FIRST` the kernel waits without a check first, so
//! that all earlier events fall into the interval.

use std::{
    cell::Cell,
    io::{self, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    ptr,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use io_uring::squeue::Entry;
use socket2::SockRef;

use crate::{
    backend::BackendKind,
    buffers::{BufferPool, PooledBuffer},
    driver::{Driver, DriverBuilder},
    fd::SharedFd,
    stream::RecvStream,
};

/// `IORING_RECVSEND_POLL_FIRST`, and the offset of its field in an entry (`ioprio`).
const POLL_FIRST: u16 = 1;
const FLAGS_AT: usize = 2;

/// Long enough for any event.
const LONG: Duration = Duration::from_secs(30);

thread_local! {
    /// Whether the receives of this thread skip the first check.
    static IS_LATE: Cell<bool> = const { Cell::new(false) };
}

/// A receive as it is, or one that waits without a check.
pub(super) fn perhaps(mut entry: Entry) -> Entry {
    if IS_LATE.get() {
        // SAFETY: an entry is the kernel's own 64 bytes, with an aligned `u16` there.
        unsafe {
            let flags = ptr::from_mut(&mut entry).cast::<u8>().add(FLAGS_AT);
            *flags.cast::<u16>() |= POLL_FIRST;
        }
    }
    entry
}

/// Expects these bytes from a socket whose peer has finished; then EOF, or a reset.
fn check(socket: impl Into<OwnedFd>, expected: &[u8], is_reset: bool) {
    let builder = DriverBuilder::new().backend(BackendKind::IoUring);
    // Without io_uring, no EOF is missed.
    let Ok(driver) = builder.build() else { return };
    let pool = BufferPool::new(&driver, 4, 64).expect("a pool");
    let mut stream = driver.recv_stream(SharedFd::from(socket.into()), &pool, 0);
    IS_LATE.set(true);
    let mut came = Vec::new();
    let end = loop {
        match next(&driver, &mut stream) {
            Some(Ok(buffer)) => came.extend_from_slice(&buffer),
            Some(Err(error)) => break error.raw_os_error(),
            None => break None,
        }
    };
    assert_eq!(came, expected);
    assert_eq!(end, is_reset.then_some(libc::ECONNRESET));
    assert_eq!(pool.handed_out(), 0);
}

fn next(driver: &Driver, stream: &mut RecvStream) -> Option<io::Result<PooledBuffer>> {
    let began = Instant::now();
    loop {
        if let Poll::Ready(next) = stream.poll_next(&mut Context::from_waker(Waker::noop())) {
            return next;
        }
        let left = LONG.saturating_sub(began.elapsed());
        assert!(!left.is_zero(), "the stream must report EOF");
        driver.turn(Some(left)).expect("a turn");
    }
}

#[test]
fn an_end_that_comes_with_bytes_is_seen() {
    // Less than a buffer, a whole one, and more than all of them.
    for len in [1, 64, 1000] {
        let (mut peer, socket) = UnixStream::pair().unwrap();
        let sent = vec![7; len];
        peer.write_all(&sent).unwrap();
        drop(peer);
        check(socket, &sent, false);
    }
}

#[test]
fn an_end_that_comes_with_bytes_of_an_open_peer_is_seen() {
    let (mut peer, socket) = UnixStream::pair().unwrap();
    peer.write_all(b"bytes").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    check(socket, b"bytes", false);
}

#[test]
fn a_reset_that_comes_with_bytes_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    peer.write_all(b"bytes").unwrap();
    let linger = SockRef::from(&peer).set_linger(Some(Duration::ZERO));
    linger.unwrap();
    drop(peer);
    check(socket, b"bytes", true);
}
