//! 33: a message with more buffers than the kernel takes is refused, and not truncated.

use std::net::UdpSocket;

use compio_driver::{
    Driver, SharedFd,
    ancillary::SocketAncillary,
    op::{ReadVectoredAt, RecvAncillary, RecvMsg, SendMsg, WriteVectoredAt},
};

use crate::support::{check_code, each_backend, run, share, start, streams, tcp};

/// More than Linux and macOS take in one call (`UIO_MAXIOV`).
const MANY: usize = 1025;

fn bytes(count: usize) -> Vec<[u8; 1]> {
    (0..count).map(|number| [number as u8]).collect()
}

fn rooms(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| Vec::with_capacity(1)).collect()
}

/// Two connected datagram sockets.
fn datagrams() -> (UdpSocket, UdpSocket) {
    let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, other) = (udp(), udp());
    one.connect(other.local_addr().unwrap()).unwrap();
    other.connect(one.local_addr().unwrap()).unwrap();
    (one, other)
}

fn send(driver: &Driver, fd: SharedFd, count: usize) -> std::io::Result<usize> {
    let (sent, (buffers, _)) = run(
        driver,
        driver.submit(SendMsg::new(fd, bytes(count), [], None, 0)),
    );
    assert_eq!(buffers.len(), count);
    sent
}

#[test]
fn s33_datagram_of_too_many_buffers_is_refused() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        other.set_nonblocking(true).unwrap();
        let one = share(one);
        check_code(send(&driver, one.clone(), MANY), libc::EMSGSIZE);
        // Nothing was sent, and the socket is usable.
        other.recv(&mut [0; 2000]).unwrap_err();
        assert_eq!(send(&driver, one, MANY - 1).unwrap(), MANY - 1);
        other.set_nonblocking(false).unwrap();
        assert_eq!(other.recv(&mut [0; 2000]).unwrap(), MANY - 1);
    }
}

/// The zero-copy send, and the copy that it falls back to.
#[test]
fn s33_zero_copy_sends_of_too_many_buffers_are_refused_or_short() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        other.set_nonblocking(true).unwrap();
        let send = driver.send_msg_zero_copy(share(one), bytes(MANY), None, 0);
        let (sent, loan) = run(&driver, send);
        check_code(sent, libc::EMSGSIZE);
        assert_eq!(run(&driver, loan), bytes(MANY));
        other.recv(&mut [0; 2000]).unwrap_err();

        let (_peer, one) = tcp();
        let send = driver.send_msg_zero_copy(share(one), bytes(MANY), None, 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), MANY - 1);
        assert_eq!(run(&driver, loan), bytes(MANY));
    }
}

/// Empty buffers carry no bytes, and do not count.
#[test]
fn s33_datagram_with_many_empty_buffers_is_whole() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        let buffers: Vec<Vec<u8>> = (0..3000).map(|number| vec![7; number % 3 / 2]).collect();
        let send = SendMsg::new(share(one), buffers, [], None, 0);
        let (sent, _) = run(&driver, driver.submit(send));
        assert_eq!(sent.unwrap(), 1000);
        assert_eq!(other.recv(&mut [0; 2000]).unwrap(), 1000);
    }
}

#[test]
fn s33_receive_of_datagram_into_too_many_buffers_loses_nothing() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        one.send(&[7; 1500]).unwrap();
        let other = share(other);
        let recv = RecvMsg::new(other.clone(), rooms(1600), [], 0);
        let (received, (rooms, _)) = run(&driver, driver.submit(recv));
        check_code(received, libc::EMSGSIZE);
        let room = SocketAncillary::with_capacity(64);
        let recv = RecvAncillary::new(other.clone(), rooms, room, 0);
        let (received, _) = run(&driver, driver.submit(recv));
        check_code(received, libc::EMSGSIZE);
        // The datagram is still there.
        let recv = RecvMsg::new(other, [Vec::with_capacity(2000)], [], 0);
        let (received, _) = run(&driver, driver.submit(recv));
        assert_eq!(received.unwrap().len, 1500);
    }
}

/// The error of writev(2) and readv(2), or of sendmsg(2) and recvmsg(2).
fn is_refusal(result: std::io::Result<usize>) -> bool {
    let code = result.unwrap_err().raw_os_error();
    matches!(code, Some(libc::EINVAL | libc::EMSGSIZE))
}

/// A write to a datagram socket is a message, too.
#[test]
fn s33_write_of_too_many_buffers_to_datagram_socket_is_refused() {
    for driver in each_backend() {
        let (one, other) = datagrams();
        other.set_nonblocking(true).unwrap();
        let (one, many) = (share(one), bytes(MANY));
        let write = WriteVectoredAt::at_cursor(one.clone(), many);
        let (written, _) = run(&driver, driver.submit(write));
        assert!(is_refusal(written));
        other.recv(&mut [0; 2000]).unwrap_err();
        other.set_nonblocking(false).unwrap();
        other.send(&[7; 1500]).unwrap();
        let read = ReadVectoredAt::at_cursor(one.clone(), rooms(1600));
        assert!(is_refusal(run(&driver, driver.submit(read)).0));
        let read = ReadVectoredAt::at_cursor(one, [Vec::with_capacity(2000)]);
        assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 1500);
    }
}

/// On a stream, a short transfer is correct.
#[test]
fn s33_stream_transfers_of_too_many_buffers_are_short() {
    for driver in each_backend() {
        let (one, other) = streams();
        let (one, other) = (share(one), share(other));
        let sent = send(&driver, one.clone(), MANY + 1).unwrap();
        let write = WriteVectoredAt::at_cursor(one, bytes(MANY + 1 - sent));
        let mut write = driver.submit(write);
        let written = match start(&driver, &mut write) {
            Some(written) => written,
            None => run(&driver, write),
        };
        assert_eq!(sent + written.0.unwrap(), MANY + 1);
        let recv = RecvMsg::new(other.clone(), rooms(MANY + 1), [], 0);
        let (received, _) = run(&driver, driver.submit(recv));
        let first = received.unwrap().len;
        let rest = MANY + 1 - first;
        let read = ReadVectoredAt::at_cursor(other, rooms(MANY));
        let second = if rest > 0 {
            run(&driver, driver.submit(read)).0.unwrap()
        } else {
            0
        };
        assert_eq!(first + second, MANY + 1);
    }
}

/// Without pwritev2 the readiness backend writes by another call.
#[cfg(target_os = "linux")]
#[test]
fn s33_write_to_datagram_socket_without_pwritev2_is_whole() {
    let test = || {
        crate::support::refuse(libc::SYS_pwritev2, libc::ENOSYS);
        crate::support::refuse(libc::SYS_preadv2, libc::ENOSYS);
        for driver in each_backend() {
            let (one, other) = datagrams();
            let (one, other) = (share(one), share(other));
            let write = WriteVectoredAt::at_cursor(one.clone(), [[7; 4500], [8; 4500]]);
            assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 9000);
            let read = ReadVectoredAt::at_cursor(other, [Vec::with_capacity(9000)]);
            let (received, buffers) = run(&driver, driver.submit(read));
            assert_eq!(received.unwrap(), 9000);
            assert_eq!(buffers[0], [[7; 4500], [8; 4500]].concat());
        }
    };
    std::thread::spawn(test).join().unwrap();
}
