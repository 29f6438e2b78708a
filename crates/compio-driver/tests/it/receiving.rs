//! Bytes that the kernel received for a dropped receive.

use std::{
    cell::Cell,
    fs::File,
    future::{Future, poll_fn},
    io::{self, ErrorKind, Read, Write},
    mem::MaybeUninit,
    net::{TcpStream, UdpSocket},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use compio_driver::{
    BufferPool, CancelToken, Driver, PooledBuffer, RecvStream, SharedFd, ancillary::SocketAncillary,
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

use crate::support::{
    Bell, MSG_TRUNC, Stream, begin, check_code, check_kind, code, drain, each_backend, on_wine,
    pipe_in, poll_once, poll_with, run, share, streams, tcp, turn_until,
};

/// A receiving end for the driver, and a sending one for the test.
fn pair() -> (SharedFd, Stream) {
    let (ours, theirs) = streams();
    (share(ours), theirs)
}

fn room(len: usize) -> Vec<u8> {
    Vec::with_capacity(len)
}

/// Sends, and drops a receive that has completed with these bytes.
fn lose<F: Future + Unpin>(driver: &Driver, mut receive: F, send: impl FnOnce()) {
    begin(driver, &mut receive);
    send();
    turn_until(driver, || driver.in_flight() == 0);
}

#[track_caller]
fn check(result: BufResult<usize, Vec<u8>>, expected: &[u8]) {
    assert_eq!(
        (result.0.unwrap(), &result.1[..]),
        (expected.len(), expected)
    );
}

#[test]
fn bytes_of_a_dropped_receive_go_to_the_next_one() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"first").unwrap();
        });
        peer.write_all(b"second").unwrap();
        check(run(&driver, driver.receive(&fd, room(8))), b"first");
        check(run(&driver, driver.receive(&fd, room(8))), b"second");
    }
}

#[test]
fn bytes_that_arrive_after_the_drop_go_to_the_next_one() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        for round in 0..100 {
            let mut receive = driver.receive(&fd, room(8));
            begin(&driver, &mut receive);
            driver.turn(Some(Duration::ZERO)).unwrap();
            // The bytes and the drop come before the next turn.
            peer.write_all(&[round]).unwrap();
            drop(receive);
            check(run(&driver, driver.receive(&fd, room(8))), &[round]);
        }
    }
}

#[test]
fn a_receive_waits_for_a_dropped_pending_one() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        let mut first = driver.receive(&fd, room(8));
        begin(&driver, &mut first);
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(first);
        peer.write_all(b"hello").unwrap();
        let mut second = driver.receive(&fd, room(8));
        let (bell, waker) = Bell::new();
        assert!(poll_with(&mut second, &waker).is_pending());
        assert_eq!(driver.in_flight(), 1, "only the first");
        turn_until(&driver, || bell.rings() > 0);
        check(run(&driver, second), b"hello");
        drain(&driver);
    }
}

#[test]
fn a_token_ends_the_wait_for_a_dropped_receive() {
    for driver in each_backend() {
        let (fd, _peer) = pair();
        let mut first = driver.receive(&fd, room(8));
        begin(&driver, &mut first);
        drop(first);
        let token = CancelToken::new();
        let mut second = driver.receive(&fd, room(77));
        let (bell, waker) = Bell::new();
        let scope = driver.scope(&token);
        assert!(poll_with(&mut second, &waker).is_pending());
        token.cancel();
        assert_eq!(bell.rings(), 1);
        let Poll::Ready((result, buffer)) = poll_with(&mut second, &waker) else {
            panic!("it should be over");
        };
        drop(scope);
        check_code(result, code::CANCELLED);
        assert_eq!(buffer.capacity(), 77);
        drain(&driver);
    }
}

#[test]
fn a_receive_that_waits_for_a_dropped_one_may_be_dropped() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        let mut first = driver.receive(&fd, room(8));
        begin(&driver, &mut first);
        drop(first);
        for _ in 0..50 {
            begin(&driver, &mut driver.receive(&fd, room(8)));
        }
        peer.write_all(b"hello").unwrap();
        check(run(&driver, driver.receive(&fd, room(8))), b"hello");
    }
}

