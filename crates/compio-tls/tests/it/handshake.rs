//! Handshakes over streams that cut and delay the bytes, and versions.

use std::{cell::Cell, io, rc::Rc};

use compio::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
};
use compio_testkit::{
    buffer::pattern,
    check::check_kind,
    future::{begin, both},
};
use compio_tls::LazyAccept;

use crate::support::{Authority, Pair, VERSIONS, run, tcp_pair};

/// A stream that cuts its input: reads end at the position `split` of all bytes, or after `len` bytes.
struct Cut {
    stream: DuplexStream,
    received: Rc<Cell<usize>>,
    split: usize,
    len: usize,
}

impl AsyncRead for &Cut {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let received = self.received.get();
        let before = self.split.checked_sub(received).filter(|&len| len > 0);
        let len = self.len.min(before.unwrap_or(usize::MAX));
        let end = len.min(buf.buf_capacity());
        let (read, part) = (&self.stream).read(buf.slice(..end)).await;
        if let Ok(len) = read {
            self.received.set(received + len);
        }
        let mut buf = part.into_inner();
        // A slice never shortens its buffer.
        if let Ok(len) = read {
            let bytes = buf.as_init()[..len].to_vec();
            buf.init_from(&bytes);
        }
        (read, buf)
    }
}

impl AsyncWrite for &Cut {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (&self.stream).write(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        (&self.stream).shutdown().await
    }
}

/// Completes a handshake and an exchange over cut streams. Returns the bytes that each side has received.
async fn exchange_over_cuts(pair: &Pair, splits: [usize; 2], len: usize) -> [usize; 2] {
    let counts = [Rc::<Cell<usize>>::default(), Rc::default()];
    let (client, server) = duplex(64 * 1024);
    let cut = |stream, side: usize| Cut {
        stream,
        received: Rc::clone(&counts[side]),
        split: splits[side],
        len,
    };
    let (mut client, mut server) = pair.over((cut(client, 0), cut(server, 1))).await;
    let handshake = [counts[0].get(), counts[1].get()];
    client.write_all("question").await.0.unwrap();
    assert_eq!(server.read_exact([0; 8]).await.1, *b"question");
    server.write_all("answer").await.0.unwrap();
    assert_eq!(client.read_exact([0; 6]).await.1, *b"answer");
    handshake
}

#[test]
fn handshake_succeeds_with_receives_of_one_byte() {
    run(async {
        for version in VERSIONS {
            exchange_over_cuts(&Pair::of(&[version]), [0, 0], 1).await;
        }
    });
}

#[test]
fn handshake_succeeds_with_a_cut_at_every_position() {
    run(async {
        for version in VERSIONS {
            let pair = Pair::of(&[version]);
            // Without resumption all handshakes have nearly the same length: signatures vary by some bytes.
            let mut config = (**pair.connector.config()).clone();
            config.resumption = compio_tls::rustls::client::Resumption::disabled();
            let pair = Pair {
                connector: config.into(),
                ..pair
            };
            let lens = exchange_over_cuts(&pair, [0, 0], usize::MAX).await;
            for split in 1..lens[0].max(lens[1]) + 64 {
                exchange_over_cuts(&pair, [split, split], usize::MAX).await;
            }
        }
    });
}

