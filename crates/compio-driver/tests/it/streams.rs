//! Accept and receive streams, and zero-copy sends.

use std::{
    cell::Cell,
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
    thread,
    time::Duration,
};

use compio_driver::{
    AcceptStream, BufferPool, CancelToken, Driver, OwnedFd, PooledBuffer, RecvStream,
    op::{Nop, Recv},
};

use crate::support::{
    Bell, LONG, code, drain, each_backend, is_skipped_on_wine, pattern, poll_with, run, share, tcp,
    turn_until,
};

pub(crate) async fn accept(stream: &mut AcceptStream) -> std::io::Result<OwnedFd> {
    poll_fn(|cx| stream.poll_next(cx)).await
}

pub(crate) async fn receive(stream: &mut RecvStream) -> Option<std::io::Result<PooledBuffer>> {
    poll_fn(|cx| stream.poll_next(cx)).await
}

/// Polls the stream once, and expects it to wait.
pub(crate) fn expect_wait(driver: &Driver, stream: &mut RecvStream) {
    let first = run(
        driver,
        poll_fn(|cx| Poll::Ready(stream.poll_next(cx).is_pending())),
    );
    assert!(first, "it should wait");
}

/// Receives all bytes up to EOF.
pub(crate) async fn collect(stream: &mut RecvStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(buffer) = receive(stream).await {
        bytes.extend_from_slice(&buffer.expect("bytes"));
    }
    bytes
}

#[test]
fn connections_come_one_after_the_other() {
    for driver in each_backend() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = driver.accept_stream(share(listener));
        // Connections arrive before the first poll, while the stream waits, and several at once.
        for round in 0..3_u8 {
            let mut clients: Vec<_> = (0..5_u8)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            for (index, client) in clients.iter_mut().enumerate() {
                client.write_all(&[round, index as u8]).unwrap();
            }
            for index in 0..5 {
                let mut server = TcpStream::from(run(&driver, accept(&mut stream)).unwrap());
                let mut bytes = [0; 2];
                server.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes, [round, index], "{:?}", driver.backend());
            }
        }
    }
}

#[test]
fn bytes_come_in_order_up_to_the_end() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 4, 1000).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        let sent = pattern(300_000);
        let expected = sent.clone();
        let writer = thread::spawn(move || {
            for (index, chunk) in sent.chunks(7001).enumerate() {
                peer.write_all(chunk).unwrap();
                if index % 5 == 0 {
                    thread::yield_now();
                }
            }
        });
        let got = run(&driver, collect(&mut stream));
        writer.join().unwrap();
        assert_eq!(got.len(), expected.len(), "{:?}", driver.backend());
        assert!(got == expected, "{:?}", driver.backend());
        assert!(
            run(&driver, receive(&mut stream)).is_none(),
            "EOF is permanent"
        );
        assert_eq!(pool.handed_out(), 0);
    }
}

#[test]
fn a_waiting_stream_holds_no_buffer() {
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 1, 64).unwrap();
        let (mut peers, mut streams): (Vec<_>, Vec<_>) = (0..50)
            .map(|_| {
                let (peer, socket) = tcp();
                (peer, driver.recv_stream(share(socket), &pool, 0))
            })
            .unzip();
        for stream in &mut streams {
            expect_wait(&driver, stream);
        }
        for (index, (peer, stream)) in peers.iter_mut().zip(&mut streams).enumerate().rev() {
            peer.write_all(&[index as u8; 3]).unwrap();
            let buffer = run(&driver, receive(stream)).unwrap().unwrap();
            assert_eq!(&*buffer, [index as u8; 3], "{:?}", driver.backend());
        }
    }
}

#[test]
fn a_cancel_loses_no_byte() {
    for driver in each_backend() {
        for wait_first in [false, true] {
            let (mut peer, socket) = tcp();
            let socket = share(socket);
            let pool = BufferPool::new(&driver, 4, 16).unwrap();
            let mut stream = driver.recv_stream(socket.clone(), &pool, 0);
            if wait_first {
                expect_wait(&driver, &mut stream);
            }
            let sent = pattern(40);
            peer.write_all(&sent).unwrap();
            let mut got = run(&driver, receive(&mut stream))
                .unwrap()
                .unwrap()
                .to_vec();
            stream.cancel();
            got.extend(run(&driver, collect(&mut stream)));
            while got.len() < sent.len() {
                let buffer = Vec::with_capacity(100);
                let (read, buffer) =
                    run(&driver, driver.submit(Recv::new(socket.clone(), buffer, 0)));
                assert_ne!(read.unwrap(), 0);
                got.extend(buffer);
            }
            assert!(got == sent, "{:?}", driver.backend());
        }
    }
}

