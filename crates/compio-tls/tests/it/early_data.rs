//! Early data and resumption.

use std::sync::Arc;

use compio::{
    buf::{IntoInner, IoBuf},
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
};
use compio_testkit::future::both;
use compio_tls::rustls::HandshakeKind;

use crate::support::{Authority, Identity, Pair, VERSIONS, run, shared, tcp_pair};

fn identities() -> (Authority, Identity) {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    (authority, identity)
}

/// A client with early data, and a server that accepts up to `len` bytes of it.
fn early_pair(authority: &Authority, identity: &Identity, len: u32) -> Pair {
    let mut client = authority.client_of(&VERSIONS[1..]);
    client.enable_early_data = true;
    let mut server = identity.server_of(&VERSIONS[1..]);
    server.max_early_data_size = len;
    server.send_half_rtt_data = true;
    shared(client, server)
}

/// One connection, from which the client gets a ticket.
async fn get_ticket(pair: &Pair) {
    let (mut client, mut server) = pair.over_tcp().await;
    server.write_all("hello").await.0.unwrap();
    assert_eq!(client.read_exact([0; 5]).await.1, *b"hello");
}

#[test]
fn sessions_are_resumed() {
    run(async {
        let (authority, identity) = identities();
        for version in VERSIONS {
            let pair = shared(
                authority.client_of(&[version]),
                identity.server_of(&[version]),
            );
            let kind = |connection: &compio_tls::rustls::Connection| connection.handshake_kind();
            let (client, _server) = pair.over_tcp().await;
            assert_eq!(client.with_connection(kind), Some(HandshakeKind::Full));
            get_ticket(&pair).await;
            let (client, server) = pair.over_tcp().await;
            for stream in [client, server] {
                assert_eq!(stream.with_connection(kind), Some(HandshakeKind::Resumed));
            }
        }
    });
}

#[test]
fn early_data_is_accepted_and_answered_before_the_end_of_the_handshake() {
    run(async {
        let (authority, identity) = identities();
        let pair = early_pair(&authority, &identity, 1000);
        get_ticket(&pair).await;

        let (client, server) = tcp_pair().await;
        let mut client = pair.connector.stream("localhost", client).unwrap();
        let (written, _) = client.write_early_data("question").await;
        assert_eq!(written.unwrap(), 8);

        // The client does nothing more for now.
        let mut server = pair.acceptor.stream(server).unwrap();
        let (read, question) = server.read_early_data(Vec::with_capacity(100)).await;
        assert_eq!((read.unwrap(), &question[..]), (8, &b"question"[..]));
        server.write_all("answer").await.0.unwrap();
        assert!(server.with_connection(|connection| connection.is_handshaking()));

        assert_eq!(client.read_exact([0; 6]).await.1, *b"answer");
        client.handshake().await.unwrap();
        assert!(client.is_early_data_accepted());
        let (end, _) = server.read_early_data([0; 8]).await;
        assert_eq!(end.unwrap(), 0);
        client.write_all("more").await.0.unwrap();
        assert_eq!(server.read_exact([0; 4]).await.1, *b"more");
    });
}

#[test]
fn ordinary_reads_return_early_data_first() {
    run(async {
        let (authority, identity) = identities();
        let pair = early_pair(&authority, &identity, 1000);
        get_ticket(&pair).await;
        let (client, server) = tcp_pair().await;
        let client = pair.connector.stream("localhost", client).unwrap();
        client.write_early_data("early, ").await.0.unwrap();
        let opened = async {
            client.handshake().await.unwrap();
            let mut client = &client;
            client.write_all("late").await.0.unwrap();
            client.shutdown().await.unwrap();
        };
        let served = async {
            let mut server = pair.acceptor.accept(server).await.unwrap();
            let (read, all) = server.read_to_end(Vec::new()).await;
            read.unwrap();
            assert_eq!(all, b"early, late");
        };
        both(opened, served).await;
    });
}

#[test]
fn rejected_early_data_is_sent_again_by_the_client() {
    run(async {
        let (authority, identity) = identities();
        let pair = early_pair(&authority, &identity, 1000);
        get_ticket(&pair).await;
        // The same sessions at the client; a server that does not know them.
        let other = early_pair(&authority, &identity, 1000);
        let pair = Pair {
            connector: Arc::clone(pair.connector.config()).into(),
            acceptor: other.acceptor,
        };
        let (client, server) = tcp_pair().await;
        let mut client = pair.connector.stream("localhost", client).unwrap();
        let (written, request) = client.write_early_data("request").await;
        assert_eq!(written.unwrap(), 7);
        let mut server = pair.acceptor.stream(server).unwrap();
        let (handshake, early) = both(client.handshake(), server.read_early_data([0; 8])).await;
        handshake.unwrap();
        assert_eq!(early.0.unwrap(), 0);
        assert!(!client.is_early_data_accepted());
        client.write_all(request).await.0.unwrap();
        assert_eq!(server.read_exact([0; 7]).await.1, *b"request");
    });
}

#[test]
fn early_data_above_the_limit_is_not_accepted() {
    run(async {
        let (authority, identity) = identities();
        let pair = early_pair(&authority, &identity, 10);
        get_ticket(&pair).await;
        let (client, server) = tcp_pair().await;
        let mut client = pair.connector.stream("localhost", client).unwrap();
        let (written, bytes) = client.write_early_data(b"0123456789abcdef".to_vec()).await;
        assert_eq!(written.unwrap(), 10);
        let sent = async {
            client.handshake().await.unwrap();
            assert!(client.is_early_data_accepted());
            client.write_all(bytes.slice(10..)).await.0.unwrap();
        };
        let received = async {
            let mut server = pair.acceptor.accept(server).await.unwrap();
            server.read_exact([0; 16]).await.1
        };
        let ((), received) = both(sent, received).await;
        assert_eq!(&received, b"0123456789abcdef");
    });
}

#[test]
fn client_without_a_session_has_no_early_data() {
    run(async {
        let (authority, identity) = identities();
        let pair = early_pair(&authority, &identity, 1000);
        let (client, server) = tcp_pair().await;
        let client = pair.connector.stream("localhost", client).unwrap();
        let (written, buffer) = client.write_early_data(b"data".to_vec().slice(..)).await;
        assert_eq!(
            (written.unwrap(), buffer.into_inner()),
            (0, b"data".to_vec())
        );
        let server = pair.acceptor.stream(server).unwrap();
        let (handshake, early) = both(client.handshake(), server.read_early_data([0; 8])).await;
        handshake.unwrap();
        assert_eq!(early.0.unwrap(), 0);
        let mut server = server;
        let (mut client, mut buffer) = (client, [0; 5]);
        client.write_all("hello").await.0.unwrap();
        let mut read = 0;
        while read < 5 {
            let part = server.read(vec![0; 5 - read]).await;
            let len = part.0.unwrap();
            buffer[read..read + len].copy_from_slice(&part.1[..len]);
            read += len;
        }
        assert_eq!(&buffer, b"hello");
    });
}
