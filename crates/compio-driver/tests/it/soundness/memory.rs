//! 6 to 8 and 14: memory that the kernel may still use after its future is gone.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    rc::Rc,
    sync::mpsc,
    time::Duration,
};

use compio_driver::{
    Driver, SharedFd, SockAddr, Submit,
    op::{Blocking, Connect, Recv, RecvFrom, RecvMsg, Send, SendMsg, SendTo},
};

use crate::support::{
    LONG, begin, drain, each_backend, pipe, run, share, start, streams, tiny_driver, unblocked,
    waiting_read,
};

#[test]
fn s06_a_dropped_reads_buffer_stays_until_its_completion() {
    for driver in each_backend() {
        let (reader, _writer) = pipe();
        let deaths = Rc::default();
        let read = waiting_read(&driver, &reader, &deaths);
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(read);
        assert_eq!((driver.in_flight(), deaths.get()), (1, 0));
        drain(&driver);
        assert_eq!(deaths.get(), 1);
    }
}

#[test]
fn s06_a_completed_read_is_freed_by_its_drop() {
    for driver in each_backend() {
        let (reader, writer) = pipe();
        let deaths = Rc::default();
        let read = waiting_read(&driver, &reader, &deaths);
        drop(writer);
        drain(&driver);
        assert_eq!(deaths.get(), 0);
        drop(read);
        assert_eq!(deaths.get(), 1);
    }
}

/// The length of the dropped buffers, and of the buffers that reuse their memory.
const LEN: usize = 4096;

/// Allocates the size that has just been freed, to get the same memory.
fn canaries() -> Vec<Vec<u8>> {
    (0..8).map(|_| vec![0x55; LEN]).collect()
}

#[track_caller]
fn check_alive(canaries: &[Vec<u8>]) {
    assert!(canaries.iter().flatten().all(|byte| *byte == 0x55));
}

/// The memory of dropped buffers is reused at once: the kernel must not write there when the bytes
/// arrive.
#[test]
fn s06_memory_that_was_freed_is_never_written_to() {
    for driver in each_backend() {
        for round in 0..60 {
            let (one, mut other) = streams();
            let one = share(one);
            let mut recv = driver.submit(Recv::new(one, Vec::with_capacity(LEN), 0));
            begin(&driver, &mut recv);
            if round % 3 > 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            if round % 3 > 1 {
                // The completion is there, or in flight.
                other.write_all(&[0xaa; LEN]).unwrap();
            }
            drop(recv);
            let canaries = canaries();
            let _ = other.write_all(&[0xaa; LEN]);
            drain(&driver);
            check_alive(&canaries);
        }
    }
}

#[test]
fn s06_memory_of_several_buffers_is_never_written_to_either() {
    for driver in each_backend() {
        for _ in 0..30 {
            let (one, mut other) = streams();
            // More buffers than an operation stores inline.
            let room: [Vec<u8>; 8] = std::array::from_fn(|_| Vec::with_capacity(LEN));
            let mut recv = driver.submit(RecvMsg::new(share(one), room, [0; 0], 0));
            begin(&driver, &mut recv);
            driver.turn(Some(Duration::ZERO)).unwrap();
            drop(recv);
            let canaries = canaries();
            let _ = other.write_all(&[0xaa; LEN]);
            drain(&driver);
            check_alive(&canaries);
        }
    }
}

/// The leak is intended. Dropping the driver must not hang nor free anything.
#[test]
fn s07_a_forgotten_future_is_leaked_and_nothing_else() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, _writer) = pipe();
            let deaths = Rc::default();
            let forgotten = waiting_read(&driver, &reader, &deaths);
            driver.turn(Some(Duration::ZERO)).unwrap();
            std::mem::forget(forgotten);
            drop(driver);
            assert_eq!(deaths.get(), 0);
        }
    });
}

/// No other code writes to the forgotten buffer, and its completion disturbs no other operation.
#[test]
fn s07_bytes_for_a_forgotten_future_harm_no_operation() {
    for driver in each_backend() {
        let (one, mut other) = streams();
        let mut forgotten = driver.submit(Recv::new(share(one), Vec::with_capacity(LEN), 0));
        begin(&driver, &mut forgotten);
        driver.turn(Some(Duration::ZERO)).unwrap();
        std::mem::forget(forgotten);
        let canaries = canaries();
        other.write_all(&[0xaa; LEN]).unwrap();
        drain(&driver);
        check_alive(&canaries);
        // Other operations begin and end.
        let (near, mut far) = streams();
        let near = share(near);
        for _ in 0..100 {
            let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
            begin(&driver, &mut recv);
            far.write_all(b"x").unwrap();
            assert_eq!(run(&driver, recv).1, b"x");
        }
    }
}

/// A drop never blocks: here the operation cannot end before its future is gone.
#[test]
fn s08_dropping_blocking_work_under_way_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let (started, has_started) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let mut slow = driver.submit(Blocking::new(move || {
                started.send(()).unwrap();
                released.recv().unwrap();
            }));
            begin(&driver, &mut slow);
            has_started.recv_timeout(LONG).unwrap();
            drop(slow);
            assert_eq!(driver.in_flight(), 1);
            release.send(()).unwrap();
            drain(&driver);
        }
    });
}

