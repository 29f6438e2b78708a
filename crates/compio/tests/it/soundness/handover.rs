//! Data that arrived for dropped futures is handed over with its descriptor, or the hand-over is
//! refused (row 34).

use std::{
    io::{Read, Write},
    net,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream, UdpSocket},
    pipe::pipe,
    time::sleep,
};

use crate::support::{begin, bounded, run, tcp_pair};

/// Enough turns for the driver to reap all completions.
async fn turns() {
    for _ in 0..3 {
        sleep(Duration::from_millis(1)).await;
    }
}

/// A listener that keeps the connection of this client.
async fn keeping() -> (TcpListener, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut accept = Box::pin(listener.accept());
    begin(&mut accept).await;
    let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    turns().await;
    drop(accept);
    (listener, client)
}

/// Checks that the connection is open: its client reads a byte, not EOF.
async fn check_served(mut server: TcpStream, client: &mut net::TcpStream) {
    server.write("x").await.0.unwrap();
    client.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn s34_listener_with_connection_of_dropped_accept_is_not_unwrapped() {
    run(async {
        let (listener, mut client) = keeping().await;
        let listener = listener.into_std().expect_err("a connection would be lost");
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        check_served(server, &mut client).await;
        listener.into_std().expect("nothing is kept");
    });
}

#[test]
fn s34_settled_listener_is_unwrapped_without_loss() {
    run(async {
        let (mut listener, mut client) = keeping().await;
        let mut served = 0;
        while listener.settle().await {
            let (server, _) = bounded(listener.accept()).await.unwrap();
            check_served(server, &mut client).await;
            served += 1;
        }
        assert_eq!(served, 1);
        let std = listener.into_std().expect("the only handle");
        // It accepts for std now, in either mode.
        let _next = net::TcpStream::connect(std.local_addr().unwrap()).unwrap();
        std.set_nonblocking(false).unwrap();
        std.accept().unwrap();
    });
}

/// The accept had not completed when its future was dropped.
#[test]
fn s34_listener_settles_directly_after_drop_of_accept() {
    run(async {
        for _ in 0..50 {
            let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut accept = Box::pin(listener.accept());
            begin(&mut accept).await;
            let mut client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            drop(accept);
            while listener.settle().await {
                check_served(listener.accept().await.unwrap().0, &mut client).await;
                client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            }
            let std = listener.into_std().expect("the only handle");
            std.set_nonblocking(false).unwrap();
            let (mut server, _) = std.accept().unwrap();
            server.write_all(b"x").unwrap();
            client.read_exact(&mut [0; 1]).unwrap();
        }
    });
}

#[test]
fn s34_connections_of_dropped_incoming_go_to_next_accept() {
    run(async {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        let mut next = Box::pin(incoming.next());
        begin(&mut next).await;
        let connect = |_| net::TcpStream::connect(address).unwrap();
        let mut clients: Vec<_> = (0..10).map(connect).collect();
        turns().await;
        drop(next);
        drop(incoming);
        listener.settle().await;
        let mut peers = Vec::new();
        for client in &mut clients {
            let (server, peer) = bounded(listener.accept()).await.unwrap();
            assert_eq!(peer, server.peer_addr().unwrap());
            assert_eq!(peer, client.local_addr().unwrap());
            check_served(server, client).await;
            peers.push(peer);
        }
        assert!(!listener.settle().await);
        listener.into_std().expect("nothing is kept");
    });
}

/// The waiting accept began before the stream was dropped.
#[test]
fn s34_connections_of_dropped_incoming_wake_waiting_accept() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        let mut next = Box::pin(incoming.next());
        begin(&mut next).await;
        let mut accept = Box::pin(listener.accept());
        begin(&mut accept).await;
        let mut client = net::TcpStream::connect(address).unwrap();
        turns().await;
        drop(next);
        drop(incoming);
        let (server, _) = bounded(accept).await.unwrap();
        check_served(server, &mut client).await;
    });
}

