//! HTTP/1.1.

use std::{convert::Infallible, io::Write, net::Shutdown, sync::mpsc};

use compio::cores::Server;
use compio_http::Http;
use http_body_util::Full;
use hyper::{Response, body::Bytes, service::service_fn};

use crate::support::{ask, echo, read_response, read_rest, run, start, start_echo};

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let server = start_echo(|http| http);
    let mut stream = server.connect();
    for number in 0..3 {
        let request = format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n");
        let (head, body) = ask(&mut stream, &request);
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert_eq!(body, format!("GET /{number} ").into_bytes());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start_echo(|http| http);
    let mut stream = server.connect();
    let requests: String = (0..10)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    stream.write_all(requests.as_bytes()).unwrap();
    for number in 0..10 {
        let (_, body) = read_response(&mut stream);
        assert_eq!(body, format!("GET /{number} ").into_bytes());
    }
}

/// The choice of the protocol must keep bytes that look like the begin of HTTP/2.
#[test]
fn request_that_arrives_byte_by_byte_is_complete() {
    let server = start_echo(|http| http);
    for method in ["GET", "PRI", "PUT"] {
        let mut stream = server.connect();
        stream.set_nodelay(true).unwrap();
        let request =
            format!("{method} /path HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
        for byte in request.as_bytes() {
            stream.write_all(&[*byte]).unwrap();
        }
        let (_, body) = read_response(&mut stream);
        assert_eq!(body, format!("{method} /path hello").into_bytes());
    }
}

#[test]
fn large_bodies_go_both_ways() {
    let server = start_echo(|http| http);
    let mut stream = server.connect();
    let body = vec![b'x'; 5 << 20];
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut writer = stream.try_clone().unwrap();
    let sent = body.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(head.as_bytes()).unwrap();
        writer.write_all(&sent).unwrap();
    });
    let (_, answer) = read_response(&mut stream);
    writing.join().unwrap();
    assert_eq!(answer.len(), "POST / ".len() + body.len());
    assert!(answer.ends_with(&body));
}

#[test]
fn ambiguous_lengths_are_refused() {
    let server = start_echo(|http| http);
    let refused = [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\nhello",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    ];
    for request in refused {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = String::from_utf8(read_rest(&mut stream)).unwrap();
        let is_refused = answer.is_empty()
            || answer.starts_with("HTTP/1.1 400")
            || answer.starts_with("HTTP/1.1 408");
        assert!(is_refused, "{request}\n{answer}");
    }
    // RFC 9112, 6.3: the transfer encoding counts, and the connection ends.
    let mut stream = server.connect();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(read_rest(&mut stream)).unwrap();
    assert!(!answer.contains("smuggled"), "{answer}");
}

/// Reports its drop.
struct OnDrop(mpsc::Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn close_of_client_drops_handler() {
    let (begun_send, begun) = mpsc::channel();
    let (dropped_send, dropped) = mpsc::channel();
    let server = start(
        |http| http,
        move || {
            service_fn(move |_| {
                let (begun, dropped) = (begun_send.clone(), OnDrop(dropped_send.clone()));
                async move {
                    let _dropped = dropped;
                    begun.send(()).unwrap();
                    std::future::pending::<()>().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            })
        },
    );
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    begun.recv().unwrap();
    drop(stream);
    dropped.recv().unwrap();
}

#[test]
fn server_on_all_cores_answers_and_ends() {
    run(async {
        let server = Server::bind("127.0.0.1:0").await.unwrap().workers(2);
        let server = Http::new().start(server, service_fn(echo)).unwrap();
        let address = server.local_addr();
        let clients: Vec<_> = (0..8)
            .map(|number| {
                std::thread::spawn(move || {
                    let mut stream = std::net::TcpStream::connect(address).unwrap();
                    let request = format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n");
                    for _ in 0..50 {
                        let (_, body) = ask(&mut stream, &request);
                        assert_eq!(body, format!("GET /{number} ").into_bytes());
                    }
                    stream
                })
            })
            .collect();
        let idle: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
        // Idle connections do not hold up the end.
        server.shutdown().await.unwrap();
        for mut stream in idle {
            assert!(read_rest(&mut stream).is_empty());
        }
    });
}
