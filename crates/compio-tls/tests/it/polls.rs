//! The poll traits of other ecosystems, with their own helpers and with hyper as users.

use std::{
    convert::Infallible,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use compio::{
    io::{
        AsyncRead as NativeRead, AsyncReadExt as NativeReadExt, AsyncWrite as NativeWrite,
        AsyncWriteExt as NativeWriteExt, duplex,
    },
    runtime::SendWrapper,
    task::{spawn, yield_now},
};
use compio_testkit::{buffer::pattern, check::check_kind, future::both};
use compio_tls::TlsStream;
use futures_util::AsyncWriteExt as _;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    rt::{Executor, Read, Write},
    service::service_fn,
};
use tokio::io::AsyncWrite;

use crate::support::{Pair, VERSIONS, run, tcp_pair};

/// Spawns the tasks of hyper.
#[derive(Clone)]
struct Tasks;

impl<F: Future + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        spawn(async move {
            future.await;
        })
        .detach();
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::new(body)))
}

fn request(body: Vec<u8>) -> Request<Full<Bytes>> {
    let request = Request::post("https://localhost/").header("host", "localhost");
    request.body(Full::new(body.into())).unwrap()
}

async fn body(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// The lengths of bodies: in one record, in several, and above all buffers.
const LENS: [usize; 4] = [0, 5, 40_000, 2_000_000];

#[test]
fn hyper_speaks_http1_over_both_sides() {
    run(async {
        for version in VERSIONS {
            let (client, server) = Pair::of(&[version]).over_tcp().await;
            let server = spawn(async move {
                let service = service_fn(echo);
                let builder = hyper::server::conn::http1::Builder::new();
                // hyper sends close_notify at the end.
                builder.serve_connection(server, service).await.unwrap();
            });
            // An upgradable connection must be `Send`.
            let io = SendWrapper::new(client);
            let handshake = hyper::client::conn::http1::handshake(io);
            let (mut sender, connection) = handshake.await.unwrap();
            let connection = spawn(async move { connection.with_upgrades().await.unwrap() });
            for len in LENS {
                let response = sender.send_request(request(pattern(len))).await.unwrap();
                assert!(body(response).await == pattern(len));
            }
            drop(sender);
            connection.await.unwrap();
            server.await.unwrap();
        }
    });
}

#[test]
fn hyper_speaks_http2_over_both_sides() {
    run(async {
        let (client, server) = Pair::new().over_tcp().await;
        let server = spawn(async move {
            let builder = hyper::server::conn::http2::Builder::new(Tasks);
            builder.serve_connection(server, service_fn(echo)).await
        });
        let handshake = hyper::client::conn::http2::handshake(Tasks, client);
        let (sender, connection) = handshake.await.unwrap();
        let connection = spawn(connection);
        let requests: Vec<_> = LENS
            .into_iter()
            .map(|len| {
                let mut sender = sender.clone();
                spawn(async move {
                    let response = sender.send_request(request(pattern(len))).await.unwrap();
                    assert!(body(response).await == pattern(len));
                })
            })
            .collect();
        for request in requests {
            request.await.unwrap();
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

/// Sends the pattern, ends the direction, and returns all that arrives.
async fn exchange<S: 'static>(stream: TlsStream<S>, len: usize) -> Vec<u8> {
    let (mut reader, mut writer) = stream.into_split();
    let sender = spawn(async move {
        NativeWriteExt::write_all(&mut writer, pattern(len))
            .await
            .0
            .unwrap();
        NativeWrite::shutdown(&mut writer).await.unwrap();
    });
    let (read, data) = NativeReadExt::read_to_end(&mut reader, Vec::new()).await;
    read.unwrap();
    sender.await.unwrap();
    data
}

#[test]
fn tokio_relays_between_two_connections() {
    run(async {
        for capacity in [64 * 1024, 300] {
            let pair = Pair::new();
            let (left, mut relay_left) = pair.over(duplex(capacity)).await;
            let (mut relay_right, right) = pair.over(tcp_pair().await).await;
            let relay = spawn(async move {
                tokio::io::copy_bidirectional(&mut relay_left, &mut relay_right).await
            });
            let ends = both(exchange(left, 500_000), exchange(right, 300_001)).await;
            assert!(ends == (pattern(300_001), pattern(500_000)));
            assert_eq!(relay.await.unwrap().unwrap(), (500_000, 300_001));
        }
    });
}

#[test]
fn tokio_halves_are_polled_by_two_tasks() {
    run(async {
        let (client, server) = Pair::new().over(duplex(1000)).await;
        let (mut reader, mut writer) = tokio::io::split(SendWrapper::new(server));
        let echo = spawn(async move {
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut writer)
                .await
                .unwrap();
        });
        assert!(exchange(client, 200_000).await == pattern(200_000));
        echo.await.unwrap();
    });
}

#[test]
fn futures_io_copies_and_closes() {
    run(async {
        let (client, server) = Pair::new().over_tcp().await;
        let echo = spawn(async move {
            let (reader, mut writer) = futures_util::AsyncReadExt::split(server);
            futures_util::io::copy(reader, &mut writer).await.unwrap();
            writer.close().await.unwrap();
        });
        assert!(exchange(client, 1_000_000).await == pattern(1_000_000));
        echo.await.unwrap();
    });
}

/// Polls the future once and drops it.
fn attempt<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn write_that_is_pending_accepts_nothing_and_takes_other_bytes_later() {
    run(async {
        let (mut client, mut server) = Pair::new().over(duplex(700)).await;
        let receiver = spawn(async move {
            let (read, data) = NativeReadExt::read_to_end(&mut server, Vec::new()).await;
            read.unwrap();
            data
        });
        let (mut sent, mut refused) = (Vec::new(), 0);
        for round in 0..2000_u32 {
            // Each poll has other bytes, in a buffer that ends with it.
            let bytes = vec![round as u8; 200 + round as usize];
            let slices = [IoSlice::new(&bytes[..100]), IoSlice::new(&bytes[100..])];
            let polled = match round % 3 {
                0 => attempt(|cx| AsyncWrite::poll_write(Pin::new(&mut client), cx, &bytes)),
                1 => attempt(|cx| Write::poll_write_vectored(Pin::new(&mut client), cx, &slices)),
                _ => attempt(|cx| {
                    futures_util::AsyncWrite::poll_write_vectored(
                        Pin::new(&mut client),
                        cx,
                        &slices,
                    )
                }),
            };
            match polled {
                Poll::Ready(len) => sent.extend(vec![round as u8; len.unwrap()]),
                Poll::Pending => refused += 1,
            }
            yield_now().await;
        }
        assert!(refused > 0 && !sent.is_empty());
        poll_fn(|cx| Write::poll_shutdown(Pin::new(&mut client), cx))
            .await
            .unwrap();
        assert!(receiver.await.unwrap() == sent);
    });
}

#[test]
fn flush_waits_until_the_peer_has_room_for_all_bytes() {
    run(async {
        let (mut client, mut server) = Pair::new().over(duplex(500)).await;
        let bytes = pattern(5000);
        let written = attempt(|cx| AsyncWrite::poll_write(Pin::new(&mut client), cx, &bytes));
        assert!(matches!(written, Poll::Ready(Ok(5000))));
        for _ in 0..10 {
            yield_now().await;
            let flushed = attempt(|cx| AsyncWrite::poll_flush(Pin::new(&mut client), cx));
            assert!(flushed.is_pending());
        }
        // Of the 5000 bytes and the overhead, 500 may be in the stream.
        let (flushed, read) = both(
            poll_fn(|cx| AsyncWrite::poll_flush(Pin::new(&mut client), cx)),
            NativeReadExt::read_exact(&mut server, vec![0; 5000]),
        )
        .await;
        flushed.unwrap();
        assert!(read.1 == bytes);
    });
}

#[test]
fn dropped_polls_lose_nothing_for_the_native_traits() {
    run(async {
        let (client, mut server) = Pair::new().over(duplex(1000)).await;
        let sender = spawn(async move {
            let mut client = client;
            for part in pattern(100_000).chunks(999) {
                // The first poll may be dropped with nothing accepted: the native write follows.
                let polled = attempt(|cx| AsyncWrite::poll_write(Pin::new(&mut client), cx, part));
                let accepted = match polled {
                    Poll::Ready(len) => len.unwrap(),
                    Poll::Pending => 0,
                };
                NativeWriteExt::write_all(&mut client, part[accepted..].to_vec())
                    .await
                    .0
                    .unwrap();
            }
            NativeWrite::shutdown(&mut client).await.unwrap();
        });
        let mut received = Vec::new();
        loop {
            let mut room = [0; 77];
            let polled = attempt(|cx| {
                let mut room = hyper::rt::ReadBuf::new(&mut room);
                Read::poll_read(Pin::new(&mut server), cx, room.unfilled())
                    .map_ok(|()| room.filled().len())
            });
            let len = match polled {
                Poll::Ready(len) => len.unwrap(),
                Poll::Pending => {
                    let (read, data) = NativeRead::read(&mut server, Vec::with_capacity(50)).await;
                    received.extend(data);
                    if read.unwrap() == 0 {
                        break;
                    }
                    continue;
                }
            };
            if len == 0 {
                break;
            }
            received.extend(&room[..len]);
        }
        assert!(received == pattern(100_000));
        sender.await.unwrap();
    });
}

#[test]
fn read_without_room_is_ready_and_takes_nothing() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        assert_eq!(
            tokio::io::AsyncReadExt::read(&mut server, &mut [])
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            futures_util::AsyncReadExt::read(&mut server, &mut [])
                .await
                .unwrap(),
            0
        );
        NativeWriteExt::write_all(&mut client, "data")
            .await
            .0
            .unwrap();
        let mut data = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut server, &mut data)
            .await
            .unwrap();
        assert_eq!(data, *b"data");
    });
}

#[test]
fn truncated_stream_is_an_error_of_each_trait() {
    run(async {
        let (mut client, mut server) = Pair::new().over_tcp().await;
        NativeWrite::flush(&mut client).await.unwrap();
        // Without close_notify.
        client.get_ref().shutdown().await.unwrap();
        let mut room = [0; 8];
        for _ in 0..2 {
            let read = tokio::io::AsyncReadExt::read(&mut server, &mut room).await;
            check_kind(read, io::ErrorKind::UnexpectedEof);
            let read = futures_util::AsyncReadExt::read(&mut server, &mut room).await;
            check_kind(read, io::ErrorKind::UnexpectedEof);
        }
        tokio::io::AsyncWriteExt::shutdown(&mut server)
            .await
            .unwrap();
        let written = tokio::io::AsyncWriteExt::write(&mut server, b"late").await;
        check_kind(written, io::ErrorKind::BrokenPipe);
    });
}