#[test]
fn a_small_buffer_leaves_the_rest_unread() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(16)), || {
            peer.write_all(b"abcdefgh").unwrap();
        });
        peer.write_all(b"ij").unwrap();
        check(run(&driver, driver.receive(&fd, room(3))), b"abc");
        check(run(&driver, driver.receive(&fd, room(0))), b"");
        check(run(&driver, driver.read(&fd, room(2))), b"de");
        let (received, (buffers, _)) =
            run(&driver, driver.receive_vectored(&fd, [room(2), room(9)]));
        assert_eq!(received.unwrap().len, 3);
        assert_eq!(buffers, [b"fg".to_vec(), b"h".to_vec()]);
        check(run(&driver, driver.receive(&fd, room(16))), b"ij");
    }
}

#[test]
fn each_dropped_receive_operation_leaves_its_bytes() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        let mut send = |bytes: &[u8]| peer.write_all(bytes).unwrap();
        lose(&driver, driver.receive(&fd, [0; 8]), || send(b"one"));
        check(run(&driver, driver.receive(&fd, room(8))), b"one");
        let window = b"0123456789".to_vec().slice(2..8);
        lose(&driver, driver.receive(&fd, window), || send(b"two"));
        check(run(&driver, driver.receive(&fd, room(8))), b"two");
        let buffers = (room(2), [0; 3], room(4));
        lose(&driver, driver.receive_vectored(&fd, buffers), || {
            send(b"threes");
        });
        check(run(&driver, driver.receive(&fd, room(8))), b"threes");
        lose(&driver, driver.receive_from(&fd, room(8)), || send(b"four"));
        check(run(&driver, driver.receive(&fd, room(8))), b"four");
        let ancillary = SocketAncillary::with_capacity(64);
        lose(
            &driver,
            driver.receive_ancillary(&fd, [room(8)], ancillary),
            || send(b"five"),
        );
        check(run(&driver, driver.receive(&fd, room(8))), b"five");
    }
}

#[test]
fn a_dropped_read_of_a_pipe_loses_no_byte() {
    for driver in each_backend() {
        let (fd, mut writer) = pipe_in();
        let mut send = |bytes: &[u8]| writer.write_all(bytes).unwrap();
        lose(&driver, driver.read(&fd, room(8)), || send(b"one"));
        check(run(&driver, driver.read(&fd, room(2))), b"on");
        check(run(&driver, driver.read(&fd, room(8))), b"e");
        lose(
            &driver,
            driver.read_vectored(&fd, [room(2), room(9)]),
            || send(b"two"),
        );
        // Not every system fills more than one buffer from a pipe at once.
        let mut got = Vec::new();
        while got.len() < 3 {
            let read = driver.read_vectored(&fd, [room(1), room(9)]);
            let (read, buffers) = run(&driver, read);
            assert_eq!(read.unwrap(), buffers.concat().len());
            got.extend(buffers.concat());
        }
        assert_eq!(got, b"two");
        // Not every system reports EOF twice.
        let mut read = driver.read(&fd, room(8));
        begin(&driver, &mut read);
        drop(writer);
        turn_until(&driver, || driver.in_flight() == 0);
        drop(read);
        let fd = fd.try_unwrap().expect_err("EOF has not been read");
        check(run(&driver, driver.read(&fd, room(8))), b"");
        fd.try_unwrap().expect("EOF has been read");
    }
}

#[test]
fn a_peek_sees_unread_data_and_leaves_it() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(16)), || {
            peer.write_all(b"hello").unwrap();
        });
        for len in [3, 9, 4] {
            let expected = &b"hello"[..len.min(5)];
            check(run(&driver, driver.peek(&fd, room(len))), expected);
        }
        // A peek waits for dropped receives that are pending, as a receive does.
        check(run(&driver, driver.receive(&fd, room(16))), b"hello");
        let mut receive = driver.receive(&fd, room(16));
        begin(&driver, &mut receive);
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(receive);
        peer.write_all(b"again").unwrap();
        check(run(&driver, driver.peek(&fd, room(16))), b"again");
        // A dropped peek has taken nothing, and no receive waits for it.
        check(run(&driver, driver.receive(&fd, room(16))), b"again");
        let mut peek = driver.peek(&fd, room(16));
        begin(&driver, &mut peek);
        peer.write_all(b"third").unwrap();
        drop(peek);
        check(run(&driver, driver.receive(&fd, room(16))), b"third");
        drain(&driver);
        assert!(!is_left(&driver, &fd));
    }
}

