//! Bodies of requests and responses.

use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error,
    io::{self, Read, Write},
    mem,
    pin::Pin,
    process::{Command, Stdio},
    task::{Context, Poll},
};

use bytes::Bytes;
use compio_http::Client;
use compio_testkit::process::skip;
use http_body_util::BodyExt;
use hyper::{
    Method, Request,
    body::{Body, Frame, SizeHint},
};

use super::peer::{Peer, answer, read_request, says};
use crate::support::{run, start_echo};

/// A body that is a stream.
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    has_length: bool,
}

impl Pieces {
    pub(super) fn with_length(pieces: impl Into<VecDeque<Bytes>>) -> Self {
        Self {
            pieces: pieces.into(),
            has_length: true,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_length {
            SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
        } else {
            SizeHint::default()
        }
    }
}

#[test]
fn large_bodies_arrive_in_both_directions() {
    let server = start_echo(|http| http);
    let body = Bytes::from_iter((0..8 << 20).map(|i| (i / 1000) as u8));
    run(async {
        let client = Client::new();
        for has_length in [true, false] {
            let pieces = body.chunks(100_000).map(|piece| body.slice_ref(piece));
            let pieces = Pieces {
                pieces: pieces.collect(),
                has_length,
            };
            let url = format!("http://{}/path", server.address);
            let request = Request::post(url).body(pieces).unwrap();
            let response = client.request(request).await.unwrap();
            let answer = response.bytes().await.unwrap();
            assert!(answer.starts_with(b"POST /path "));
            assert!(answer[11..] == body);
        }
    });
}

#[test]
fn responses_without_body_leave_the_connection_usable() {
    for (method, response) in [
        (
            Method::GET,
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        ),
        (Method::DELETE, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
    ] {
        let peer = Peer::start(move |number, stream| {
            assert_eq!(number, 0);
            for _ in 0..3 {
                read_request(stream).unwrap();
                stream.write_all(response.as_bytes()).unwrap();
            }
        });
        run(async {
            let client = Client::new();
            for _ in 0..3 {
                let request = client.method(method.clone(), peer.url("/"));
                let received = request.send().await.unwrap();
                assert!(response.contains(received.status().as_str()));
                assert_eq!(
                    received.headers().contains_key("content-length"),
                    response.contains("content-length")
                );
                assert!(received.bytes().await.unwrap().is_empty());
            }
        });
    }
}

#[test]
fn chunked_body_has_chunks_and_trailers() {
    let peer = says(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: sum\r\n\r\n\
         5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nsum: 11\r\n\r\n",
    );
    run(async {
        let client = Client::new();
        let response = client.get(peer.url("/")).send().await.unwrap();
        assert_eq!(response.content_length(), None);
        assert_eq!(response.text().await.unwrap(), "hello world");
        let request = client.get(peer.url("/")).header("te", "trailers");
        let body = request.send().await.unwrap().into_hyper().into_body();
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["sum"], "11");
    });
}

#[test]
fn body_without_length_lasts_to_the_end_of_the_connection() {
    let peer = Peer::start(|_, stream| {
        read_request(stream);
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
    });
    run(async {
        let client = Client::new();
        for _ in 0..2 {
            let response = client.get(peer.url("/")).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello");
        }
    });
}

/// A body that ends with an error after its first bytes.
struct Broken(bool);

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let is_first = !mem::replace(&mut self.0, true);
        Poll::Ready(Some(match is_first {
            true => Ok(Frame::data("first".into())),
            false => Err(io::Error::other("the source is broken")),
        }))
    }
}

#[test]
fn body_of_a_request_that_fails_is_an_error_with_its_source() {
    let peer = Peer::start(|_, stream| {
        // The request is cut off.
        let mut request = Vec::new();
        let _ = stream.read_to_end(&mut request);
    });
    run(async {
        let request = Request::put(peer.url("/")).body(Broken(false)).unwrap();
        let error = Client::new().request(request).await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        let hyper = error.as_hyper().unwrap();
        assert!(hyper.is_user());
        assert_eq!(hyper.source().unwrap().to_string(), "the source is broken");
    });
}

#[test]
fn text_that_is_no_utf8_is_an_error() {
    let server = start_echo(|http| http);
    run(async {
        let request = Client::new().post(format!("http://{}/", server.address));
        let response = request.body(vec![0xff]).send().await.unwrap();
        assert!(response.text().await.unwrap_err().is_decode());
    });
}

#[test]
fn target_and_host_have_the_form_of_http1() {
    let peer = Peer::start(|_, stream| {
        while let Some((head, _)) = read_request(stream) {
            answer(stream, &head);
        }
    });
    run(async {
        let client = Client::new();
        let host = peer.url("").replace("http://", "");
        let targets = [
            ("", "/"),
            ("/", "/"),
            ("?a=b", "/?a=b"),
            ("/a/b?c#d", "/a/b?c"),
        ];
        for (url, target) in targets {
            let response = client.get(peer.url(url)).send().await.unwrap();
            let head = response.text().await.unwrap();
            let expected = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            assert_eq!(head, expected);
        }
        let request = client.method(Method::OPTIONS, peer.url("/"));
        let request = request.header("host", "other").header("x-a", "b");
        let head = request.send().await.unwrap().text().await.unwrap();
        assert_eq!(head, "OPTIONS / HTTP/1.1\r\nhost: other\r\nx-a: b\r\n\r\n");
    });
}

/// Python's server closes each connection of HTTP/1.0, and keeps those of HTTP/1.1.
#[test]
fn server_of_python_is_understood() {
    let script = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = sys.argv[1]
    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let python = if cfg!(windows) { "python" } else { "python3" };
        let spawned = Command::new(python)
            .args(["-c", script, version])
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut server) = spawned else {
            return skip("server_of_python_is_understood", "no Python");
        };
        let mut port = String::new();
        let stdout = server.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut port).unwrap();
        let url = format!("http://127.0.0.1:{}/", port.trim());
        let answers = run(async {
            let client = Client::new();
            let mut answers = Vec::new();
            for _ in 0..3 {
                let response = client.post(&url).body("hello").send().await.unwrap();
                answers.push(response.text().await.unwrap());
            }
            answers
        });
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(answers, ["olleh"; 3]);
    }
}

/// Answers with the values of `content-length` and `transfer-encoding` of the request.
fn echo_framing() -> Peer {
    Peer::start(|_, stream| {
        while let Some((head, _)) = read_request(stream) {
            let head = head.to_lowercase();
            let lines = head.lines();
            let framing = lines.filter(|line| {
                line.starts_with("content-length") || line.starts_with("transfer-encoding")
            });
            answer(stream, &framing.collect::<Vec<_>>().join(", "));
        }
    })
}

/// A server may refuse a method with content and without a length (RFC 9110, 8.6).
#[test]
fn empty_bodies_have_a_length_if_the_method_has_content() {
    let peer = echo_framing();
    run(async {
        let client = Client::new();
        for (method, expected) in [
            (Method::POST, "content-length: 0"),
            (Method::PUT, "content-length: 0"),
            (Method::PATCH, "content-length: 0"),
            (Method::GET, ""),
            (Method::DELETE, ""),
        ] {
            let request = client.method(method.clone(), peer.url("/"));
            let answer = request.send().await.unwrap().text().await.unwrap();
            assert_eq!(answer, expected, "{method}");
        }
        let request = client.post(peer.url("/")).header("content-length", "0");
        let answer = request.send().await.unwrap().text().await.unwrap();
        assert_eq!(answer, "content-length: 0");
    });
}
