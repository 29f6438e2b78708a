//! Transfers over connections: peeks, empty and long ones, several buffers, EOF.

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::spawn,
};

use crate::support::{begin, pattern, run, tcp_pair};

#[test]
fn peeked_bytes_are_not_consumed() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        client.write_all("hello").await.0.unwrap();
        for room in [1, 5, 100] {
            let (seen, buffer) = server.peek(Vec::with_capacity(room)).await;
            let seen = seen.unwrap();
            assert!(seen > 0 && seen == buffer.len());
            assert!(b"hello".starts_with(&buffer));
        }
        let (read, buffer) = server.read_exact([0; 5]).await;
        read.unwrap();
        assert_eq!(&buffer, b"hello");
        drop(client);
        assert_eq!(server.peek([0; 5]).await.0.unwrap(), 0);
        assert_eq!(server.read([0; 5]).await.0.unwrap(), 0);
    });
}

#[test]
fn a_dropped_peek_takes_nothing() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        begin(server.peek(vec![0; 5])).await;
        begin(server.read(vec![0; 5])).await;
        client.write_all("hello").await.0.unwrap();
        let (read, buffer) = server.read_exact([0; 5]).await;
        read.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn empty_transfers_complete_at_once() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        assert_eq!(client.write([0; 0]).await.0.unwrap(), 0);
        client.write_all([0; 0]).await.0.unwrap();
        assert_eq!(client.write_vectored([[0; 0]; 3]).await.0.unwrap(), 0);
        client.write_all("x").await.0.unwrap();
        assert_eq!(server.peek(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(server.read(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(server.read([0; 1]).await.0.unwrap(), 1);
    });
}

#[test]
fn data_larger_than_the_buffers_arrives_whole() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        client.set_send_buffer_size(100_000).unwrap();
        let writer = spawn(async move {
            client.write_all(pattern(8 << 20)).await.0.unwrap();
        });
        let (read, buffer) = server.read_to_end(Vec::new()).await;
        assert_eq!(read.unwrap(), 8 << 20);
        assert!(buffer == pattern(8 << 20));
        writer.await.unwrap();
    });
}

#[test]
fn several_buffers_are_sent_and_filled_in_their_order() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let buffers = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
        assert_eq!(client.write_vectored(buffers).await.0.unwrap(), 8);
        let buffers = [Vec::with_capacity(2), Vec::with_capacity(100)];
        let (read, [first, second]) = server.read_vectored(buffers).await;
        assert_eq!(read.unwrap(), 8);
        assert_eq!((&first[..], &second[..]), (&b"on"[..], &b"ethree"[..]));
    });
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        client.write_all("last words").await.0.unwrap();
        client.shutdown().await.unwrap();
        assert!(client.write("more").await.0.is_err());
        let (read, buffer) = server.read_to_end(Vec::new()).await;
        read.unwrap();
        assert_eq!(buffer, b"last words");
        server.write_all("answer").await.0.unwrap();
        drop(server);
        let (read, buffer) = client.read_to_end(Vec::new()).await;
        read.unwrap();
        assert_eq!(buffer, b"answer");
    });
}