/// Whether the descriptor has unread data: then a receive is ready at once.
fn is_left(driver: &Driver, fd: &SharedFd) -> bool {
    drain(driver);
    let mut receive = driver.receive(fd, room(1));
    poll_once(driver, &mut receive).is_ready()
}

fn datagrams() -> (SharedFd, UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (ours, one, other) = (bind(), bind(), bind());
    for peer in [&one, &other] {
        peer.connect(ours.local_addr().unwrap()).unwrap();
    }
    (share(ours), one, other)
}

#[test]
fn unread_datagrams_stay_whole_and_keep_their_senders() {
    for driver in each_backend() {
        let (fd, one, other) = datagrams();
        lose(&driver, driver.receive_from(&fd, room(16)), || {
            one.send(b"from one").unwrap();
        });
        other.send(b"from the other").unwrap();
        let (peeked, buffer) = run(&driver, driver.peek_from(&fd, room(4)));
        let (len, sender) = peeked.unwrap();
        assert_eq!((len, &buffer[..]), (4, &b"from"[..]));
        let sender = sender.unwrap().as_socket().unwrap();
        assert_eq!(sender, one.local_addr().unwrap());

        let (received, (buffers, _)) = run(&driver, driver.receive_vectored(&fd, [room(4)]));
        let received = received.unwrap();
        assert_eq!((received.len, &buffers[0][..]), (4, &b"from"[..]));
        assert_ne!(received.flags & MSG_TRUNC, 0, "it was cut");
        let sender = received.address.unwrap().as_socket().unwrap();
        assert_eq!(sender, one.local_addr().unwrap());

        // The rest of the datagram is lost, as with a plain receive.
        let (received, buffer) = run(&driver, driver.receive_from(&fd, room(16)));
        let (_, sender) = received.unwrap();
        assert_eq!(buffer, b"from the other");
        let sender = sender.unwrap().as_socket().unwrap();
        assert_eq!(sender, other.local_addr().unwrap());
    }
}

#[test]
fn an_empty_unread_datagram_is_returned() {
    for driver in each_backend() {
        let (fd, one, other) = datagrams();
        lose(&driver, driver.receive_from(&fd, room(16)), || {
            one.send(b"").unwrap();
        });
        other.send(b"x").unwrap();
        for expected in [&b""[..], b"x"] {
            let (received, buffer) = run(&driver, driver.receive_from(&fd, room(16)));
            assert_eq!(
                (received.unwrap().0, &buffer[..]),
                (expected.len(), expected)
            );
        }
    }
}

#[test]
fn a_datagram_without_sender_goes_to_receives_without_sender() {
    for driver in each_backend() {
        let (fd, one, other) = datagrams();
        lose(&driver, driver.receive(&fd, room(16)), || {
            one.send(b"unknown").unwrap();
        });
        other.send(b"known").unwrap();
        let (received, buffer) = run(&driver, driver.receive_from(&fd, room(16)));
        assert_eq!(buffer, b"known");
        assert!(received.unwrap().1.is_some());
        check(run(&driver, driver.receive(&fd, room(16))), b"unknown");
    }
}

#[test]
fn an_unread_datagram_of_a_connected_socket_has_a_sender() {
    for driver in each_backend() {
        let (ours, peer) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        ours.connect(peer.local_addr().unwrap()).unwrap();
        peer.connect(ours.local_addr().unwrap()).unwrap();
        let fd = share(ours);
        lose(&driver, driver.receive(&fd, room(16)), || {
            peer.send(b"hello").unwrap();
        });
        let (received, buffer) = run(&driver, driver.receive_from(&fd, room(16)));
        assert_eq!(buffer, b"hello");
        let sender = received.unwrap().1.unwrap().as_socket().unwrap();
        assert_eq!(sender, peer.local_addr().unwrap());
    }
}