#[test]
fn chain_of_20_kb_is_accepted() {
    run(async {
        let authority = Authority::new();
        let names: Vec<String> = (0..700).map(|i| format!("{i:020}.example.org")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("localhost");
        let identity = authority.issue(&names);
        assert!(identity.chain()[0].len() > 20_000);
        for version in VERSIONS {
            let pair = Pair {
                connector: authority.client_of(&[version]).into(),
                acceptor: identity.server_of(&[version]).into(),
            };
            // A small buffer makes each side wait for the other one. It has room for the tickets at the end.
            for ends in [duplex(64 * 1024), duplex(1000)] {
                let (client, _server) = pair.over(ends).await;
                assert_eq!(client.peer_certificates().unwrap(), identity.chain());
            }
            exchange_over_cuts(&pair, [0, 0], 1).await;
        }
    });
}

#[test]
fn handshake_message_above_64_kib_is_refused() {
    run(async {
        let pair = Pair::new();
        let (mut peer, server) = duplex(1 << 20);
        // A ClientHello whose header promises 64 KiB and one byte, in records of 16 KiB.
        let mut hello = vec![1, 1, 0, 1];
        hello.extend(pattern(65_536 + 1));
        let mut records = Vec::new();
        for part in hello.chunks(16_000) {
            records.extend([22, 3, 1]);
            records.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            records.extend(part);
        }
        peer.write_all(records).await.0.unwrap();
        check_kind(
            pair.acceptor.accept(server).await,
            io::ErrorKind::InvalidData,
        );
    });
}

#[test]
fn version_is_the_one_of_the_configuration() {
    run(async {
        for version in VERSIONS {
            let (client, server) = Pair::of(&[version]).over_tcp().await;
            for stream in [client, server] {
                let negotiated = stream.with_connection(|connection| connection.protocol_version());
                assert_eq!(negotiated, Some(version.version));
            }
        }
    });
}

#[test]
fn sides_without_a_common_version_fail_with_an_alert() {
    run(async {
        let authority = Authority::new();
        let pair = Pair {
            connector: authority.client_of(&VERSIONS[..1]).into(),
            acceptor: authority
                .issue(&["localhost"])
                .server_of(&VERSIONS[1..])
                .into(),
        };
        let (client, server) = pair.attempt(tcp_pair().await).await;
        check_kind(server, io::ErrorKind::InvalidData);
        let error = client.unwrap_err();
        assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    });
}

#[test]
fn first_write_completes_the_handshake() {
    run(async {
        let pair = Pair::new();
        let (client, server) = tcp_pair().await;
        let mut client = pair.connector.stream("localhost", client).unwrap();
        let mut server = pair.acceptor.stream(server).unwrap();
        let (sent, read) = both(client.write("hello"), server.read([0; 8])).await;
        assert_eq!((sent.0.unwrap(), read.0.unwrap()), (5, 5));
        assert_eq!(&read.1[..5], b"hello");
    });
}

#[test]
fn lazy_accept_chooses_the_configuration_by_the_client_hello() {
    run(async {
        let authority = Authority::new();
        let configs = ["a.example", "b.example"].map(|name| {
            let config = authority.issue(&[name]).server();
            (name, std::sync::Arc::new(config))
        });
        let connector = compio_tls::TlsConnector::from(authority.client());
        for (name, config) in configs.clone() {
            let (client, server) = tcp_pair().await;
            let mut accept = LazyAccept::new(server);
            // The first call is dropped before anything arrives.
            begin(accept.client_hello()).await;
            let accepted = async {
                let hello = accept.client_hello().await.unwrap();
                assert_eq!(hello.server_name(), Some(name));
                let hello = accept.client_hello().await.unwrap();
                assert_eq!(hello.server_name(), Some(name));
                accept.accept(config).await
            };
            let (client, server) = both(connector.connect(name, client), accepted).await;
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            assert_eq!(server.server_name().as_deref(), Some(name));
            client.write_all("hello").await.0.unwrap();
            assert_eq!(server.read_exact([0; 5]).await.1, *b"hello");
        }
        // The configuration of the other name: the client refuses the certificate.
        let (client, server) = tcp_pair().await;
        let accepted = LazyAccept::new(server).accept(std::sync::Arc::clone(&configs[1].1));
        let (client, server) = both(connector.connect("a.example", client), accepted).await;
        let error = client.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
        // TLS 1.3: the server has sent its last message before it reads the alert.
        let alert = server.unwrap_err();
        assert!(alert.to_string().contains("BadCertificate"), "{alert}");
    });
}

#[test]
fn lazy_accept_sends_an_alert_to_a_client_without_a_common_version() {
    run(async {
        let authority = Authority::new();
        let connector = compio_tls::TlsConnector::from(authority.client_of(&VERSIONS[..1]));
        let config = authority.issue(&["localhost"]).server_of(&VERSIONS[1..]);
        let (client, server) = tcp_pair().await;
        let accepted = LazyAccept::new(server).accept(config.into());
        let (client, server) = both(connector.connect("localhost", client), accepted).await;
        check_kind(server, io::ErrorKind::InvalidData);
        let error = client.unwrap_err();
        assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    });
}

#[test]
fn tls_runs_inside_tls() {
    run(async {
        let outer = Pair::new();
        let inner = Pair::new();
        let ends = outer.in_memory().await;
        let (mut client, mut server) = inner.over(ends).await;
        client.write_all("hello").await.0.unwrap();
        client.flush().await.unwrap();
        assert_eq!(server.read_exact([0; 5]).await.1, *b"hello");
    });
}
