//! Peers that violate the protocol. The same cases are sent to clients and to servers.

use compio::io::AsyncWriteExt;
use compio_ws::{CloseCode, Config, Error, Role};

use crate::support::{CLOSE, FIN, KEY, PING, Raw, TEXT, frame, run, with_raw_peer};

/// The bytes of a peer, masked if it is a client, and the close code of the answer.
type Case = (&'static str, fn(bool) -> Vec<u8>, u16);

const BINARY: u8 = 2;

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("RSV1",                 |m| frame(FIN | 0x40 | TEXT, m, b"a"),                            1002),
    ("RSV2",                 |m| frame(FIN | 0x20 | TEXT, m, b"a"),                            1002),
    ("RSV3",                 |m| frame(FIN | 0x10 | TEXT, m, b"a"),                            1002),
    ("RSV1 of a ping",       |m| frame(FIN | 0x40 | PING, m, b"a"),                            1002),
    ("reserved data 3",      |m| frame(FIN | 3, m, b"a"),                                      1002),
    ("reserved data 7",      |m| frame(FIN | 7, m, b""),                                       1002),
    ("reserved control 11",  |m| frame(FIN | 11, m, b"a"),                                     1002),
    ("reserved control 15",  |m| frame(FIN | 15, m, b""),                                      1002),
    ("wrong mask",           |m| frame(FIN | TEXT, !m, b"a"),                                  1002),
    ("wrong mask of a ping", |m| frame(FIN | PING, !m, b""),                                   1002),
    ("fragmented ping",      |m| frame(PING, m, b"a"),                                         1002),
    ("fragmented close",     |m| frame(CLOSE, m, b""),                                         1002),
    ("long ping",            |m| frame(FIN | PING, m, &[0; 126]),                              1002),
    ("long close",           |m| frame(FIN | CLOSE, m, &[0; 126]),                             1002),
    ("close of one byte",    |m| frame(FIN | CLOSE, m, &[3]),                                  1002),
    ("continues nothing",    |m| frame(FIN, m, b"a"),                                          1002),
    ("text within text",     |m| [frame(TEXT, m, b"a"), frame(FIN | TEXT, m, b"b")].concat(),  1002),
    ("binary within text",   |m| [frame(TEXT, m, b"a"), frame(BINARY, m, b"b")].concat(),      1002),
    ("not UTF-8",            |m| frame(FIN | TEXT, m, b"\xFF"),                                1007),
    ("a surrogate",          |m| frame(FIN | TEXT, m, b"\xED\xA0\x80"),                        1007),
    ("UTF-8 that is cut",    |m| frame(FIN | TEXT, m, b"\xE2\x82"),                            1007),
    ("UTF-8 over fragments", |m| [frame(TEXT, m, b"\xE2"), frame(FIN, m, b"\x82\x00")].concat(), 1007),
    ("invalid first part",   |m| frame(TEXT, m, b"\xC0\xAF"),                                  1007),
    ("close reason",         |m| frame(FIN | CLOSE, m, b"\x03\xE8\xFF"),                       1007),
    ("a frame over 1000",    |m| frame(FIN | BINARY, m, &[0; 1001]),                           1009),
    ("2 GiB",                |m| length(m, 0x8000_0000),                                       1009),
    ("2^63 - 1 bytes",       |m| length(m, i64::MAX as u64),                                   1009),
    ("2^64 - 1 bytes",       |m| length(m, u64::MAX),                                          1009),
    ("parts over 2000",      |m| [frame(BINARY, m, &[0; 999]), frame(0, m, &[0; 999]), frame(0, m, &[0; 3])].concat(), 1009),
    ("text over 2000",       |m| [frame(TEXT, m, &[65; 999]), frame(0, m, &[65; 999]), frame(FIN, m, &[65; 3])].concat(), 1009),
];