#[test]
fn an_error_that_the_os_reports_once_goes_to_the_next_receive() {
    for driver in each_backend() {
        let (ours, theirs) = tcp();
        let fd = share(ours);
        let mut receive = driver.receive(&fd, room(8));
        begin(&driver, &mut receive);
        driver.turn(Some(Duration::ZERO)).unwrap();
        let socket = socket2::SockRef::from(&theirs);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        turn_until(&driver, || driver.in_flight() == 0);
        drop(receive);
        let (received, _) = run(&driver, driver.receive(&fd, room(8)));
        if !on_wine() {
            check_kind(received, ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn eof_is_reported_to_every_receive() {
    for driver in each_backend() {
        let (fd, peer) = pair();
        let mut receive = driver.receive(&fd, room(8));
        begin(&driver, &mut receive);
        drop(peer);
        turn_until(&driver, || driver.in_flight() == 0);
        drop(receive);
        // EOF is not stored: every read reports it.
        let fd = share(fd.try_unwrap().expect("the only owner"));
        check(run(&driver, driver.receive(&fd, room(8))), b"");
    }
}

#[test]
fn a_descriptor_with_unread_data_is_not_unwrapped() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"hello").unwrap();
        });
        let fd = fd.try_unwrap().expect_err("bytes would be lost");
        check(run(&driver, driver.receive(&fd, room(8))), b"hello");
        fd.try_unwrap().expect("no unread data");
    }
}

#[test]
fn a_plain_read_does_not_see_unread_data() {
    for driver in each_backend() {
        let (ours, mut peer) = streams();
        let mut other = ours.try_clone().unwrap();
        let fd = share(ours);
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"left").unwrap();
        });
        peer.write_all(b"more").unwrap();
        let mut bytes = [0; 4];
        other.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"more");
        check(run(&driver, driver.receive(&fd, room(8))), b"left");
    }
}

#[test]
fn unread_data_can_be_discarded() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"left").unwrap();
        });
        fd.forget_leftovers();
        // The same for a dropped receive that is pending and gets bytes later.
        let mut receive = driver.receive(&fd, room(8));
        begin(&driver, &mut receive);
        driver.turn(Some(Duration::ZERO)).unwrap();
        peer.write_all(b"doubt").unwrap();
        drop(receive);
        fd.forget_leftovers();
        drain(&driver);
        peer.write_all(b"new").unwrap();
        let (_, bytes) = run(&driver, driver.receive(&fd, room(16)));
        assert!([&b"new"[..], b"doubtnew"].contains(&&bytes[..]));
        // `forget_leftovers` holds only for the receives before it.
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"left").unwrap();
        });
        check(run(&driver, driver.receive(&fd, room(8))), b"left");
    }
}

#[test]
fn clones_and_other_drivers_share_unread_data() {
    for driver in each_backend() {
        let other = crate::support::driver();
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"hello").unwrap();
        });
        let clone = fd.clone();
        check(run(&other, other.receive(&clone, room(8))), b"hello");
        // No receive waits for dropped receives of a dropped driver.
        let mut receive = driver.receive(&fd, room(8));
        begin(&driver, &mut receive);
        drop(receive);
        drop(driver);
        peer.write_all(b"again").unwrap();
        check(run(&other, other.receive(&clone, room(8))), b"again");
    }
}

#[test]
fn a_driver_that_was_shut_down_refuses() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(8)), || {
            peer.write_all(b"hello").unwrap();
        });
        driver.shut_down();
        let (received, buffer) = run(&driver, driver.receive(&fd, room(8)));
        received.unwrap_err();
        assert_eq!(buffer.capacity(), 8);
        let other = crate::support::driver();
        check(run(&other, other.receive(&fd, room(8))), b"hello");
    }
}

/// A buffer whose destructor runs code.
struct Last<F: FnMut() + 'static> {
    bytes: Vec<u8>,
    code: F,
}

