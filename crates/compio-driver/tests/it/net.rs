//! Socket operations: success, failure and EOF of each one.

use std::{
    fmt::Debug,
    io::{self, Write},
    net::{Shutdown as Direction, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use compio_driver::{
    Driver, SharedFd, SockAddr,
    op::{Accept, Connect, Recv, RecvFrom, RecvMsg, Send, SendMsg, SendTo, Shutdown, Socket},
};
use socket2::{Domain, Type};

use crate::support::{
    MSG_PEEK, MSG_TRUNC, begin, check_code, check_gone, code, deserted, driver, is_inherited,
    is_skipped_on_wine, on_wine, pipe, run, share, sockets,
};

fn tcp_socket(driver: &Driver) -> SharedFd {
    let socket = Socket::new(Domain::IPV4.into(), Type::STREAM.into(), 0);
    SharedFd::from(run(driver, driver.submit(socket)).expect("a socket"))
}

fn listener() -> (SharedFd, SockAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (share(listener), SockAddr::from(address))
}

/// Two UDP sockets and their addresses.
fn datagram_sockets() -> [(SharedFd, SockAddr); 2] {
    [(); 2].map(|()| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (share(socket), SockAddr::from(address))
    })
}

#[test]
fn a_connection_is_made_accepted_and_used() {
    let driver = driver();
    let (listener, address) = listener();
    let client = tcp_socket(&driver);
    run(
        &driver,
        driver.submit(Connect::new(client.clone(), address)),
    )
    .unwrap();
    let (server, peer) = run(&driver, driver.submit(Accept::new(listener))).unwrap();
    let server = share(server);
    let local = TcpStream::from(client.try_unwrap().unwrap());
    assert_eq!(peer.as_socket(), Some(local.local_addr().unwrap()));

    let client = share(local);
    let (sent, buffer) = run(&driver, driver.submit(Send::new(client, "hello", 0)));
    assert_eq!((sent.unwrap(), buffer), (5, "hello"));
    let recv = Recv::new(server, Vec::with_capacity(64), 0);
    let (received, buffer) = run(&driver, driver.submit(recv));
    assert_eq!((received.unwrap(), &buffer[..]), (5, &b"hello"[..]));
}

#[test]
fn a_connection_is_refused() {
    let driver = driver();
    let connect = Connect::new(tcp_socket(&driver), deserted().into());
    check_code(run(&driver, driver.submit(connect)), code::REFUSED);
}

#[test]
fn a_socket_of_no_known_family_fails() {
    let driver = driver();
    let socket = Socket::new(9999, Type::STREAM.into(), 0);
    check_code(run(&driver, driver.submit(socket)), code::NO_SUCH_FAMILY);
}

#[test]
fn accepting_from_a_socket_that_does_not_listen_fails() {
    if is_skipped_on_wine("it never returns") {
        return;
    }
    let driver = driver();
    let accept = Accept::new(tcp_socket(&driver));
    check_code(run(&driver, driver.submit(accept)), code::NOT_LISTENING);
}

#[test]
fn a_recv_fills_the_buffer_from_its_start() {
    let driver = driver();
    let (one, other) = sockets();
    run(&driver, driver.submit(Send::new(other, "new", 0)))
        .0
        .unwrap();
    let recv = Recv::new(one, b"old content".to_vec(), 0);
    let (received, buffer) = run(&driver, driver.submit(recv));
    assert_eq!((received.unwrap(), &buffer[..]), (3, &b"new"[..]));
}

#[test]
fn a_recv_at_eof_returns_zero() {
    let driver = driver();
    let (one, other) = sockets();
    drop(other);
    let recv = Recv::new(one, b"old".to_vec(), 0);
    let (received, buffer) = run(&driver, driver.submit(recv));
    assert_eq!((received.unwrap(), buffer.len()), (0, 0));
}

#[test]
fn nothing_is_sent_and_received() {
    let driver = driver();
    let (one, other) = sockets();
    let (sent, _) = run(&driver, driver.submit(Send::new(other.clone(), "", 0)));
    assert_eq!(sent.unwrap(), 0);
    run(&driver, driver.submit(Send::new(other, "x", 0)))
        .0
        .unwrap();
    let recv = Recv::new(one, Vec::new(), 0);
    assert_eq!(run(&driver, driver.submit(recv)).0.unwrap(), 0);
}

#[test]
fn a_recv_that_peeks_takes_nothing_away() {
    let driver = driver();
    let (one, other) = sockets();
    run(&driver, driver.submit(Send::new(other, "abc", 0)))
        .0
        .unwrap();
    for flags in [MSG_PEEK, 0] {
        let recv = Recv::new(one.clone(), Vec::with_capacity(8), flags);
        assert_eq!(run(&driver, driver.submit(recv)).1, b"abc");
    }
}

/// The call fails because the descriptor is no socket.
#[track_caller]
fn check_no_socket<T: Debug>(result: io::Result<T>) {
    let code = result.expect_err("it should fail").raw_os_error();
    // Wine sometimes reports that the handle does not support the call.
    let is_right = code == Some(code::NOT_A_SOCKET);
    assert!(is_right || on_wine() && code == Some(code::NOT_FOR_THIS));
}

#[test]
fn a_socket_operation_on_a_pipe_returns_the_buffer() {
    let driver = driver();
    let (read, write) = pipe();
    let text = b"text".to_vec();
    let address = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 9)));

    let recv = Recv::new(read.clone(), text.clone(), 0);
    let send = Send::new(write.clone(), text.clone(), 0);
    let recv_from = RecvFrom::new(read.clone(), text.clone(), 0);
    let send_to = SendTo::new(write.clone(), text.clone(), address, 0);
    for (result, buffer) in [
        run(&driver, driver.submit(recv)),
        run(&driver, driver.submit(send)),
        run(&driver, driver.submit(send_to)),
    ] {
        check_no_socket(result);
        assert_eq!(buffer, text);
    }
    let (received, buffer) = run(&driver, driver.submit(recv_from));
    check_no_socket(received);
    assert_eq!(buffer, text);

    let recv_msg = RecvMsg::new(read, [text.clone(), text.clone()], text.clone(), 0);
    let (received, (buffers, control)) = run(&driver, driver.submit(recv_msg));
    check_no_socket(received);
    assert_eq!(
        (buffers, control),
        ([text.clone(), text.clone()], text.clone())
    );
    let send_msg = SendMsg::new(write, [text.clone(), text.clone()], [], None, 0);
    let (sent, (buffers, _)) = run(&driver, driver.submit(send_msg));
    check_no_socket(sent);
    assert_eq!(buffers, [text.clone(), text]);
}

