//! Zero-copy sends, which return their buffer later.

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    task::spawn,
};

use crate::support::{pattern, run, tcp_pair};

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
