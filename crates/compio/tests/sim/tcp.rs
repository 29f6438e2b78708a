//! TCP between hosts.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, lookup_host},
    sim, task, time,
};

use super::{Log, echo_once, run_one, run_pair};

#[test]
fn bytes_return_after_a_half_close() {
    run_pair(echo_once, async {
        let mut stream = TcpStream::connect("server:7").await?;
        let sent: Vec<u8> = (0..1_000_000_u32)
            .map(|number| (number / 3) as u8)
            .collect();
        stream.write_all(sent.clone()).await.0?;
        stream.shutdown().await?;
        let (read, received) = stream.read_to_end(Vec::new()).await;
        read?;
        assert!(received == sent, "{} bytes", received.len());
        Ok(())
    });
}

#[test]
fn addresses_are_those_of_the_hosts() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let (stream, peer) = listener.accept().await?;
            assert_eq!(peer.ip().to_string(), "10.0.0.2");
            assert!(peer.port() >= 49152);
            assert_eq!(stream.local_addr()?.to_string(), "10.0.0.1:80");
            assert_eq!(stream.peer_addr()?, peer);
            let (mut stream, read) = (stream, [0; 1]);
            stream.read(read).await.0?;
            Ok(())
        },
        async {
            let found: Vec<_> = lookup_host("server:80").await?.collect();
            assert_eq!(found, ["10.0.0.1:80".parse().unwrap()]);
            let stream = TcpStream::connect(("server", 80)).await?;
            assert_eq!(stream.peer_addr()?, found[0]);
            assert_eq!(stream.local_addr()?.ip().to_string(), "10.0.0.2");
            stream.set_nodelay(true)?;
            assert!(stream.nodelay()?);
            Ok(())
        },
    );
}

#[test]
fn connect_without_a_listener_is_refused() {
    run_pair(
        || async {
            time::sleep(Duration::from_secs(10)).await;
            Ok(())
        },
        async {
            let error = TcpStream::connect("server:80").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(sim::elapsed() > Some(Duration::ZERO));
            let error = TcpStream::connect("10.9.9.9:80").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostUnreachable);
            let error = TcpStream::connect("nowhere:80").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            Ok(())
        },
    );
}

#[test]
fn loopback_is_inside_of_a_host() {
    run_pair(
        || async {
            let _listener = TcpListener::bind("127.0.0.1:80").await?;
            time::sleep(Duration::from_secs(10)).await;
            Ok(())
        },
        async {
            let error = TcpStream::connect("server:80").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            let listener = TcpListener::bind("127.0.0.1:80").await?;
            let mut client = TcpStream::connect("localhost:80").await?;
            let (mut server, peer) = listener.accept().await?;
            assert!(peer.ip().is_loopback());
            client.write_all("inside").await.0?;
            let (read, bytes) = server.read_exact([0; 6]).await;
            read?;
            assert_eq!(&bytes, b"inside");
            Ok(())
        },
    );
}

#[test]
fn port_in_use_is_refused_until_the_close() {
    run_one(async {
        let first = TcpListener::bind("0.0.0.0:80").await?;
        let error = TcpListener::bind("127.0.0.1:80").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(first);
        TcpListener::bind("127.0.0.1:80").await?;
        let error = TcpListener::bind("10.0.0.77:80").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        Ok(())
    });
}

#[test]
fn sender_waits_for_a_slow_reader() {
    let log = Log::default();
    let seen = log.clone();
    run_pair(
        move || {
            let log = log.clone();
            async move {
                let listener = TcpListener::bind("0.0.0.0:80").await?;
                let (mut stream, _) = listener.accept().await?;
                time::sleep(Duration::from_secs(60)).await;
                log.add("reads");
                stream.read_to_end(Vec::new()).await.0?;
                Ok(())
            }
        },
        {
            let log = seen.clone();
            async move {
                let mut stream = TcpStream::connect("server:80").await?;
                stream.write_all(vec![0; 64 * 1024]).await.0?;
                log.add("first part sent");
                stream.write_all(vec![0; 1024 * 1024]).await.0?;
                log.add("all sent");
                Ok(())
            }
        },
    );
    assert_eq!(seen.entries(), ["first part sent", "reads", "all sent"]);
}