#[test]
fn a_send_to_a_closed_peer_is_an_error_and_no_signal() {
    let driver = driver();
    let (one, other) = sockets();
    drop(other);
    let text = b"text".to_vec();
    // Some kinds of sockets accept a few sends before the peer's close is known.
    let error = loop {
        let (sent, buffer) = run(
            &driver,
            driver.submit(Send::new(one.clone(), text.clone(), 0)),
        );
        assert_eq!(buffer, text);
        if let Err(error) = sent {
            break error;
        }
    };
    check_gone(error.kind());
    let send = SendMsg::new(one, [text.clone()], [], None, 0);
    let (sent, (buffers, _)) = run(&driver, driver.submit(send));
    check_gone(sent.unwrap_err().kind());
    assert_eq!(buffers, [text]);
}

#[test]
fn a_datagram_carries_its_senders_address() {
    let driver = driver();
    let [(one, one_address), (other, other_address)] = datagram_sockets();
    let send = SendTo::new(one, b"hello".to_vec(), other_address, 0);
    assert_eq!(run(&driver, driver.submit(send)).0.unwrap(), 5);
    let recv = RecvFrom::new(other, Vec::with_capacity(64), 0);
    let (received, buffer) = run(&driver, driver.submit(recv));
    let (len, address) = received.unwrap();
    assert_eq!((len, &buffer[..]), (5, &b"hello"[..]));
    assert_eq!(address.unwrap().as_socket(), one_address.as_socket());
}

