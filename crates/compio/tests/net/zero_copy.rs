//! Zero-copy sends, which return their buffer later.

use std::time::Duration;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::UdpSocket,
    runtime::{Runtime, is_cancelled},
    task::spawn,
    time::cancel_after,
};

use crate::support::{pattern, run, tcp_pair};

async fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[test]
fn the_bytes_arrive_and_the_buffer_comes_back() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let reader = spawn(async move { server.read_to_end(Vec::new()).await.1 });
        let mut rest = pattern(1 << 20);
        while !rest.is_empty() {
            let (sent, loan) = client.send_zero_copy(rest).await;
            let sent = sent.unwrap();
            assert!(sent > 0);
            rest = loan.await;
            rest.drain(..sent);
        }
        drop(client);
        assert!(reader.await.unwrap() == pattern(1 << 20));
    });
}

#[test]
fn a_loan_may_be_dropped_unawaited() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let (_, writer) = client.into_split();
        let (sent, loan) = writer.send_zero_copy(pattern(5000)).await;
        drop(loan);
        let (read, buffer) = server.read_exact(vec![0; sent.unwrap()]).await;
        read.unwrap();
        assert!(pattern(5000).starts_with(&buffer));
    });
}

#[test]
fn a_failed_send_returns_the_buffer() {
    run(async {
        let (mut client, _server) = tcp_pair().await;
        client.shutdown().await.unwrap();
        let (sent, loan) = client.send_zero_copy(pattern(10)).await;
        sent.unwrap_err();
        assert_eq!(loan.await, pattern(10));
    });
}

#[test]
fn a_dropped_send_ends_with_its_socket() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        drop(client.send_zero_copy(pattern(100_000)));
        drop(client);
        // The send had not begun.
        assert_eq!(server.read([0; 1]).await.0.unwrap(), 0);
    });
}

#[test]
fn vectored_buffers_arrive_in_order_and_come_back() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let reader = spawn(async move { server.read_to_end(Vec::new()).await.1 });
        let mut rest = pattern(1 << 20);
        while !rest.is_empty() {
            let buffers: Vec<Vec<u8>> = rest.chunks(100_000).map(<[u8]>::to_vec).collect();
            let (sent, loan) = client.send_vectored_zero_copy(buffers).await;
            let sent = sent.unwrap();
            assert!(sent > 0);
            rest = loan.await.concat();
            rest.drain(..sent);
        }
        drop(client);
        assert!(reader.await.unwrap() == pattern(1 << 20));
    });
}

#[test]
fn halves_send_vectored_buffers() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let (_, writer) = client.split();
        let (sent, loan) = writer.send_vectored_zero_copy(["one, ", "", "two, "]).await;
        assert_eq!(sent.unwrap(), 10);
        assert_eq!(loan.await, ["one, ", "", "two, "]);
        let (_, writer) = client.into_split();
        let (sent, loan) = writer.send_vectored_zero_copy(("three", vec![b'.'])).await;
        assert_eq!(sent.unwrap(), 6);
        drop(loan);
        drop(writer);
        let (read, text) = server.read_to_end(Vec::new()).await;
        read.unwrap();
        assert_eq!(text, b"one, two, three.");
    });
}

#[test]
fn no_vectored_buffers_send_nothing() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        for buffers in [vec![], vec![Vec::new(); 3]] {
            let (sent, loan) = client.send_vectored_zero_copy(buffers.clone()).await;
            assert_eq!(sent.unwrap(), 0);
            assert_eq!(loan.await, buffers);
        }
        drop(client);
        assert_eq!(server.read([0; 1]).await.0.unwrap(), 0);
    });
}

#[test]
fn failed_vectored_send_returns_the_buffers() {
    run(async {
        let (mut client, _server) = tcp_pair().await;
        client.shutdown().await.unwrap();
        let buffers = [pattern(10), pattern(20)];
        let (sent, loan) = client.send_vectored_zero_copy(buffers.clone()).await;
        sent.unwrap_err();
        assert_eq!(loan.await, buffers);
    });
}

