//! The graceful shutdown.

use std::{
    convert::Infallible,
    io::{Read, Write},
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Response,
    body::{Body, Bytes, Frame},
    service::service_fn,
};

use crate::support::{ask, read_response, read_rest, start, start_echo, start_until};

#[test]
fn idle_and_silent_connections_end_at_once() {
    let server = start_echo(|http| http);
    let mut idle = server.connect();
    ask(&mut idle, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut silent = server.connect();
    ask(&mut server.connect(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    server.join();
    assert!(read_rest(&mut idle).is_empty());
    assert!(read_rest(&mut silent).is_empty());
}

#[test]
fn request_in_progress_is_answered() {
    let (begun_send, begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let mut server = start(
        |http| http,
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
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    begun.recv().unwrap();
    server.begin_shutdown();
    release.send(()).unwrap();
    let (_, body) = read_response(&mut stream);
    assert_eq!(body, b"done");
    server.join();
    assert!(read_rest(&mut stream).is_empty());
}

/// A stream of events: one, and no end.
struct Events {
    first: Option<Bytes>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
            None => Poll::Pending,
        }
    }
}

#[test]
fn stream_of_events_ends_at_the_limit() {
    let mut server = start_until(
        Duration::from_millis(100),
        |http| http,
        || {
            service_fn(async |_| {
                let first = Some(Bytes::from("data: first\n\n"));
                Ok::<_, Infallible>(Response::new(Events { first }))
            })
        },
    );
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"data: first\n\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        received.push(byte[0]);
    }
    server.begin_shutdown();
    // Without the last chunk: the response is not complete.
    assert_eq!(read_rest(&mut stream), b"");
    server.join();
}