/// The lengths of the reads of a server to which a client makes these writes, all at once.
fn reads_of(count: usize, len: usize) -> Vec<usize> {
    let log = Log::default();
    let reads = log.clone();
    run_pair(
        move || {
            let reads = reads.clone();
            async move {
                let listener = TcpListener::bind("0.0.0.0:80").await?;
                let (mut stream, _) = listener.accept().await?;
                let mut rest = count * len;
                while rest > 0 {
                    let read = stream.read(Vec::with_capacity(64 * 1024)).await.0?;
                    reads.add(read.to_string());
                    rest -= read;
                }
                Ok(())
            }
        },
        async move {
            let mut stream = TcpStream::connect("server:80").await?;
            for _ in 0..count {
                stream.write_all(vec![0; len]).await.0?;
            }
            // Open until all bytes have arrived.
            time::sleep(Duration::from_secs(1)).await;
            Ok(())
        },
    );
    let reads = log.entries();
    reads.iter().map(|read| read.parse().unwrap()).collect()
}

#[test]
fn one_read_gets_several_writes() {
    let reads = reads_of(20, 100);
    assert_eq!(reads.iter().sum::<usize>(), 2000);
    assert!(reads.iter().any(|read| *read > 100), "{reads:?}");
}

#[test]
fn one_read_gets_a_part_of_a_long_write() {
    let reads = reads_of(1, 20_000);
    assert_eq!(reads.iter().sum::<usize>(), 20_000);
    // A multiple of a segment.
    assert_eq!(reads[0] % 1460, 0, "{reads:?}");
    assert_eq!(reads_of(1, 1460), [1460]);
}

#[test]
fn close_with_unread_data_resets_the_peer() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let (stream, _) = listener.accept().await?;
            time::sleep(Duration::from_secs(1)).await;
            stream.close().await?;
            time::sleep(Duration::from_secs(60)).await;
            Ok(())
        },
        async {
            let mut stream = TcpStream::connect("server:80").await?;
            stream.write_all("unread").await.0?;
            let error = stream.read([0; 8]).await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(stream.read([0; 8]).await.0?, 0);
            let error = stream.write("late").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            Ok(())
        },
    );
}

#[test]
fn data_to_a_closed_peer_resets_the_sender() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let (stream, _) = listener.accept().await?;
            stream.close().await?;
            time::sleep(Duration::from_secs(60)).await;
            Ok(())
        },
        async {
            let mut stream = TcpStream::connect("server:80").await?;
            assert_eq!(stream.read([0; 8]).await.0?, 0);
            stream.write_all("first").await.0?;
            time::sleep(Duration::from_secs(1)).await;
            let error = stream.write("second").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            Ok(())
        },
    );
}

#[test]
fn dropped_accept_loses_no_connection() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            for _ in 0..10 {
                let accept = time::timeout(Duration::from_micros(300), listener.accept());
                if let Ok(accepted) = accept.await {
                    accepted?.0.write_all("first").await.0?;
                }
            }
            loop {
                let (mut stream, _) = listener.accept().await?;
                stream.write_all("later").await.0?;
            }
        },
        async {
            for _ in 0..5 {
                let mut stream = TcpStream::connect("server:80").await?;
                stream.read_exact([0; 5]).await.0?;
            }
            Ok(())
        },
    );
}

#[test]
fn close_that_is_dropped_closes_the_connection() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let (stream, _) = listener.accept().await?;
            {
                let mut close = pin!(stream.close());
                let first = poll_fn(|cx| Poll::Ready(close.as_mut().poll(cx))).await;
                assert!(first.is_pending());
            }
            std::future::pending().await
        },
        async {
            let mut stream = TcpStream::connect("server:80").await?;
            assert_eq!(stream.read([0; 1]).await.0?, 0);
            Ok(())
        },
    );
}

#[test]
fn many_tasks_share_a_host() {
    run_pair(
        || async {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                task::spawn(async move {
                    let (read, bytes) = stream.read_exact([0; 4]).await;
                    read?;
                    stream.write_all(bytes).await.0
                })
                .detach();
            }
        },
        async {
            let clients: Vec<_> = (0..100_u32)
                .map(|number| {
                    task::spawn(async move {
                        let mut stream = TcpStream::connect("server:80").await?;
                        stream.write_all(number.to_le_bytes()).await.0?;
                        let (read, bytes) = stream.read_exact([0; 4]).await;
                        read?;
                        assert_eq!(u32::from_le_bytes(bytes), number);
                        io::Result::Ok(())
                    })
                })
                .collect();
            for client in clients {
                client.await.expect("no panic")?;
            }
            Ok(())
        },
    );
}
