//! The end of connections: close_notify, half-close, truncation, alerts.

use std::io;

use compio::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
};
use compio_testkit::{
    buffer::pattern,
    check::check_kind,
    future::{begin, both},
};
use compio_tls::rustls;

use crate::support::{Authority, Pair, VERSIONS, run, tcp_pair};

#[test]
fn shutdown_sends_close_notify_and_reads_continue() {
    run(async {
        for version in VERSIONS {
            let (mut client, mut server) = Pair::of(&[version]).over_tcp().await;
            client.write_all("question").await.0.unwrap();
            client.shutdown().await.unwrap();
            let (read, question) = server.read_to_end(Vec::new()).await;
            read.unwrap();
            assert_eq!(question, b"question");
            // The other direction is open.
            server.write_all(pattern(200_000)).await.0.unwrap();
            let (_, answer) = both(server.shutdown(), client.read_to_end(Vec::new())).await;
            assert_eq!(answer.0.unwrap(), 200_000);
            // The end repeats.
            assert_eq!(client.read([0; 4]).await.0.unwrap(), 0);
            assert_eq!(server.read([0; 4]).await.0.unwrap(), 0);
            client.shutdown().await.unwrap();
            check_kind(client.write("late").await.0, io::ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn key_update_after_half_close_does_not_disturb_reads() {
    run(async {
        let (mut client, mut server) = Pair::of(&VERSIONS[1..]).over_tcp().await;
        client.shutdown().await.unwrap();
        assert_eq!(server.read([0; 4]).await.0.unwrap(), 0);
        server.update_keys().await.unwrap();
        server.write_all("data").await.0.unwrap();
        assert_eq!(client.read_exact([0; 4]).await.1, *b"data");
        server.shutdown().await.unwrap();
        assert_eq!(client.read([0; 4]).await.0.unwrap(), 0);
        client.shutdown().await.unwrap();
    });
}

#[test]
fn shutdown_sends_all_accepted_bytes_first() {
    run(async {
        let (mut client, mut server) = Pair::new().over(duplex(1000)).await;
        begin(client.write(pattern(64_000))).await;
        let (shut, received) = both(client.shutdown(), server.read_to_end(Vec::new())).await;
        shut.unwrap();
        assert!(received.1 == pattern(64_000));
    });
}

#[test]
fn fin_without_close_notify_is_an_unexpected_eof() {
    run(async {
        for version in VERSIONS {
            let (mut client, mut server) = Pair::of(&[version]).over_tcp().await;
            client.write_all("data").await.0.unwrap();
            client.flush().await.unwrap();
            client.get_ref().shutdown().await.unwrap();
            assert_eq!(server.read_exact([0; 4]).await.1, *b"data");
            for _ in 0..2 {
                check_kind(server.read([0; 4]).await.0, io::ErrorKind::UnexpectedEof);
            }
        }
    });
}

#[test]
fn record_that_is_cut_is_an_unexpected_eof() {
    run(async {
        let (client, server) = duplex(64 * 1024);
        let pair = Pair::new();
        let (mut client, mut server) = pair.over((client, server)).await;
        client.write_all("data").await.0.unwrap();
        client.flush().await.unwrap();
        // The header of a record, and no more.
        client
            .get_ref()
            .write_all([23, 3, 3, 1, 0])
            .await
            .0
            .unwrap();
        client.get_ref().shutdown().await.unwrap();
        assert_eq!(server.read_exact([0; 4]).await.1, *b"data");
        check_kind(server.read([0; 4]).await.0, io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn eof_in_the_handshake_is_an_unexpected_eof() {
    run(async {
        let pair = Pair::new();
        let (client, server) = tcp_pair().await;
        drop(client);
        check_kind(
            pair.acceptor.accept(server).await,
            io::ErrorKind::UnexpectedEof,
        );
    });
}

/// A stream whose shutdown does nothing, so that more bytes can follow.
struct Endless(DuplexStream);

impl AsyncRead for &Endless {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&self.0).read(buf).await
    }
}

impl AsyncWrite for &Endless {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (&self.0).write(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn bytes_after_close_notify_are_ignored() {
    run(async {
        for version in VERSIONS {
            // In the same receive as close_notify, and in later ones.
            for is_together in [false, true] {
                let (client, server) = duplex(64 * 1024);
                let ends = (Endless(client), Endless(server));
                let (mut client, mut server) = Pair::of(&[version]).over(ends).await;
                client.write_all("data").await.0.unwrap();
                client.shutdown().await.unwrap();
                if is_together {
                    let junk = pattern(9000);
                    (&client.get_ref().0).write_all(junk).await.0.unwrap();
                }
                let (read, data) = server.read_to_end(Vec::new()).await;
                read.unwrap();
                assert_eq!(data, b"data");
                (&client.get_ref().0).write_all("junk").await.0.unwrap();
                assert_eq!(server.read([0; 4]).await.0.unwrap(), 0);
                // The other direction is open.
                server.write_all("answer").await.0.unwrap();
                assert_eq!(client.read_exact([0; 6]).await.1, *b"answer");
            }
        }
    });
}

#[test]
fn fatal_alert_arrives_at_the_peer() {
    run(async {
        for version in VERSIONS {
            let (mut client, mut server) = Pair::of(&[version]).over_tcp().await;
            // A record of the right type that cannot be decrypted.
            client.flush().await.unwrap();
            let mut record = vec![23, 3, 3, 0, 64];
            record.extend(pattern(64));
            client.get_ref().write_all(record).await.0.unwrap();
            for _ in 0..2 {
                let error = server.read([0; 4]).await.0.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                let inner = error.get_ref().and_then(|e| e.downcast_ref());
                assert_eq!(inner, Some(&rustls::Error::DecryptError));
            }
            check_kind(server.write("more").await.0, io::ErrorKind::InvalidData);
            drop(server);
            let error = client.read([0; 4]).await.0.unwrap_err();
            assert!(error.to_string().contains("BadRecordMac"), "{error}");
        }
    });
}

#[test]
fn shutdown_after_a_failure_sends_the_alert_and_ends_the_stream() {
    run(async {
        let (mut client, mut server) = Pair::new().over_tcp().await;
        client.get_ref().write_all([99; 64]).await.0.unwrap();
        check_kind(server.read([0; 4]).await.0, io::ErrorKind::InvalidData);
        server.shutdown().await.unwrap();
        let error = client.read([0; 4]).await.0.unwrap_err();
        assert!(error.to_string().contains("alert"), "{error}");
    });
}

#[test]
fn write_to_a_peer_that_has_gone_fails_and_received_data_is_still_read() {
    run(async {
        let (mut client, mut server) = Pair::new().in_memory().await;
        server.write_all("last words").await.0.unwrap();
        server.flush().await.unwrap();
        drop(server);
        check_kind(client.write("data").await.0, io::ErrorKind::BrokenPipe);
        check_kind(client.write("data").await.0, io::ErrorKind::BrokenPipe);
        check_kind(client.flush().await, io::ErrorKind::BrokenPipe);
        assert_eq!(client.read_exact([0; 10]).await.1, *b"last words");
        check_kind(client.read([0; 4]).await.0, io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn client_that_refuses_the_certificate_sends_its_reason() {
    run(async {
        let authority = Authority::new();
        for version in VERSIONS {
            let pair = Pair {
                connector: authority.client_of(&[version]).into(),
                acceptor: authority
                    .issue(&["other.example"])
                    .server_of(&[version])
                    .into(),
            };
            let (client, server) = pair.attempt(tcp_pair().await).await;
            check_kind(client, io::ErrorKind::InvalidData);
            let error = server.unwrap_err();
            assert!(error.to_string().contains("BadCertificate"), "{error}");
        }
    });
}

#[test]
fn shutdown_succeeds_after_the_peer_has_closed_the_connection() {
    run(async {
        let (mut client, mut server) = Pair::new().over_tcp().await;
        client.flush().await.unwrap();
        client.shutdown().await.unwrap();
        drop(client);
        // A write that has failed is no success of the shutdown.
        while server.write("late").await.0.is_ok() {}
        check_kind(server.shutdown().await, io::ErrorKind::BrokenPipe);

        let (client, mut server) = Pair::new().over_tcp().await;
        let zero = Some(std::time::Duration::ZERO);
        client.get_ref().set_linger(zero).unwrap();
        drop(client);
        check_kind(server.read([0; 4]).await.0, io::ErrorKind::ConnectionReset);
        server.shutdown().await.unwrap();
        server.shutdown().await.unwrap();
    });
}