impl<F: FnMut()> Drop for Last<F> {
    fn drop(&mut self) {
        (self.code)();
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl<F: FnMut()> IoBuf for Last<F> {
    fn as_init(&self) -> &[u8] {
        self.bytes.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl<F: FnMut()> IoBufMut for Last<F> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.set_init(len) };
    }
}

#[test]
fn the_destructor_of_the_buffer_may_receive() {
    for driver in each_backend() {
        let driver = Rc::new(driver);
        let (fd, mut peer) = pair();
        let got = Rc::new(Cell::new(None));
        let code = {
            let (driver, fd, got) = (Rc::clone(&driver), fd.clone(), Rc::clone(&got));
            move || {
                let mut receive = driver.receive(&fd, room(8));
                if let Poll::Ready((Ok(_), bytes)) = poll_once(&driver, &mut receive) {
                    got.set(Some(bytes));
                }
            }
        };
        let bytes = room(8);
        lose(&driver, driver.receive(&fd, Last { bytes, code }), || {
            peer.write_all(b"hello").unwrap();
        });
        assert_eq!(got.take().as_deref(), Some(&b"hello"[..]));
    }
}

#[test]
fn the_destructor_of_the_buffer_may_panic() {
    for driver in each_backend() {
        let (fd, mut peer) = pair();
        let buffer = Last {
            bytes: room(8),
            code: || panic!("on purpose"),
        };
        lose(&driver, driver.receive(&fd, buffer), || {
            peer.write_all(b"hello").unwrap();
        });
        check(run(&driver, driver.receive(&fd, room(8))), b"hello");
    }
}

/// A buffer whose code panics at one place.
struct Panicking {
    bytes: Vec<u8>,
    /// In `set_init`, which takes the result; or else in `as_init`, which copies the bytes.
    in_set_init: bool,
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for Panicking {
    fn as_init(&self) -> &[u8] {
        if !self.in_set_init && !self.bytes.is_empty() {
            panic!("on purpose");
        }
        self.bytes.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBufMut for Panicking {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        if self.in_set_init {
            panic!("on purpose");
        }
        // SAFETY: passed on from this function.
        unsafe { self.bytes.set_init(len) };
    }
}

#[test]
fn a_panic_of_an_orphans_buffer_ends_the_wait_of_the_next_receive() {
    for driver in each_backend() {
        for in_set_init in [true, false] {
            for is_pending in [true, false] {
                let (fd, mut peer) = pair();
                let bytes = room(8);
                let buffer = Panicking { bytes, in_set_init };
                let mut orphan = driver.receive(&fd, buffer);
                begin(&driver, &mut orphan);
                driver.turn(Some(Duration::ZERO)).unwrap();
                peer.write_all(b"lost").unwrap();
                if !is_pending {
                    drain(&driver);
                }
                drop(orphan);
                let mut next = driver.receive(&fd, room(8));
                let (bell, waker) = Bell::new();
                let first = poll_with(&mut next, &waker);
                assert!(first.is_pending());
                if is_pending {
                    turn_until(&driver, || bell.rings() > 0);
                }
                drop(next);
                drain(&driver);
                assert!(!run(&driver, driver.settle(&fd)));
                assert!(!fd.is_shared());
            }
        }
    }
}

#[test]
fn the_buffer_of_an_orphan_may_receive_by_another_driver() {
    for driver in each_backend() {
        let other = Rc::new(Driver::new().unwrap());
        let (fd, mut peer) = pair();
        let got = Rc::new(Cell::new(None));
        let code = {
            let (other, fd, got) = (Rc::clone(&other), fd.clone(), Rc::clone(&got));
            move || got.set(Some(run(&other, other.receive(&fd, room(8))).1))
        };
        let bytes = room(8);
        lose(&driver, driver.receive(&fd, Last { bytes, code }), || {
            peer.write_all(b"hello").unwrap();
        });
        assert_eq!(got.take().as_deref(), Some(&b"hello"[..]));
        assert_eq!((driver.in_flight(), other.in_flight()), (0, 0));
    }
}

async fn next(stream: &mut RecvStream) -> Option<io::Result<PooledBuffer>> {
    poll_fn(|cx| stream.poll_next(cx)).await
}

/// Polls the stream once, and expects it to wait.
fn begin_stream(driver: &Driver, stream: &mut RecvStream) {
    let is_pending = poll_fn(|cx| Poll::Ready(stream.poll_next(cx).is_pending()));
    assert!(run(driver, is_pending), "it should wait");
}

#[test]
fn a_dropped_stream_leaves_its_unread_buffers() {
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 8, 4).unwrap();
        let (fd, mut peer) = pair();
        for by_stream in [false, true] {
            let mut stream = driver.recv_stream(fd.clone(), &pool, 0);
            begin_stream(&driver, &mut stream);
            peer.write_all(b"0123456789").unwrap();
            driver.turn(None).unwrap();
            let first = run(&driver, next(&mut stream)).unwrap().unwrap();
            assert_eq!(&first[..], b"0123");
            drop((first, stream));
            let mut rest = Vec::new();
            let mut stream = driver.recv_stream(fd.clone(), &pool, 0);
            while rest.len() < 6 {
                if by_stream {
                    rest.extend_from_slice(&run(&driver, next(&mut stream)).unwrap().unwrap());
                } else {
                    rest.extend(run(&driver, driver.receive(&fd, room(3))).1);
                }
            }
            assert_eq!(rest, b"456789");
            drop(stream);
            drain(&driver);
            assert_eq!(pool.handed_out(), 0);
        }
    }
}

#[test]
fn stream_dropped_before_it_returns_its_bytes_leaves_them() {
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 2, 8).unwrap();
        let (fd, mut peer) = pair();
        let mut stream = driver.recv_stream(fd.clone(), &pool, 0);
        let (bell, waker) = Bell::new();
        let next = stream.poll_next(&mut Context::from_waker(&waker));
        assert!(next.is_pending());
        peer.write_all(b"first").unwrap();
        turn_until(&driver, || bell.rings() > 0);
        drop(stream);
        peer.write_all(b"second").unwrap();
        check(run(&driver, driver.receive(&fd, room(5))), b"first");
        check(run(&driver, driver.receive(&fd, room(8))), b"second");
        drain(&driver);
        assert_eq!(pool.handed_out(), 0, "{:?}", driver.backend());
    }
}