#[test]
fn an_empty_datagram_arrives() {
    let driver = driver();
    let [(one, _), (other, address)] = datagram_sockets();
    let send = SendTo::new(one, "", address, 0);
    assert_eq!(run(&driver, driver.submit(send)).0.unwrap(), 0);
    let recv = RecvFrom::new(other, Vec::new(), 0);
    let (len, address) = run(&driver, driver.submit(recv)).0.unwrap();
    assert_eq!(len, 0);
    assert!(address.is_some());
}

#[test]
fn a_stream_has_no_senders_address() {
    let driver = driver();
    let (one, other) = sockets();
    run(&driver, driver.submit(Send::new(other, "abc", 0)))
        .0
        .unwrap();
    let recv = RecvFrom::new(one, Vec::with_capacity(8), 0);
    let (len, address) = run(&driver, driver.submit(recv)).0.unwrap();
    assert_eq!((len, address.is_none()), (3, true));
}

/// With `MSG_TRUNC` a receive returns the full length of the datagram, which is more than the
/// buffer holds. The buffer's length must not exceed the bytes received.
#[test]
fn a_truncated_datagram_never_overstates_the_buffer() {
    let driver = driver();
    let [(one, _), (other, address)] = datagram_sockets();
    for _ in 0..3 {
        let send = SendTo::new(one.clone(), b"0123456789".to_vec(), address.clone(), 0);
        run(&driver, driver.submit(send)).0.unwrap();
    }
    let recv = Recv::new(other.clone(), Vec::with_capacity(4), MSG_TRUNC);
    let buffer = run(&driver, driver.submit(recv)).1;
    assert_eq!((&buffer[..], buffer.capacity()), (&b"0123"[..], 4));
    let recv = RecvFrom::new(other.clone(), Vec::with_capacity(4), MSG_TRUNC);
    let buffer = run(&driver, driver.submit(recv)).1;
    assert_eq!((&buffer[..], buffer.capacity()), (&b"0123"[..], 4));
    let room = [Vec::with_capacity(3), Vec::with_capacity(1)];
    let recv = RecvMsg::new(other, room, [], MSG_TRUNC);
    let (received, (buffers, _)) = run(&driver, driver.submit(recv));
    assert_eq!(buffers, [b"012".to_vec(), b"3".to_vec()]);
    assert_ne!(received.unwrap().flags & MSG_TRUNC, 0, "no MSG_TRUNC");
}

/// Windows may report the end of this receive twice. The second report must not complete another
/// operation.
#[test]
fn a_truncated_datagram_completes_one_receive() {
    let driver = driver();
    let [(one, _), (other, address)] = datagram_sockets();
    for _ in 0..20 {
        let send = SendTo::new(one.clone(), "0123456789", address.clone(), 0);
        run(&driver, driver.submit(send)).0.unwrap();
        let recv = Recv::new(other.clone(), Vec::with_capacity(4), 0);
        assert_eq!(run(&driver, driver.submit(recv)).1, b"0123");
        // This receive gets the cell of the previous one.
        let mut next = driver.submit(Recv::new(other.clone(), Vec::with_capacity(16), 0));
        begin(&driver, &mut next);
        for _ in 0..3 {
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut next);
        }
        let send = SendTo::new(one.clone(), "whole", address.clone(), 0);
        run(&driver, driver.submit(send)).0.unwrap();
        assert_eq!(run(&driver, next).1, b"whole");
    }
}

