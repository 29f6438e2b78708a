//! The close handshake, and connections that end without it.

use std::{io, time::Duration};

use compio::{io::AsyncWrite, task};
use compio_testkit::future::both;
use compio_ws::{CloseCode, CloseFrame, Config, Error, Message, Role};

use crate::support::{CLOSE, FIN, TEXT, in_memory, over, run, tcp_pair, with_raw_peer};

fn close_frame(code: CloseCode, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

#[test]
fn both_sides_learn_the_code_and_the_reason() {
    run(async {
        for client_closes in [true, false] {
            let (client, server) = over(tcp_pair().await);
            let (mut closing, mut other) = match client_closes {
                true => (client, server),
                false => (server, client),
            };
            let close = closing.close(CloseCode::Away, "bye");
            let observe = async {
                let message = other.recv().await.unwrap().unwrap();
                assert_eq!(message, close_frame(CloseCode::Away, "bye"));
                let refused = other.send("late").await.unwrap_err();
                assert!(matches!(refused, Error::Closed), "{refused}");
                assert!(other.recv().await.is_none());
                assert!(other.recv().await.is_none());
                other.close(CloseCode::Normal, "").await.unwrap();
            };
            let (closed, ()) = both(close, observe).await;
            closed.unwrap();
            let refused = closing.send("late").await.unwrap_err();
            assert!(matches!(refused, Error::Closed), "{refused}");
            assert!(closing.recv().await.is_none());
        }
    });
}

#[test]
fn both_sides_close_at_once() {
    run(async {
        let (mut client, mut server) = over(tcp_pair().await);
        let (of_client, of_server) = both(
            client.close(CloseCode::Normal, "c"),
            server.close(CloseCode::Normal, "s"),
        )
        .await;
        of_client.unwrap();
        of_server.unwrap();
    });
}

#[test]
fn a_close_behind_a_large_message_follows_it() {
    run(async {
        let (mut client, mut server) = in_memory(100);
        let closing = async {
            client.feed(vec![1; 100_000]).await.unwrap();
            client.close(CloseCode::Normal, "").await.unwrap();
        };
        let receiving = async {
            assert_eq!(server.recv().await.unwrap().unwrap().len(), 100_000);
            assert!(server.recv().await.unwrap().unwrap().is_close());
            assert!(server.recv().await.is_none());
            drop(server);
        };
        both(closing, receiving).await;
    });
}

#[test]
fn messages_after_the_own_close_frame_are_received() {
    run(async {
        let (mut socket, mut peer) = with_raw_peer(Role::Client, Config::new());
        socket
            .send(close_frame(CloseCode::Normal, ""))
            .await
            .unwrap();
        peer.send(FIN | TEXT, b"one more").await;
        peer.send(FIN | CLOSE, &1000u16.to_be_bytes()).await;
        peer.expect_close(1000).await;
        let message = socket.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::text("one more"));
        assert!(socket.recv().await.unwrap().unwrap().is_close());
        assert!(socket.recv().await.is_none());
    });
}

#[test]
fn a_close_without_an_answer_ends_after_its_limit() {
    run(async {
        for role in [Role::Client, Role::Server] {
            let config = Config::new().close_timeout(Duration::from_millis(50));
            let (mut socket, mut peer) = with_raw_peer(role, config);
            let error = socket.close(CloseCode::Normal, "").await.unwrap_err();
            let error = io::Error::from(error);
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            peer.expect_close(1000).await;
        }
    });
}

#[test]
fn a_close_whose_peer_reads_nothing_ends_after_its_limit() {
    run(async {
        let config = Config::new().close_timeout(Duration::from_millis(50));
        let (mut socket, _peer) = with_raw_peer(Role::Server, config);
        assert!(crate::support::attempt(socket.send(vec![0; 1 << 20])).is_none());
        let error = io::Error::from(socket.close(CloseCode::Normal, "").await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    });
}

#[test]
fn the_server_waits_for_the_end_of_a_closed_stream_no_longer_than_the_limit() {
    run(async {
        let config = Config::new().close_timeout(Duration::from_millis(50));
        let (mut socket, mut peer) = with_raw_peer(Role::Server, config);
        peer.send(FIN | CLOSE, &1000u16.to_be_bytes()).await;
        // The handshake is complete, although the client keeps its stream open.
        socket.close(CloseCode::Normal, "").await.unwrap();
        peer.expect_close(1000).await;
        assert_eq!(peer.recv().await, None);
    });
}

#[test]
fn eof_without_a_close_frame_is_an_error() {
    run(async {
        // Nothing, a part of a header, a part of a payload, a part of a message.
        for bytes in [&[][..], &[0x81], &[0x81, 5, b'a'], &[0x01, 1, b'a']] {
            let (mut socket, mut peer) = with_raw_peer(Role::Client, Config::new());
            compio::io::AsyncWriteExt::write_all(&mut peer.stream, bytes.to_vec())
                .await
                .0
                .unwrap();
            peer.stream.shutdown().await.unwrap();
            let error = io::Error::from(socket.recv().await.unwrap().unwrap_err());
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
            assert!(socket.recv().await.is_none());
        }
    });
}

#[test]
fn eof_instead_of_the_answer_to_a_close_frame_is_an_error() {
    run(async {
        let (mut socket, peer) = with_raw_peer(Role::Client, Config::new());
        let closing = task::spawn(async move { socket.close(CloseCode::Normal, "").await });
        drop(peer);
        let error = io::Error::from(closing.await.unwrap().unwrap_err());
        let kind = error.kind();
        assert!(
            matches!(
                kind,
                io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
            ),
            "{error}"
        );
    });
}

#[test]
fn a_send_to_a_peer_that_has_gone_fails_once_with_its_error() {
    run(async {
        let (mut socket, peer) = with_raw_peer(Role::Server, Config::new());
        drop(peer);
        let error = io::Error::from(socket.send("hello").await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
        assert!(matches!(socket.send("hello").await, Err(Error::Closed)));
    });
}

/// The last message and the close frame arrive although the sender drops its connection at once.
#[test]
fn messages_before_a_drop_arrive() {
    run(async {
        let (mut client, mut server) = over(tcp_pair().await);
        client.send("last words").await.unwrap();
        drop(client);
        let message = server.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::text("last words"));
        let error = io::Error::from(server.recv().await.unwrap().unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}