#[test]
fn a_stream_begins_with_unread_data() {
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 2, 4).unwrap();
        let (fd, mut peer) = pair();
        lose(&driver, driver.receive(&fd, room(16)), || {
            peer.write_all(b"0123456789").unwrap();
        });
        peer.write_all(b"abcd").unwrap();
        drop(peer);
        let mut stream = driver.recv_stream(fd, &pool, 0);
        let mut pieces = Vec::new();
        while let Some(piece) = run(&driver, next(&mut stream)) {
            let mut piece = piece.unwrap();
            assert_eq!(piece.buf_capacity(), 4);
            pieces.push(piece.to_vec());
            // The pooled buffer behaves like any other.
            assert_eq!(piece.init_from(b"zzzzzz"), 4);
        }
        assert_eq!(pieces.concat(), b"0123456789abcd");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    Begin(Way, usize),
    Poll(usize),
    Drop(usize),
    Turn,
    Finish,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Receive,
    Vectored,
    Read,
    Peek,
    Stream,
}

fn step() -> impl Strategy<Value = Step> {
    let way = prop_oneof![
        4 => prop::sample::select(vec![Way::Receive, Way::Vectored, Way::Read, Way::Peek]),
        1 => prop::strategy::Just(Way::Stream),
    ];
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Step::Send),
        6 => (way, 0..24_usize).prop_map(|(way, len)| Step::Begin(way, len)),
        3 => (0..4_usize).prop_map(Step::Poll),
        6 => (0..4_usize).prop_map(Step::Drop),
        4 => prop::strategy::Just(Step::Turn),
        2 => prop::strategy::Just(Step::Finish),
    ]
}

/// The bytes of one receive: consumed, or only peeked.
enum Got {
    Taken(Vec<u8>),
    Seen(Vec<u8>),
}