/// A drop submits the queue only if it is full, and never waits for a completion.
#[test]
fn s08_dropping_more_than_the_queue_holds_does_not_block() {
    unblocked(|| {
        let driver = tiny_driver();
        let (reader, _writer) = pipe();
        let deaths = Rc::default();
        let reads: Vec<_> = (0..200)
            .map(|_| waiting_read(&driver, &reader, &deaths))
            .collect();
        drop(reads);
        // The drops did not wait: the driver has seen no completion.
        assert_eq!((driver.in_flight(), deaths.get()), (200, 0));
        drain(&driver);
        assert_eq!(deaths.get(), 200);
    });
}

/// A datagram socket and its address.
fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn recv_from(driver: &Driver, fd: &SharedFd) -> Submit<RecvFrom<Vec<u8>>> {
    let mut recv = driver.submit(RecvFrom::new(fd.clone(), Vec::with_capacity(64), 0));
    begin(driver, &mut recv);
    recv
}

/// Headers and addresses live as long as the buffer.
#[test]
fn s14_dropped_messages_keep_their_headers() {
    for driver in each_backend() {
        for round in 0..40 {
            let (socket, address) = socket();
            let fd = share(socket);
            let from = recv_from(&driver, &fd);
            let room = [Vec::with_capacity(8), Vec::with_capacity(8)];
            let mut message = driver.submit(RecvMsg::new(fd, room, Vec::with_capacity(64), 0));
            begin(&driver, &mut message);
            if round % 2 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            drop((from, message));
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"one", address).unwrap();
            sender.send_to(b"two", address).unwrap();
            drain(&driver);
        }
    }
}

/// The data of a dropped receive is not written into the next one's header, address or buffer.
#[test]
fn s14_the_next_message_has_a_header_of_its_own() {
    for driver in each_backend() {
        for round in 0..40 {
            let ((dropped, dropped_at), (kept, kept_at)) = (socket(), socket());
            let (dropped, kept) = (share(dropped), share(kept));
            let receive = recv_from(&driver, &dropped);
            if round % 2 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            drop(receive);
            let receive = recv_from(&driver, &kept);
            let ((stranger, _), (friend, friend_at)) = (socket(), socket());
            stranger.send_to(b"for nobody", dropped_at).unwrap();
            friend.send_to(b"friend", kept_at).unwrap();
            let (received, buffer) = run(&driver, receive);
            let (len, sender) = received.unwrap();
            assert_eq!((len, &buffer[..]), (6, &b"friend"[..]));
            assert_eq!(sender.unwrap().as_socket(), Some(friend_at));
            drain(&driver);
        }
    }
}

/// A send that is dropped before the kernel reads it goes to its own address, whole, or is not
/// sent.
#[test]
fn s14_dropped_sends_keep_their_addresses() {
    for driver in each_backend() {
        let (sender, _) = socket();
        let fd = share(sender);
        let receivers = [(); 3].map(|()| socket());
        let address = |index: usize| SockAddr::from(receivers[index].1);
        for _ in 0..40 {
            let mut to = driver.submit(SendTo::new(fd.clone(), b"to".to_vec(), address(0), 0));
            let parts = [b"mes".to_vec(), b"sage".to_vec()];
            let mut message =
                driver.submit(SendMsg::new(fd.clone(), parts, [], Some(address(1)), 0));
            drop((start(&driver, &mut to), start(&driver, &mut message)));
            drop((to, message));
            // The next sends could get the same cells.
            let last = driver.submit(SendTo::new(fd.clone(), b"last".to_vec(), address(2), 0));
            assert_eq!(run(&driver, last).0.unwrap(), 4);
            drain(&driver);
        }
        for ((receiver, _), expected) in receivers.iter().zip(["to", "message", "last"]) {
            receiver.set_nonblocking(true).unwrap();
            let mut room = [0; 64];
            while let Ok(len) = receiver.recv(&mut room) {
                assert_eq!(&room[..len], expected.as_bytes());
            }
        }
    }
}

#[test]
fn s14_a_dropped_connect_keeps_its_address() {
    for driver in each_backend() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [dropped_at, kept_at] = [0, 1].map(|index| {
            let address: &TcpListener = &listeners[index];
            SockAddr::from(address.local_addr().unwrap())
        });
        let socket = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            share(socket.unwrap())
        };
        for round in 0..20 {
            let mut connect = driver.submit(Connect::new(socket(), dropped_at.clone()));
            begin(&driver, &mut connect);
            drop(connect);
            // The next connect could get the same cell.
            let kept = socket();
            run(
                &driver,
                driver.submit(Connect::new(kept.clone(), kept_at.clone())),
            )
            .unwrap();
            let (mut accepted, _) = listeners[1].accept().unwrap();
            let sent = run(&driver, driver.submit(Send::new(kept, [round], 0))).0;
            assert_eq!(sent.unwrap(), 1);
            let mut name = [0];
            accepted.read_exact(&mut name).unwrap();
            assert_eq!(name, [round]);
            drain(&driver);
        }
        // No other client has connected.
        listeners[1].set_nonblocking(true).unwrap();
        listeners[1].accept().unwrap_err();
    }
}
