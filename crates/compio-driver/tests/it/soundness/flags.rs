//! 36: flags of sends and receives that are not on the list of the platform are refused.

use std::{
    io::{self, Write},
    net::{Shutdown, UdpSocket},
    time::Duration,
};

use compio_driver::{
    BufferPool,
    ancillary::SocketAncillary,
    op::{Recv, RecvAncillary, RecvFrom, RecvMsg, Send, SendMsg, SendTo},
};

use crate::{
    streams::{collect, expect_wait, receive},
    support::{MSG_PEEK, MSG_TRUNC, each_backend, run, share, streams, tcp},
};

/// The bit of `MSG_CMSG_COMPAT` on Linux, and bits that no system defines or accepts from a
/// program.
const REFUSED: [i32; 4] = [i32::MIN, -1, 1 << 22, 1 << 27];

#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

fn datagrams() -> (UdpSocket, UdpSocket) {
    let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, other) = (udp(), udp());
    one.connect(other.local_addr().unwrap()).unwrap();
    (one, other)
}

#[test]
fn s36_receive_with_unknown_flag_is_refused_and_takes_nothing() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        one.send(b"payload").unwrap();
        let other = share(other);
        let room = || Vec::with_capacity(20);
        for flags in REFUSED.into_iter().flat_map(|flag| [flag, flag | MSG_PEEK]) {
            let recv = Recv::new(other.clone(), room(), flags);
            let (received, buffer) = run(&driver, driver.submit(recv));
            check_refused(received);
            assert_eq!(buffer.capacity(), 20);
            let recv = RecvFrom::new(other.clone(), room(), flags);
            check_refused(run(&driver, driver.submit(recv)).0);
            let recv = RecvMsg::new(other.clone(), [room()], room(), flags);
            check_refused(run(&driver, driver.submit(recv)).0);
            let ancillary = SocketAncillary::with_capacity(64);
            let recv = RecvAncillary::new(other.clone(), [room()], ancillary, flags);
            let (received, (_, ancillary)) = run(&driver, driver.submit(recv));
            check_refused(received);
            assert_eq!(ancillary.messages().count(), 0);
        }
        let recv = Recv::new(other, room(), 0);
        assert_eq!(run(&driver, driver.submit(recv)).1, b"payload");
    }
}

#[test]
fn s36_send_with_unknown_flag_is_refused_and_sends_nothing() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        let address = other.local_addr().unwrap();
        let one = share(one);
        // Linux's `MSG_ZEROCOPY` uses the buffer for longer than the operation.
        for flags in REFUSED.into_iter().chain([0x400_0000]) {
            let send = Send::new(one.clone(), "lost", flags);
            check_refused(run(&driver, driver.submit(send)).0);
            let send = SendTo::new(one.clone(), "lost", address.into(), flags);
            check_refused(run(&driver, driver.submit(send)).0);
            let send = SendMsg::new(one.clone(), ["lost"], [], None, flags);
            check_refused(run(&driver, driver.submit(send)).0);
            let mut send = driver.send_zero_copy(one.clone(), "lost", flags);
            check_refused(run(&driver, &mut send).0);
            let send = driver.send_to_zero_copy(one.clone(), "lost", address.into(), flags);
            check_refused(run(&driver, send).0);
            let send = driver.send_msg_zero_copy(one.clone(), ["lost"], None, flags);
            check_refused(run(&driver, send).0);
        }
        let send = Send::new(one, "payload", 0);
        run(&driver, driver.submit(send)).0.unwrap();
        let mut buffer = [0; 20];
        let len = other.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..len], *b"payload");
    }
}

#[test]
fn s36_receive_stream_with_unknown_flag_is_refused() {
    for driver in each_backend() {
        let (one, other) = streams();
        let (one, other) = (share(one), share(other));
        run(&driver, driver.submit(Send::new(one, "payload", 0)))
            .0
            .unwrap();
        let pool = BufferPool::new(&driver, 4, 64).unwrap();
        let mut stream = driver.recv_stream(other.clone(), &pool, i32::MIN);
        let next = run(&driver, std::future::poll_fn(|cx| stream.poll_next(cx)));
        check_refused(next.unwrap());
        drop(stream);
        let recv = Recv::new(other, Vec::with_capacity(20), 0);
        assert_eq!(run(&driver, driver.submit(recv)).1, b"payload");
    }
}

/// `MSG_TRUNC` is accepted and has no effect on the length.
#[test]
fn s36_known_flags_are_accepted() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        one.send(b"payload").unwrap();
        let other = share(other);
        for flags in [MSG_PEEK, MSG_PEEK | MSG_TRUNC, 0] {
            let recv = Recv::new(other.clone(), Vec::with_capacity(20), flags);
            let (received, buffer) = run(&driver, driver.submit(recv));
            assert_eq!(received.unwrap(), 7);
            assert_eq!(buffer, b"payload");
        }
    }
}

/// A stream that peeked would return the same bytes again and again, and its drop would keep them twice.
#[test]
fn s36_peek_flag_of_receive_stream_has_no_effect() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let fd = share(socket);
        let pool = BufferPool::new(&driver, 4, 64).unwrap();
        let mut stream = driver.recv_stream(fd.clone(), &pool, MSG_PEEK);
        expect_wait(&driver, &mut stream);
        driver.turn(Some(Duration::ZERO)).unwrap();
        peer.write_all(b"ab").unwrap();
        let mut bytes = run(&driver, receive(&mut stream))
            .unwrap()
            .unwrap()
            .to_vec();
        peer.write_all(b"cd").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        drop(stream);
        let mut rest = driver.recv_stream(fd, &pool, 0);
        bytes.extend(run(&driver, collect(&mut rest)));
        assert_eq!(bytes, b"abcd", "{:?}", driver.backend());
    }
}