type Receiving<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<Got>> + 'a>>;

fn receiving<'a>(
    driver: &'a Driver,
    fd: &'a SharedFd,
    pool: &'a BufferPool,
    way: Way,
    len: usize,
) -> Receiving<'a> {
    Box::pin(async move {
        let taken = match way {
            Way::Receive => driver.receive(fd, room(len)).await,
            Way::Read => driver.read(fd, room(len)).await,
            Way::Vectored => {
                let buffers = [room(len / 2), room(len - len / 2)];
                let (received, (buffers, _)) = driver.receive_vectored(fd, buffers).await;
                (received.map(|received| received.len), buffers.concat())
            }
            Way::Peek => {
                let (seen, buffer) = driver.peek(fd, room(len)).await;
                return seen.map(|_| Got::Seen(buffer));
            }
            Way::Stream => {
                let mut stream = driver.recv_stream(fd.clone(), pool, 0);
                let bytes = next(&mut stream).await.expect("it does not end")?;
                return Ok(Got::Taken(bytes.to_vec()));
            }
        };
        taken.0.map(|_| Got::Taken(taken.1))
    })
}

/// Drops receives of a known byte stream at random, one receive at a time. Each byte arrives once,
/// and in order.
fn play(
    driver: &Driver,
    fd: &SharedFd,
    mut send: impl FnMut(&[u8]),
    sockets: bool,
    steps: &[Step],
) {
    let pool = BufferPool::new(driver, 4, 8).unwrap();
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    let mut current: Option<Receiving<'_>> = None;
    let check = |sent: &[u8], got: &mut Vec<u8>, one: io::Result<Got>| {
        let seen = match one.expect("no error") {
            Got::Taken(bytes) => {
                got.extend(&bytes);
                assert!(sent.starts_with(got), "{got:?} of {sent:?}");
                return;
            }
            Got::Seen(bytes) => bytes,
        };
        assert!(sent[got.len()..].starts_with(&seen));
    };
    for step in steps {
        match step {
            Step::Send(bytes) => {
                sent.extend(bytes);
                send(bytes);
            }
            Step::Begin(way, len) => {
                let way = if sockets { *way } else { Way::Read };
                current = Some(receiving(driver, fd, &pool, way, *len));
            }
            Step::Poll(_) | Step::Drop(_) if current.is_none() => {}
            Step::Poll(times) => {
                for _ in 0..*times {
                    let Some(receive) = &mut current else { break };
                    if let Poll::Ready(one) = poll_once(driver, receive) {
                        check(&sent, &mut got, one);
                        current = None;
                    }
                }
            }
            Step::Drop(turns) => {
                for _ in 0..*turns {
                    driver.turn(Some(Duration::ZERO)).unwrap();
                }
                current = None;
            }
            Step::Turn => driver.turn(Some(Duration::ZERO)).unwrap(),
            Step::Finish => {
                if let Some(receive) = current.take()
                    && got.len() < sent.len()
                {
                    let one = run(driver, receive);
                    check(&sent, &mut got, one);
                }
            }
        }
    }
    drop(current);
    while got.len() < sent.len() {
        let way = if sockets { Way::Receive } else { Way::Read };
        let one = run(driver, receiving(driver, fd, &pool, way, 64));
        check(&sent, &mut got, one);
    }
    assert!(got == sent);
    drain(driver);
    assert_eq!(pool.handed_out(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn random_drops_lose_and_reorder_nothing(steps in prop::collection::vec(step(), 1..80)) {
        for driver in each_backend() {
            let (ours, mut theirs): (TcpStream, TcpStream) = tcp();
            theirs.set_nodelay(true).unwrap();
            play(&driver, &share(ours), |bytes| theirs.write_all(bytes).unwrap(), true, &steps);
            let (fd, mut peer) = pair();
            play(&driver, &fd, |bytes| peer.write_all(bytes).unwrap(), true, &steps);
            let (fd, mut writer): (SharedFd, File) = pipe_in();
            play(&driver, &fd, |bytes| writer.write_all(bytes).unwrap(), false, &steps);
        }
    }
}