#[test]
fn s34_settled_stream_is_unwrapped_with_all_bytes_read() {
    run(async {
        for answered in [true, false] {
            let (client, mut server) = tcp_pair().await;
            let mut client = client.into_std().unwrap();
            let mut read = Box::pin(server.read(Vec::with_capacity(8)));
            begin(&mut read).await;
            client.write_all(b"one").unwrap();
            if answered {
                turns().await;
            }
            drop(read);
            let mut seen = Vec::new();
            while server.settle().await {
                seen.extend(bounded(server.read(Vec::with_capacity(2))).await.1);
            }
            let mut server = server.into_std().expect("the only handle");
            client.write_all(b"two").unwrap();
            drop(client);
            server.read_to_end(&mut seen).unwrap();
            assert_eq!(seen, b"onetwo");
        }
    });
}

#[test]
fn s34_settled_datagram_socket_is_unwrapped_with_all_datagrams_received() {
    run(async {
        let mut ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let theirs = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut receive = Box::pin(ours.recv_from(Vec::with_capacity(8)));
        begin(&mut receive).await;
        let address = ours.local_addr().unwrap();
        theirs.send_to(b"one", address).unwrap();
        turns().await;
        drop(receive);
        let mut seen = Vec::new();
        while ours.settle().await {
            seen.push(bounded(ours.recv_from(Vec::with_capacity(8))).await.1);
        }
        assert_eq!(seen, [b"one"]);
        let std = ours.into_std().expect("the only handle");
        theirs.send_to(b"two", address).unwrap();
        assert_eq!(std.recv(&mut [0; 8]).unwrap(), 3);
    });
}

#[test]
fn s34_settled_pipe_is_unwrapped_with_all_bytes_read() {
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        let mut read = Box::pin(reader.read(Vec::with_capacity(8)));
        begin(&mut read).await;
        writer.write("one").await.0.unwrap();
        turns().await;
        drop(read);
        assert!(reader.settle().await);
        reader = reader.into_std().expect_err("bytes would be lost");
        assert_eq!(reader.read_exact([0; 3]).await.1, *b"one");
        assert!(!reader.settle().await && !writer.settle().await);
        let (mut reader, mut writer) = (reader.into_std().unwrap(), writer.into_std().unwrap());
        writer.write_all(b"two").unwrap();
        reader.read_exact(&mut [0; 3]).unwrap();
    });
}

/// The send was in flight when its future was dropped.
#[test]
fn s34_stream_with_dropped_send_settles() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        loop {
            let mut write = Box::pin(client.write(vec![7; 1 << 20]));
            let mut waits = false;
            std::future::poll_fn(|cx| {
                waits = std::future::Future::poll(write.as_mut(), cx).is_pending();
                std::task::Poll::Ready(())
            })
            .await;
            turns().await;
            if waits {
                break;
            }
        }
        assert!(!client.settle().await);
        client.into_std().expect("the only handle");
        drop(server);
    });
}

#[cfg(unix)]
#[test]
fn s34_unix_sockets_with_arrivals_of_dropped_futures_are_not_unwrapped() {
    use compio::net::{UnixDatagram, UnixListener, UnixStream};

    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut listener = UnixListener::bind(&path).unwrap();
        let mut accept = Box::pin(listener.accept());
        begin(&mut accept).await;
        let client = UnixStream::connect(&path).await.unwrap();
        turns().await;
        drop(accept);
        assert!(listener.settle().await);
        listener = listener.into_std().expect_err("a connection would be lost");
        let (mut server, _) = listener.accept().await.unwrap();
        listener.into_std().expect("nothing is kept");

        let mut read = Box::pin(server.read(Vec::with_capacity(8)));
        begin(&mut read).await;
        (&client).write("one").await.0.unwrap();
        turns().await;
        drop(read);
        assert!(server.settle().await);
        server = server.into_std().expect_err("bytes would be lost");
        assert_eq!(server.read(Vec::with_capacity(8)).await.1, b"one");
        server.into_std().expect("nothing is kept");

        let (mut one, other) = UnixDatagram::pair().unwrap();
        let mut receive = Box::pin(one.recv(Vec::with_capacity(8)));
        begin(&mut receive).await;
        other.send("one").await.0.unwrap();
        turns().await;
        drop(receive);
        assert!(one.settle().await);
        one = one.into_std().expect_err("a datagram would be lost");
        assert_eq!(one.recv(Vec::with_capacity(8)).await.1, b"one");
        one.into_std().expect("nothing is kept");
    });
}
