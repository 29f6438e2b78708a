//! The opening handshake.

use std::{io, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    task,
};
use compio_testkit::future::both;
use compio_ws::{
    ClientRequestBuilder, Config, Error, Message, accept, accept_with, client, client_with, http,
    select_protocol,
};

use crate::support::{FIN, TEXT, frame, run};

const URL: &str = "ws://localhost/path?query";

const REQUEST: &str = "GET /path HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn read_head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let (read, byte) = stream.read_exact([0; 1]).await;
        read.unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn headers_and_subprotocols_pass_both_ways() {
    run(async {
        for capacity in [1, 7, 64 * 1024] {
            let (left, right) = duplex(capacity);
            let request = ClientRequestBuilder::new(URL.parse().unwrap())
                .with_header("x-name", "Ann")
                .with_sub_protocol("v1.chat")
                .with_sub_protocol("v2.chat");
            let accepting = accept_with(right, Config::new(), |request, mut response| {
                assert_eq!(request.uri().to_string(), "/path?query");
                let supported = ["v3.chat", "v2.chat", "v1.chat"];
                let selected =
                    select_protocol(request.headers(), response.headers_mut(), &supported);
                assert_eq!(selected, Some("v2.chat"));
                response
                    .headers_mut()
                    .insert("x-answer", "yes".parse().unwrap());
                Ok(response)
            });
            let (connected, accepted) = both(client(left, request), accepting).await;
            let ((mut client, response), (mut server, request)) =
                (connected.unwrap(), accepted.unwrap());
            assert_eq!(request.headers()["x-name"], "Ann");
            assert_eq!(response.headers()["x-answer"], "yes");
            assert_eq!(response.headers()["sec-websocket-protocol"], "v2.chat");
            let ((), message) =
                both(async { client.send("hello").await.unwrap() }, server.recv()).await;
            assert_eq!(message.unwrap().unwrap(), Message::text("hello"));
        }
    });
}

#[test]
fn frames_behind_the_request_and_behind_the_response_are_received() {
    run(async {
        let (mut peer, stream) = duplex(64 * 1024);
        let mut bytes = REQUEST.as_bytes().to_vec();
        bytes.extend(frame(FIN | TEXT, true, b"early"));
        peer.write_all(bytes).await.0.unwrap();
        let (mut server, _) = accept(stream).await.unwrap();
        let message = server.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::text("early"));
        let response = read_head(&mut peer).await;
        assert!(
            response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{response}"
        );

        let (stream, right) = duplex(64 * 1024);
        let greeting = task::spawn(async move {
            let (mut server, _) = accept(right).await.unwrap();
            server.send("welcome").await.unwrap();
            server
        });
        let (mut client, _) = client(stream, URL).await.unwrap();
        let message = client.recv().await.unwrap().unwrap();
        assert_eq!(message, Message::text("welcome"));
        greeting.await.unwrap();
    });
}

/// Sends a request to a server, whose answer and error are returned.
async fn refuse(request: &str, config: Config) -> (String, Error) {
    let (mut peer, stream) = duplex(64 * 1024);
    let accepting =
        task::spawn(async move { accept_with(stream, config, |_, answer| Ok(answer)).await });
    peer.write_all(request.to_owned()).await.0.unwrap();
    let (read, answer) = peer.read_to_end(Vec::new()).await;
    read.unwrap();
    drop(peer);
    let error = accepting.await.unwrap().unwrap_err();
    (String::from_utf8(answer).unwrap(), error)
}

#[test]
fn invalid_requests_are_answered_and_the_stream_is_shut_down() {
    run(async {
        let without = |header: &str| {
            let lines = REQUEST.split_inclusive("\r\n");
            lines
                .filter(|line| !line.starts_with(header))
                .collect::<String>()
        };
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(125));
        for (request, status) in [
            (REQUEST.replace("GET", "POST"), 405),
            (REQUEST.replace("1.1", "1.0"), 400),
            (REQUEST.replace(": 13", ": 12"), 426),
            (without("Upgrade"), 426),
            (without("Connection"), 400),
            (without("Sec-WebSocket-Key"), 400),
            (REQUEST.replace("dGhl", "dGh"), 400),
            ("\u{1}\r\n\r\n".to_owned(), 400),
            ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
            (long, 431),
            (many, 400),
        ] {
            let config = Config::new().max_head_size(900);
            let (answer, error) = refuse(&request, config).await;
            let begin = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&begin), "{request}: {answer}");
            assert_eq!(answer.contains("sec-websocket-version: 13"), status == 426);
            assert!(matches!(error, Error::Handshake { .. }), "{error}");
            assert_eq!(error.status().unwrap(), status, "{error}");
        }
    });
}

#[test]
fn a_refused_client_that_keeps_its_stream_open_is_left() {
    run(async {
        let (mut peer, stream) = duplex(64 * 1024);
        peer.write_all("GET / HTTP/1.1\r\n\r\n").await.0.unwrap();
        let error = accept(stream).await.unwrap_err();
        assert_eq!(error.status().unwrap(), 400, "{error}");
        let answer = read_head(&mut peer).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    });
}

#[test]
fn a_head_without_an_end_is_refused_at_its_limit() {
    run(async {
        let request = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000));
        let (answer, error) = refuse(&request, Config::new()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert_eq!(error.status().unwrap(), 431);
    });
}

