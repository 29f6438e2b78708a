//! A descriptor that two runtimes of one thread use in turn (scenario 40). An operation that was dropped
//! under one runtime does not block the other.

use std::{io::Write, rc::Rc, time::Duration};

use compio::{
    io::AsyncRead,
    net::{TcpListener, UdpSocket},
    runtime::{BufferPool, Runtime},
    time::timeout,
};

use crate::support::{begin, bounded, pipe_in, streams, tcp_pair};

const SHORT: Duration = Duration::from_millis(5);

fn two_runtimes() -> (Runtime, Runtime) {
    (Runtime::new().unwrap(), Runtime::new().unwrap())
}

#[test]
fn s40_read_dropped_under_one_runtime_leaves_next_read_to_other() {
    let (one, other) = two_runtimes();
    let (mut ours, theirs) = streams();
    let mut theirs = theirs.into_std().unwrap();
    for runtime in [&one, &other, &one] {
        let read = ours.read(Vec::with_capacity(8));
        runtime.block_on(async { assert!(timeout(SHORT, read).await.is_err()) });
    }
    theirs.write_all(b"hello").unwrap();
    let (read, buffer) = other.block_on(bounded(ours.read(Vec::with_capacity(8))));
    assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
}

#[test]
fn s40_bytes_of_dropped_read_come_first_under_other_runtime() {
    let (one, other) = two_runtimes();
    let (ours, theirs) = streams();
    let (ours, mut theirs) = (Rc::new(ours), theirs.into_std().unwrap());
    let reader = Rc::clone(&ours);
    let mut read = Box::pin(async move { (&*reader).read(Vec::with_capacity(3)).await });
    one.block_on(async {
        begin(&mut read).await;
        // The read is in flight.
        compio::task::yield_now().await;
        compio::time::sleep(Duration::from_millis(1)).await;
    });
    theirs.write_all(b"onetwo").unwrap();
    drop(read);
    let (read, buffer) = other.block_on(bounded((&*ours).read(Vec::with_capacity(3))));
    assert_eq!((read.unwrap(), &buffer[..]), (3, &b"one"[..]));
    let (read, buffer) = other.block_on(bounded((&*ours).read(Vec::with_capacity(3))));
    assert_eq!((read.unwrap(), &buffer[..]), (3, &b"two"[..]));
}

#[test]
fn s40_read_dropped_outside_of_both_runtimes_is_settled_by_other() {
    let (one, other) = two_runtimes();
    let (reader, mut writer) = pipe_in();
    let mut read = Box::pin(reader.read_at(Vec::with_capacity(8), 0));
    one.block_on(async { begin(&mut read).await });
    drop(read);
    writer.write_all(b"hello").unwrap();
    let (read, buffer) = other.block_on(bounded(reader.read_at(Vec::with_capacity(8), 0)));
    assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
}

#[test]
fn s40_read_dropped_in_outer_runtime_is_settled_by_nested_one() {
    let (outer, inner) = two_runtimes();
    let (mut ours, theirs) = streams();
    let mut theirs = theirs.into_std().unwrap();
    outer.block_on(async {
        let read = ours.read(Vec::with_capacity(8));
        assert!(timeout(SHORT, read).await.is_err());
        theirs.write_all(b"hello").unwrap();
        let (read, buffer) = inner.block_on(bounded(ours.read(Vec::with_capacity(8))));
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn s40_datagram_receive_dropped_under_one_runtime_leaves_next_to_other() {
    let (one, other) = two_runtimes();
    let socket = one.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    let address = socket.local_addr().unwrap();
    one.block_on(async {
        let receive = socket.recv_from(Vec::with_capacity(8));
        assert!(timeout(SHORT, receive).await.is_err());
    });
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.send_to(b"hello", address).unwrap();
    let (received, buffer) = other.block_on(bounded(socket.recv_from(Vec::with_capacity(8))));
    assert_eq!(received.unwrap(), (5, peer.local_addr().unwrap()));
    assert_eq!(buffer, b"hello");
}

#[test]
fn s40_pooled_receive_dropped_under_one_runtime_leaves_next_to_other() {
    let (one, other) = two_runtimes();
    let pools = [&one, &other].map(|runtime| runtime.enter(|| BufferPool::new(4, 64).unwrap()));
    let (ours, theirs) = one.block_on(tcp_pair());
    let mut theirs = theirs.into_std().unwrap();
    one.block_on(async {
        let mut stream = ours.recv_stream(&pools[0]);
        assert!(timeout(SHORT, stream.next()).await.is_err());
    });
    theirs.write_all(b"hello").unwrap();
    other.block_on(async {
        let mut stream = ours.recv_stream(&pools[1]);
        let buffer = bounded(stream.next()).await.unwrap().unwrap();
        assert_eq!(&buffer[..], b"hello");
    });
}

#[test]
fn s40_accept_dropped_under_one_runtime_leaves_connection_to_other() {
    let (one, other) = two_runtimes();
    let listener = one.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mut accept = Box::pin(listener.accept());
    one.block_on(async { begin(&mut accept).await });
    // The accept is in flight, and may have the first connection.
    one.block_on(compio::time::sleep(Duration::from_millis(1)));
    drop(accept);
    let client = std::net::TcpStream::connect(address).unwrap();
    let (_server, peer) = other.block_on(bounded(listener.accept())).unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
}
