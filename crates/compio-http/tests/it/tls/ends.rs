//! The ends of connections: close_notify, the graceful shutdown, time limits.

use std::{convert::Infallible, io::Write, sync::mpsc, time::Duration};

use compio_testkit::tls::Authority;
use compio_tls::rustls::{ClientConnection, StreamOwned};
use http_body_util::Full;
use hyper::{Response, body::Bytes, service::service_fn};

use super::support::{Site, ask, end, read_to_close_notify, response, shake_hands};
use crate::support::{read_rest, start};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn close_of_http1_is_a_close_notify() {
    let site = Site::new();
    let mut stream = site.connect();
    let request = b"GET /last HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    assert_eq!(response(&mut stream), "HTTP/1.1 /last");
    assert!(read_to_close_notify(&mut stream).is_empty());
}

#[test]
fn idle_connection_ends_with_close_notify() {
    let site = Site::with(|http| http.idle_timeout(SHORT));
    let mut stream = site.connect();
    ask(&mut stream, "/");
    assert!(read_to_close_notify(&mut stream).is_empty());
}

#[test]
fn connection_without_request_ends_with_close_notify() {
    let site = Site::with(|http| http.head_timeout(SHORT));
    for protocols in [&[][..], &["http/1.1"], &["h2"]] {
        let mut stream = site.connect_alpn(protocols);
        assert!(read_to_close_notify(&mut stream).is_empty());
    }
}

#[test]
fn client_that_ends_first_is_answered_with_close_notify() {
    let site = Site::new();
    for is_used in [false, true] {
        let mut stream = site.connect();
        if is_used {
            ask(&mut stream, "/");
        }
        shake_hands(&mut stream);
        end(&mut stream);
        assert!(read_to_close_notify(&mut stream).is_empty());
    }
}

#[test]
fn shutdown_ends_silent_and_idle_connections_at_once() {
    let mut site = Site::new();
    let mut silent = site.server.connect();
    let mut shaken = site.connect();
    shake_hands(&mut shaken);
    let mut idle = site.connect();
    ask(&mut idle, "/");
    let mut http2 = site.connect_alpn(&["h2"]);
    shake_hands(&mut http2);
    // The server has accepted the others when it answers.
    ask(&mut site.connect(), "/");
    site.server.begin_shutdown();
    for stream in [&mut shaken, &mut idle, &mut http2] {
        assert!(read_to_close_notify(stream).is_empty());
    }
    assert!(read_rest(&mut silent).is_empty());
    site.server.join();
}

#[test]
fn shutdown_lets_a_handshake_and_a_request_in_progress_end() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let tls = identity.server();
    let (begun_send, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let mut server = start(
        move |http| http.tls(tls),
        move || {
            service_fn(move |_| {
                let (begun, released) = (begun_send.clone(), released.clone());
                async move {
                    begun.send(()).unwrap();
                    let waited =
                        compio::task::spawn_blocking(move || released.lock().unwrap().recv());
                    waited.await.unwrap().unwrap();
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
                }
            })
        },
    );
    let config = std::sync::Arc::new(authority.client());
    let connect = || {
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(config.clone(), name).unwrap();
        StreamOwned::new(connection, server.connect())
    };
    // This one sends its first message only.
    let mut late = connect();
    late.conn.write_tls(&mut late.sock).unwrap();
    // The answer of the server shows that the handshake has begun.
    late.sock.peek(&mut [0]).unwrap();
    let mut busy = connect();
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    busy.write_all(request).unwrap();
    begun.recv().unwrap();
    server.begin_shutdown();
    // The handshake ends, and the request that comes with it is answered.
    late.write_all(request).unwrap();
    begun.recv().unwrap();
    release.send(()).unwrap();
    release.send(()).unwrap();
    for mut stream in [busy, late] {
        assert_eq!(response(&mut stream), "done");
        assert!(read_to_close_notify(&mut stream).is_empty());
    }
    server.join();
}