/// A stream discards the bytes that `MSG_TRUNC` covers: the kernel writes nothing to the buffer.
#[test]
fn a_truncated_stream_receive_shows_no_unwritten_bytes() {
    let driver = driver();
    let (listener, address) = listener();
    let mut client = TcpStream::connect(address.as_socket().unwrap()).unwrap();
    let (server, _) = run(&driver, driver.submit(Accept::new(listener))).unwrap();
    client.write_all(b"0123456789").unwrap();
    let mut untouched = b"----------".to_vec();
    untouched.clear();
    let recv = Recv::new(share(server), untouched, MSG_TRUNC);
    let (received, buffer) = run(&driver, driver.submit(recv));
    assert_eq!(received.unwrap(), buffer.len());
    assert_eq!(buffer, b"0123456789"[..buffer.len()]);
}

#[test]
fn a_message_gathers_and_scatters() {
    let driver = driver();
    let [(one, one_address), (other, other_address)] = datagram_sockets();
    let send = SendMsg::new(one, ["ab", "", "cde"], [], Some(other_address), 0);
    assert_eq!(run(&driver, driver.submit(send)).0.unwrap(), 5);
    let room = [Vec::with_capacity(1), Vec::with_capacity(8)];
    let recv = RecvMsg::new(other, room, [], 0);
    let (received, (buffers, _)) = run(&driver, driver.submit(recv));
    let received = received.unwrap();
    assert_eq!((received.len, received.control_len), (5, 0));
    assert_eq!(received.flags & MSG_TRUNC, 0);
    assert_eq!(
        received.address.unwrap().as_socket(),
        one_address.as_socket()
    );
    assert_eq!(buffers, [b"a".to_vec(), b"bcde".to_vec()]);
}

/// Vectored receives are another call on some systems.
#[test]
fn a_message_may_have_room_for_more_than_comes() {
    let driver = driver();
    let [(one, one_address), (other, address)] = datagram_sockets();
    for text in ["short", "much longer than the room"] {
        let send = SendTo::new(one.clone(), text, address.clone(), 0);
        run(&driver, driver.submit(send)).0.unwrap();
        let room = [Vec::with_capacity(3), Vec::with_capacity(7)];
        let recv = RecvMsg::new(other.clone(), room, Vec::with_capacity(64), 0);
        let (received, (buffers, control)) = run(&driver, driver.submit(recv));
        let received = received.unwrap();
        let taken = &text.as_bytes()[..text.len().min(10)];
        assert_eq!(
            (received.len, buffers.concat()),
            (taken.len(), taken.to_vec())
        );
        assert_eq!((received.control_len, control.len()), (0, 0));
        assert_eq!(received.flags & MSG_TRUNC != 0, text.len() > 10);
        let sender = received.address.unwrap().as_socket();
        assert_eq!(sender, one_address.as_socket());
    }
}

#[test]
fn new_sockets_are_not_inherited() {
    let driver = driver();
    let (listener, address) = listener();
    let client = tcp_socket(&driver);
    run(
        &driver,
        driver.submit(Connect::new(client.clone(), address)),
    )
    .unwrap();
    let (server, _) = run(&driver, driver.submit(Accept::new(listener))).unwrap();
    assert!(!is_inherited(&client));
    assert!(!is_inherited(&server));
}

#[test]
fn a_shutdown_is_the_end_for_the_peer() {
    let driver = driver();
    let (one, other) = sockets();
    run(
        &driver,
        driver.submit(Shutdown::new(one.clone(), Direction::Write)),
    )
    .unwrap();
    let recv = Recv::new(other.clone(), vec![0; 8], 0);
    assert_eq!(run(&driver, driver.submit(recv)).0.unwrap(), 0);
    run(&driver, driver.submit(Send::new(other, "abc", 0)))
        .0
        .unwrap();
    let recv = Recv::new(one, vec![0; 8], 0);
    assert_eq!(run(&driver, driver.submit(recv)).0.unwrap(), 3, "half open");
}

#[test]
fn a_shutdown_of_no_connection_fails() {
    let driver = driver();
    let shutdown = Shutdown::new(tcp_socket(&driver), Direction::Both);
    check_code(run(&driver, driver.submit(shutdown)), code::NOT_CONNECTED);
}