/// A receive that has begun after a readiness event may wait again, without an event of its own.
#[test]
fn cancelled_stream_whose_bytes_another_reader_took_ends() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let mut other = socket.try_clone().unwrap();
        other.set_nonblocking(true).unwrap();
        let pool = BufferPool::new(&driver, 1, 16).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        let (bell, waker) = Bell::new();
        let mut context = Context::from_waker(&waker);
        assert!(stream.poll_next(&mut context).is_pending());
        peer.write_all(b"x").unwrap();
        turn_until(&driver, || bell.rings() > 0);
        // The stream of some backends has the byte already.
        let is_taken = other.read(&mut [0; 1]).is_ok();
        let next = stream.poll_next(&mut context);
        assert_eq!(next.is_pending(), is_taken, "{:?}", driver.backend());
        stream.cancel();
        assert!(run(&driver, receive(&mut stream)).is_none());
    }
}

#[test]
fn a_cancelled_stream_that_waits_ends() {
    for driver in each_backend() {
        let (_peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 1, 16).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        expect_wait(&driver, &mut stream);
        stream.cancel();
        assert!(run(&driver, receive(&mut stream)).is_none());
        let (_peer, socket) = tcp();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        stream.cancel();
        assert!(
            run(&driver, receive(&mut stream)).is_none(),
            "before it began"
        );
    }
}

#[test]
fn a_reset_is_an_error() {
    if is_skipped_on_wine("a receive of no bytes takes the error of a reset away") {
        return;
    }
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 1, 16).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        expect_wait(&driver, &mut stream);
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let error = run(&driver, receive(&mut stream)).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_received_buffer_can_be_sent() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let socket = share(socket);
        let pool = BufferPool::new(&driver, 2, 16).unwrap();
        let mut stream = driver.recv_stream(socket.clone(), &pool, 0);
        peer.write_all(b"ping").unwrap();
        let buffer = run(&driver, receive(&mut stream)).unwrap().unwrap();
        let send = compio_driver::op::Send::new(socket, buffer, 0);
        let (sent, buffer) = run(&driver, driver.submit(send));
        assert_eq!((sent.unwrap(), &*buffer), (4, &b"ping"[..]));
        let mut echo = [0; 4];
        peer.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"ping");
    }
}

#[test]
#[should_panic(expected = "belongs to another driver")]
fn a_pool_serves_its_own_driver_only() {
    let (one, other) = (Driver::new().unwrap(), Driver::new().unwrap());
    let pool = BufferPool::new(&one, 1, 16).unwrap();
    let (_peer, socket) = tcp();
    let _ = other.recv_stream(share(socket), &pool, 0);
}

#[test]
fn impossible_pools_are_refused() {
    let driver = Driver::new().unwrap();
    for (count, size) in [(0, 10), (10, 0), (u16::MAX, 10)] {
        let error = BufferPool::new(&driver, count, size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(BufferPool::new(&driver, 3, 10).unwrap().count(), 4);
}

#[test]
fn a_driver_that_has_been_shut_down_refuses() {
    for driver in each_backend() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connections = driver.accept_stream(share(listener));
        let (_peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 1, 16).unwrap();
        let mut bytes = driver.recv_stream(share(socket), &pool, 0);
        driver.shut_down();
        run(&driver, async {
            assert!(accept(&mut connections).await.is_err());
            assert!(receive(&mut bytes).await.unwrap().is_err());
        });
    }
}

/// A pool whose only buffer is lent, and that buffer.
fn exhausted(driver: &Driver) -> (BufferPool, PooledBuffer) {
    let (mut peer, socket) = tcp();
    let pool = BufferPool::new(driver, 1, 16).unwrap();
    let mut stream = driver.recv_stream(share(socket), &pool, 0);
    peer.write_all(b"x").unwrap();
    let buffer = run(driver, receive(&mut stream)).unwrap().unwrap();
    (pool, buffer)
}

#[test]
fn a_wait_for_a_buffer_can_be_cancelled() {
    for driver in each_backend() {
        let (pool, buffer) = exhausted(&driver);
        let (_peer, socket) = tcp();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        let token = CancelToken::new();
        let (bell, waker) = Bell::new();
        let mut next = Box::pin(receive(&mut stream));
        let scope = driver.scope(&token);
        // The kernel may first have to find the pool empty.
        for _ in 0..3 {
            assert!(poll_with(&mut next, &waker).is_pending());
            drop(driver.turn(Some(Duration::ZERO)));
        }
        token.cancel();
        assert_ne!(bell.rings(), 0);
        let Poll::Ready(Some(Err(error))) = poll_with(&mut next, &waker) else {
            panic!("it should be refused");
        };
        assert_eq!(error.raw_os_error(), Some(code::CANCELLED));
        drop(scope);
        drop(next);
        driver.shut_down();
        assert!(run(&driver, receive(&mut stream)).unwrap().is_err());
        drop(buffer);
    }
}

#[test]
fn a_dropped_wait_for_a_buffer_leaves_no_waker() {
    for driver in each_backend() {
        let (pool, buffer) = exhausted(&driver);
        let (bell, waker) = Bell::new();
        for _ in 0..100 {
            let (_peer, socket) = tcp();
            let mut stream = driver.recv_stream(share(socket), &pool, 0);
            assert!(poll_with(&mut Box::pin(receive(&mut stream)), &waker).is_pending());
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&bell), 1);
        drop(buffer);
        assert_eq!(bell.rings(), 0);
    }
}

