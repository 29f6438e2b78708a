//! Futures that are dropped, and the operations that continue.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, PollWriter, duplex},
    task::{spawn, yield_now},
};
use compio_testkit::{
    buffer::pattern,
    future::{begin, both},
};
use compio_tls::TlsStream;

use crate::support::{Pair, VERSIONS, run, tcp_pair};

/// Polls the future once and drops it. Returns its output if it was ready.
fn attempt<F: Future>(future: F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn handshake_whose_futures_are_dropped_after_each_poll_continues() {
    run(async {
        for version in VERSIONS {
            for capacity in [1, 100, 5000] {
                let pair = Pair::of(&[version]);
                let (client, server) = duplex(capacity);
                let client = pair.connector.stream("localhost", client).unwrap();
                let server = pair.acceptor.stream(server).unwrap();
                let (mut is_client_ready, mut is_server_ready) = (false, false);
                while !is_client_ready || !is_server_ready {
                    is_client_ready |= attempt(client.handshake()).is_some_and(|done| {
                        done.unwrap();
                        true
                    });
                    if is_client_ready {
                        // It receives the tickets.
                        assert!(attempt((&client).read([0; 1])).is_none());
                    }
                    is_server_ready |= attempt(server.handshake()).is_some_and(|done| {
                        done.unwrap();
                        true
                    });
                    yield_now().await;
                }
                exchange(client, server).await;
            }
        }
    });
}

async fn exchange(mut client: TlsStream<DuplexStream>, mut server: TlsStream<DuplexStream>) {
    let sent = async {
        client.write_all("question").await.0.unwrap();
        client.flush().await.unwrap();
    };
    let ((), question) = both(sent, server.read_exact([0; 8])).await;
    assert_eq!(question.1, *b"question");
}

#[test]
fn handshake_over_tcp_continues_after_a_drop() {
    run(async {
        let pair = Pair::new();
        let (client, server) = tcp_pair().await;
        let client = pair.connector.stream("localhost", client).unwrap();
        let server = pair.acceptor.stream(server).unwrap();
        begin(client.handshake()).await;
        begin(client.handshake()).await;
        let (client, server) = both(client.handshake(), server.handshake()).await;
        client.unwrap();
        server.unwrap();
    });
}

#[test]
fn dropped_reads_lose_nothing() {
    run(async {
        let (client, mut server) = Pair::new().over_tcp().await;
        let (mut reader, mut writer) = client.into_split();
        let sender = spawn(async move {
            for part in pattern(300_000).chunks(700) {
                writer.write_all(part.to_vec()).await.0.unwrap();
                yield_now().await;
            }
            writer.shutdown().await.unwrap();
            // The reader keeps the stream open.
            assert_eq!(reader.read([0; 1]).await.0.unwrap(), 0);
        });
        let mut received = Vec::new();
        loop {
            // Each second read is dropped after its first poll, unless it is ready.
            let (read, bytes) = match attempt(server.read(Vec::with_capacity(500))) {
                Some(output) => output,
                None => server.read(Vec::with_capacity(500)).await,
            };
            if read.unwrap() == 0 {
                break;
            }
            received.extend(bytes);
        }
        assert!(received == pattern(300_000));
        server.shutdown().await.unwrap();
        sender.await.unwrap();
    });
}

#[test]
fn dropped_writes_are_sent_once_or_not_at_all() {
    run(async {
        let (mut client, mut server) = Pair::new().over(duplex(1000)).await;
        // The output is empty: the first write is accepted, and dropped while it is sent.
        begin(client.write(vec![b'a'; 5000])).await;
        // The second one is dropped while it waits for the output: it has accepted nothing.
        begin(client.write(vec![b'b'; 5000])).await;
        let sent = async {
            client.write_all(vec![b'c'; 5000]).await.0.unwrap();
            client.shutdown().await.unwrap();
        };
        let ((), received) = both(sent, server.read_to_end(Vec::new())).await;
        received.0.unwrap();
        assert!(received.1 == [[b'a'; 5000], [b'c'; 5000]].concat());
    });
}

#[test]
fn poll_writer_over_the_stream_repeats_dropped_writes() {
    run(async {
        let (client, mut server) = Pair::new().over(duplex(1000)).await;
        let receiver = spawn(async move {
            let (read, data) = server.read_to_end(Vec::new()).await;
            read.unwrap();
            data
        });
        let mut writer = PollWriter::new(client);
        let mut sent = Vec::new();
        for index in 0..200 {
            let message = pattern(997 + index);
            // A write that is dropped is repeated in full: a part of it would appear twice.
            loop {
                match attempt(writer.write(message.clone())) {
                    Some((written, _)) => {
                        assert_eq!(written.unwrap(), message.len());
                        break;
                    }
                    None => yield_now().await,
                }
            }
            sent.extend(message);
        }
        while attempt(writer.shutdown()).is_none() {
            yield_now().await;
        }
        assert!(receiver.await.unwrap() == sent);
    });
}

#[test]
fn accepted_bytes_of_a_dropped_write_are_sent_by_the_next_read() {
    run(async {
        let (mut client, mut server) = Pair::new().over(duplex(500)).await;
        begin(client.write(pattern(5000))).await;
        // No further write or flush: the wait for the answer sends the rest.
        let ((), answer) = both(
            async {
                let (read, data) = server.read_exact(vec![0; 5000]).await;
                read.unwrap();
                assert!(data == pattern(5000));
                server.write_all("answer").await.0.unwrap();
            },
            client.read_exact([0; 6]),
        )
        .await;
        assert_eq!(answer.1, *b"answer");
    });
}

/// The reading half waits for the answer since before the write. It sends the rest.
#[test]
fn accepted_bytes_of_a_dropped_write_are_sent_by_a_read_that_waits() {
    run(async {
        let (client, mut server) = Pair::new().over(duplex(500)).await;
        let (mut reader, mut writer) = client.into_split();
        let reading = spawn(async move { reader.read_exact([0; 6]).await });
        yield_now().await;
        begin(writer.write(pattern(5000))).await;
        let (read, data) = server.read_exact(vec![0; 5000]).await;
        read.unwrap();
        assert!(data == pattern(5000));
        server.write_all("answer").await.0.unwrap();
        assert_eq!(reading.await.unwrap().1, *b"answer");
    });
}

#[test]
fn writer_is_woken_after_the_reader_has_polled_its_send() {
    run(async {
        // The reader and the writer wait for the same send. The reader polls last, and its future is dropped.
        let (client, mut server) = Pair::new().over(duplex(500)).await;
        let (mut reader, mut writer) = client.into_split();
        let sender = spawn(async move {
            writer.write_all(pattern(100_000)).await.0.unwrap();
            writer.shutdown().await.unwrap();
        });
        yield_now().await;
        begin(reader.read([0; 1])).await;
        let (read, data) = server.read_to_end(Vec::new()).await;
        assert_eq!(read.unwrap(), 100_000);
        assert!(data == pattern(100_000));
        sender.await.unwrap();
    });
}

#[test]
fn drop_of_the_stream_completes_the_send_in_flight() {
    run(async {
        let (mut client, mut server) = Pair::new().over_tcp().await;
        client.write_all("last words").await.0.unwrap();
        drop(client);
        assert_eq!(server.read_exact([0; 10]).await.1, *b"last words");
    });
}

#[test]
fn settle_returns_whether_plaintext_is_available() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        begin(server.read([0; 4])).await;
        assert!(!server.settle().await);
        client.write_all("data").await.0.unwrap();
        assert_eq!(server.read([0; 1]).await.1, *b"d");
        assert!(server.settle().await);
    });
}