/// The header of a frame that claims this length.
fn length(is_masked: bool, len: u64) -> Vec<u8> {
    let mut bytes = vec![FIN | BINARY, u8::from(is_masked) << 7 | 127];
    bytes.extend(len.to_be_bytes());
    if is_masked {
        bytes.extend(KEY);
    }
    bytes
}

fn limits() -> Config {
    Config::new().max_message_size(2000).max_frame_size(1000)
}

/// The peer sends the bytes, piece by piece, and gets the close code; the side under test gets the error.
async fn violate((name, bytes, code): &Case, role: Role, piece: usize) {
    let (mut socket, mut peer) = with_raw_peer(role, limits());
    let bytes = bytes(peer.is_client);
    let violating = async {
        for piece in bytes.chunks(piece) {
            // The other side may have answered already.
            if peer.stream.write_all(piece.to_vec()).await.0.is_err() {
                break;
            }
        }
        peer.expect_close(*code).await;
        assert_eq!(peer.recv().await, None, "{name}: the end");
        drop(peer);
    };
    let observing = async {
        let error = match socket.recv().await {
            Some(Err(error)) => error,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(error.close_code(), Some(CloseCode::from(*code)), "{name}");
        let is_right = match code {
            1002 => matches!(error, Error::Protocol(_)),
            1007 => matches!(error, Error::Utf8),
            _ => matches!(
                error,
                Error::TooLarge {
                    limit: 1000 | 2000,
                    ..
                }
            ),
        };
        assert!(is_right, "{name}: {error:?}");
        assert!(socket.recv().await.is_none(), "{name}: after the error");
        let refused = socket.send("late").await.unwrap_err();
        assert!(matches!(refused, Error::Closed), "{name}: {refused}");
        socket.close(CloseCode::Normal, "").await.unwrap();
    };
    compio_testkit::future::both(violating, observing).await;
}

#[test]
fn violations_get_their_close_code_and_an_error() {
    run(async {
        for case in CASES {
            for role in [Role::Client, Role::Server] {
                for piece in [usize::MAX, 1, 5] {
                    violate(case, role, piece).await;
                }
            }
        }
    });
}

#[test]
fn an_error_that_is_followed_by_a_drop_sends_its_close_code() {
    run(async {
        let (mut socket, mut peer) = with_raw_peer(Role::Server, limits());
        peer.send(FIN | 3, b"").await;
        assert!(socket.recv().await.unwrap().is_err());
        drop(socket);
        peer.expect_close(1002).await;
    });
}

/// The messages before a violation are returned.
#[test]
fn messages_before_a_violation_are_received() {
    run(async {
        let (mut socket, peer) = with_raw_peer(Role::Server, limits());
        let Raw { mut stream, .. } = peer;
        let bytes = [
            frame(FIN | TEXT, true, b"good"),
            frame(TEXT, true, b"go"),
            frame(FIN | PING, true, b"between"),
            frame(FIN, true, "od \u{20AC}".as_bytes()),
            frame(FIN | 5, true, b""),
        ];
        stream.write_all(bytes.concat()).await.0.unwrap();
        assert_eq!(
            socket.recv().await.unwrap().unwrap().to_text().unwrap(),
            "good"
        );
        assert!(socket.recv().await.unwrap().unwrap().is_ping());
        let text = socket.recv().await.unwrap().unwrap();
        assert_eq!(text.to_text().unwrap(), "good \u{20AC}");
        assert!(socket.recv().await.unwrap().is_err());
    });
}

/// Codes that must not be on the wire are answered with 1002 (RFC 6455, 7.4).
#[test]
fn a_close_frame_with_a_reserved_code_is_answered_with_1002() {
    run(async {
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999] {
            let (mut socket, mut peer) = with_raw_peer(Role::Server, limits());
            peer.send(FIN | CLOSE, &code.to_be_bytes()).await;
            assert!(socket.recv().await.unwrap().unwrap().is_close());
            assert!(socket.recv().await.is_none());
            peer.expect_close(1002).await;
        }
    });
}