#[test]
fn a_stream_without_polls_leaves_buffers_to_others() {
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 256, 64).unwrap();
        let (mut peer, socket) = tcp();
        let mut greedy = driver.recv_stream(share(socket), &pool, 0);
        expect_wait(&driver, &mut greedy);
        let sent = pattern(64 * 1000);
        for chunk in sent.chunks(64 * 50) {
            peer.write_all(chunk).unwrap();
            run(&driver, driver.submit(Nop::new())).unwrap();
        }
        let (mut other_peer, socket) = tcp();
        let mut modest = driver.recv_stream(share(socket), &pool, 0);
        other_peer.write_all(b"mine").unwrap();
        let got = run(&driver, receive(&mut modest)).unwrap().unwrap();
        assert_eq!(&*got, b"mine", "{:?}", driver.backend());
        drop(peer);
        assert!(run(&driver, collect(&mut greedy)) == sent);
    }
}

/// The number of requests still in flight when the pool's first bytes have arrived.
fn left_behind(driver: &Driver, pool: &BufferPool) -> usize {
    let (mut peer, socket) = tcp();
    let mut stream = driver.recv_stream(share(socket), pool, 0);
    peer.write_all(b"x").unwrap();
    assert_eq!(&*run(driver, receive(&mut stream)).unwrap().unwrap(), b"x");
    let left = driver.in_flight();
    drop(stream);
    drain(driver);
    left
}

#[test]
fn more_pools_come_and_go_than_there_are_names() {
    for driver in each_backend() {
        let first = BufferPool::new(&driver, 1, 16).unwrap();
        let expected = left_behind(&driver, &first);
        for _ in 0..(1 << 16) - 2 {
            BufferPool::new(&driver, 1, 16).unwrap();
        }
        let last = [(); 3].map(|()| BufferPool::new(&driver, 1, 16).unwrap());
        for pool in &last {
            assert_eq!(left_behind(&driver, pool), expected);
        }
        assert_eq!(left_behind(&driver, &first), expected);
    }
}

thread_local! {
    static RETURNS: Cell<Option<PooledBuffer>> = const { Cell::new(None) };
}

/// A waker whose clone returns the buffer in `RETURNS`.
fn returning() -> Waker {
    unsafe fn clone(data: *const ()) -> RawWaker {
        drop(RETURNS.take());
        RawWaker::new(data, &VTABLE)
    }
    unsafe fn nothing(_: *const ()) {}
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, nothing);
    // SAFETY: there is no data.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

#[test]
fn a_buffer_that_comes_back_while_the_waker_is_cloned_is_seen() {
    for driver in each_backend() {
        let (pool, buffer) = exhausted(&driver);
        let (mut peer, socket) = tcp();
        peer.write_all(b"there").unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        RETURNS.set(Some(buffer));
        let waker = returning();
        // No code wakes a task here: a stream that waits for a buffer would wait without end.
        for _ in 0..10 {
            let mut context = Context::from_waker(&waker);
            if let Poll::Ready(got) = stream.poll_next(&mut context) {
                assert_eq!(&*got.unwrap().unwrap(), b"there");
                break;
            }
            assert_ne!(driver.in_flight(), 0, "{:?}", driver.backend());
            driver.turn(Some(LONG)).unwrap();
        }
        assert_eq!(pool.handed_out(), 0);
    }
}
