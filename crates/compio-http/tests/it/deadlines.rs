//! The time limits of a connection. A limit that is not kept makes the client wait until its test fails.

use std::{
    io::{Read, Write},
    thread,
    time::Duration,
};

use hyper::service::service_fn;

use crate::support::{ask, echo, read_response, read_rest, start, start_echo};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn connection_without_request_ends() {
    let server = start_echo(|http| http.head_timeout(SHORT));
    for first in ["", "G", "PRI * HTTP/2.0", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = server.connect();
        stream.write_all(first.as_bytes()).unwrap();
        assert!(read_rest(&mut stream).is_empty(), "after {first:?}");
    }
}

/// Each byte arrives in time, but the head does not.
#[test]
fn head_in_small_pieces_is_too_slow() {
    let server = start_echo(|http| http.head_timeout(SHORT));
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let mut is_open = true;
        while is_open {
            is_open = writer.write_all(b"x").is_ok();
            thread::sleep(SHORT / 10);
        }
    });
    assert!(!String::from_utf8_lossy(&read_rest(&mut stream)).contains("200"));
    drop(stream);
    writing.join().unwrap();
}

#[test]
fn second_head_has_its_own_limit() {
    let server = start_echo(|http| http.head_timeout(SHORT).idle_timeout(None));
    let mut stream = server.connect();
    ask(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    // An idle connection may wait longer than that.
    thread::sleep(3 * SHORT);
    ask(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(b"GET / HT").unwrap();
    assert!(read_rest(&mut stream).is_empty());
}

#[test]
fn idle_connection_ends() {
    let server = start_echo(|http| http.idle_timeout(SHORT));
    let mut stream = server.connect();
    ask(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(read_rest(&mut stream).is_empty());
}

#[test]
fn slow_handler_is_no_idle_connection() {
    let server = start(
        |http| http.idle_timeout(SHORT).head_timeout(SHORT),
        || {
            service_fn(async |request| {
                compio::time::sleep(4 * SHORT).await;
                echo(request).await
            })
        },
    );
    let mut stream = server.connect();
    let (_, body) = ask(&mut stream, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(body, b"GET / ");
}

#[test]
fn body_that_stops_is_an_error_of_the_body() {
    let server = start_echo(|http| http.body_timeout(SHORT));
    let mut stream = server.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello")
        .unwrap();
    let (head, body) = read_response(&mut stream);
    assert!(head.starts_with("http/1.1 408"), "{head}");
    assert_eq!(body, b"the peer has sent nothing for too long");
}

#[test]
fn peer_that_does_not_read_is_disconnected() {
    let server = start(
        |http| http.write_timeout(SHORT),
        || {
            service_fn(async |_| {
                let body = hyper::body::Bytes::from(vec![b'x'; 64 << 20]);
                let body = http_body_util::Full::new(body);
                Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
            })
        },
    );
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    // The server ends while the client has not read: otherwise this waits for the whole response.
    server.join();
    assert!(read_rest(&mut stream).len() < 64 << 20);
}

/// The length of a response that is one block, more than all buffers hold.
const LARGE: usize = 64 << 20;

fn start_large() -> crate::support::Running {
    start(
        |http| http.idle_timeout(SHORT),
        || {
            service_fn(async |_| {
                let body = hyper::body::Bytes::from(vec![b'x'; LARGE]);
                let body = http_body_util::Full::new(body);
                Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
            })
        },
    )
}

/// Reads for longer than an idle connection and its end may take: the server has passed the body to hyper at once.
fn read_slowly(stream: &mut std::net::TcpStream) -> usize {
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0;
    while received < LARGE {
        std::thread::sleep(Duration::from_millis(100));
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(len) => received += len,
        }
    }
    received
}

#[test]
fn a_connection_whose_peer_reads_slowly_is_not_idle() {
    let server = start_large();
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert!(read_slowly(&mut stream) >= LARGE);
}

#[cfg(feature = "http2")]
#[test]
fn an_http2_connection_whose_peer_reads_slowly_is_not_idle() {
    let server = start_large();
    let mut stream = server.connect();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    // The largest window of streams, and of the connection; GET http://a/
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff";
    let window = b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0";
    let request = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
    let all = [&settings[..], window, request].concat();
    stream.write_all(&all).unwrap();
    assert!(read_slowly(&mut stream) >= LARGE);
}