#[test]
fn cancelled_vectored_send_returns_the_buffers() {
    run(async {
        let (client, _server) = tcp_pair().await;
        let buffers = || [vec![1; 200_000], vec![2; 200_000]];
        // Until the socket is full.
        let loan = loop {
            let send = client.send_vectored_zero_copy(buffers());
            let (sent, loan) = cancel_after(Duration::from_millis(20), send).await;
            match sent {
                Ok(_) => drop(loan),
                Err(error) => {
                    assert!(is_cancelled(&error), "{error}");
                    break loan;
                }
            }
        };
        assert_eq!(loan.await, buffers());
    });
}

#[test]
fn vectored_send_to_a_closed_peer_returns_the_buffers() {
    run(async {
        let (client, server) = tcp_pair().await;
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let buffers = || [vec![1; 200_000], vec![2; 200_000]];
        // The reset may arrive later.
        loop {
            let (sent, loan) = client.send_vectored_zero_copy(buffers()).await;
            assert_eq!(loan.await, buffers());
            if sent.is_err() {
                break;
            }
        }
    });
}

/// The runtime ends with sends in flight, and with loans of buffers that the kernel may read.
#[test]
fn runtime_that_is_dropped_waits_for_the_buffers() {
    let runtime = Runtime::new().unwrap();
    let (reader, loan) = runtime.block_on(async {
        let (client, server) = tcp_pair().await;
        let mut server = server.into_std().unwrap();
        server.set_nonblocking(false).unwrap();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            std::io::Read::read_to_end(&mut server, &mut got).unwrap();
            got
        });
        let (sent, loan) = client
            .send_vectored_zero_copy([pattern(300), pattern(400)])
            .await;
        assert_eq!(sent.unwrap(), 700);
        spawn(async move {
            client
                .send_vectored_zero_copy([vec![7; 1 << 20], vec![7; 10]])
                .await
                .0
        });
        (reader, loan)
    });
    drop(runtime);
    drop(loan);
    let got = reader.join().unwrap();
    assert!(got.starts_with(&[pattern(300), pattern(400)].concat()));
    assert!(got[700..].iter().all(|byte| *byte == 7));
}

#[test]
fn datagrams_to_an_address_arrive_whole_and_their_buffers_come_back() {
    run(async {
        let (client, server) = (udp().await, udp().await);
        let target = server.local_addr().unwrap();
        for len in [0, 1, 9000] {
            let (sent, loan) = client.send_to_zero_copy(pattern(len), target).await;
            assert_eq!(sent.unwrap(), len);
            let (received, buffer) = server.recv_from(Vec::with_capacity(65_536)).await;
            assert_eq!(received.unwrap(), (len, client.local_addr().unwrap()));
            assert_eq!(buffer, pattern(len));
            assert_eq!(loan.await, pattern(len));
        }
    });
}

#[test]
fn refused_datagrams_return_their_buffers() {
    run(async {
        let (client, server) = (udp().await, udp().await);
        let target = server.local_addr().unwrap();
        // Longer than any datagram.
        let (sent, loan) = client.send_to_zero_copy(pattern(70_000), target).await;
        sent.unwrap_err();
        assert_eq!(loan.await, pattern(70_000));
        // No address.
        let none: &[std::net::SocketAddr] = &[];
        let (sent, loan) = client.send_to_zero_copy("lost", none).await;
        sent.unwrap_err();
        assert_eq!(loan.await, "lost");
        let (sent, _) = client.send_to_zero_copy("next", target).await;
        assert_eq!(sent.unwrap(), 4);
        let (received, _) = server.recv_from(Vec::with_capacity(100)).await;
        assert_eq!(received.unwrap().0, 4);
    });
}

#[test]
fn dropped_datagram_is_sent_or_not() {
    run(async {
        let (client, server) = (udp().await, udp().await);
        let target = server.local_addr().unwrap();
        drop(client.send_to_zero_copy("never", target));
        let (sent, loan) = client.send_to_zero_copy("first", target).await;
        sent.unwrap();
        drop(loan);
        let (received, text) = server.recv_from(Vec::with_capacity(100)).await;
        assert_eq!(received.unwrap().0, 5);
        assert_eq!(text, b"first");
    });
}