#[test]
fn a_refusal_of_the_callback_reaches_the_client() {
    run(async {
        let (left, right) = duplex(100);
        let accepting = accept_with(right, Config::new(), |_, _| {
            let mut refusal = http::Response::new(Some("go away".to_owned()));
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            refusal
                .headers_mut()
                .insert("x-reason", "full".parse().unwrap());
            Err(refusal.into())
        });
        let (connected, accepted) = both(client(left, URL), accepting).await;
        for error in [connected.unwrap_err(), accepted.unwrap_err()] {
            assert_eq!(error.status().unwrap(), 403);
            let Error::Refused(response) = error else {
                panic!("{error}");
            };
            assert_eq!(response.headers()["x-reason"], "full");
            assert_eq!(response.body(), b"go away");
        }
    });
}

/// The answer of a server, in which KEY is the accept key of the request.
async fn answer(answer: &str) -> Error {
    let (stream, mut peer) = duplex(64 * 1024);
    let connecting = task::spawn(async move { client(stream, URL).await });
    let request = read_head(&mut peer).await;
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let key = compio_ws::tungstenite::handshake::derive_accept_key(key.as_bytes());
    peer.write_all(answer.replace("KEY", &key)).await.0.unwrap();
    peer.shutdown().await.unwrap();
    connecting.await.unwrap().unwrap_err()
}

#[test]
fn a_response_that_cannot_be_sent_is_an_error_of_the_callback() {
    run(async {
        for is_refusal in [false, true] {
            let (mut left, right) = duplex(1024);
            left.write_all(REQUEST).await.0.unwrap();
            let result = accept_with(right, Config::new(), |_, mut response| {
                let name = http::HeaderValue::from_bytes(b"\xFF").unwrap();
                response.headers_mut().insert("x-name", name);
                match is_refusal {
                    true => Err(response.map(|()| None).into()),
                    false => Ok(response),
                }
            });
            let error = result.await.unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
            // The stream is closed without a response.
            assert_eq!(left.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        }
    });
}

#[test]
fn invalid_responses_are_errors() {
    run(async {
        let good = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Accept: KEY\r\n";
        for wrong in [
            good.replace("KEY", "dGhlIHNhbXBsZSBub25jZQ=="),
            good.replace("Connection: Upgrade", "Connection: close"),
            good.replace("websocket", "h2c"),
            format!("{good}Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            format!("{good}Sec-WebSocket-Protocol: chat\r\n"),
            "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        ] {
            let error = answer(&format!("{wrong}\r\n")).await;
            assert!(
                matches!(error, Error::Handshake { status: None, .. }),
                "{wrong}: {error}"
            );
        }
        // The complete one is accepted: the error is the end of the stream below.
        for cut in ["", "HTTP/1.1 101 Switching Pro", good] {
            let error = io::Error::from(answer(cut).await);
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        }
        let error = answer("HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nlater").await;
        let Error::Refused(response) = error else {
            panic!("{error}");
        };
        assert_eq!(response.status(), 503);
        assert_eq!(response.body(), b"later", "as far as it has arrived");
        let endless = format!("HTTP/1.1 101 A\r\nX: {}", "x".repeat(20_000));
        let error = io::Error::from(answer(&endless).await);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    });
}

#[test]
fn handshakes_with_silent_peers_end_after_their_limit() {
    run(async {
        let config = Config::new().handshake_timeout(Duration::from_millis(50));
        let (left, mut peer) = duplex(64 * 1024);
        let error = io::Error::from(client_with(left, URL, config).await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        // The request was sent, and the stream is closed.
        assert!(
            read_head(&mut peer)
                .await
                .starts_with("GET /path?query HTTP/1.1\r\n")
        );
        assert_eq!(peer.read_to_end(Vec::new()).await.0.unwrap(), 0);

        let (_peer, right) = duplex(64);
        let accepting = accept_with(right, config, |_, response| Ok(response));
        let error = io::Error::from(accepting.await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    });
}

#[test]
fn urls_that_name_no_host_or_another_scheme_are_invalid() {
    run(async {
        for url in [
            "http://localhost/",
            "/path",
            "ws:///path",
            "localhost",
            "ws://a b/",
        ] {
            let error = compio_ws::connect(url).await.unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{url}: {error}");
        }
        let error = io::Error::from(compio_ws::connect("wss://localhost/").await.unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    });
}

#[test]
fn a_client_connects_by_name_and_by_address() {
    use compio::net::TcpListener;
    run(async {
        for (bound, host) in [
            ("127.0.0.1", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "[::1]"),
        ] {
            // A machine may be without IPv6.
            let Ok(listener) = TcpListener::bind((bound, 0)).await else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let accepting = async {
                let (stream, _) = listener.accept().await.unwrap();
                accept(stream).await.unwrap()
            };
            let url = format!("ws://{host}:{port}");
            let (connected, (mut server, request)) = both(compio_ws::connect(url), accepting).await;
            assert_eq!(request.headers()["host"], format!("{host}:{port}"));
            let (mut client, _) = connected.unwrap();
            server.send("hello").await.unwrap();
            assert_eq!(
                client.recv().await.unwrap().unwrap(),
                Message::text("hello")
            );
        }
    });
}
