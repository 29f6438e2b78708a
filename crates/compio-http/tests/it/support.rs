//! A server on a thread of its own, and blocking clients.

use std::{
    convert::Infallible,
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use compio::net::TcpListener;
use compio_http::{Http, RequestBody};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes},
    service::{Service, service_fn},
};

/// A read that takes longer hangs.
const LONG: Duration = Duration::from_secs(20);

/// A server that ends with this value.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<futures_channel::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Begins the graceful shutdown.
    pub(crate) fn begin_shutdown(&mut self) {
        self.stop.take();
    }

    /// Waits until all connections have ended.
    pub(crate) fn join(mut self) {
        self.stop.take();
        self.thread.take().unwrap().join().unwrap();
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || thread::panicking(),
                "the server has panicked"
            );
        }
    }
}

/// Serves on a thread of its own, where `service` is made.
pub(crate) fn start<S, B>(
    http: impl FnOnce(Http) -> Http + Send + 'static,
    service: impl FnOnce() -> S + Send + 'static,
) -> Running
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    S::Future: 'static,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    start_until(LONG, http, service)
}

/// As `start`, with a limit for the graceful shutdown.
pub(crate) fn start_until<S, B>(
    shutdown_timeout: Duration,
    http: impl FnOnce(Http) -> Http + Send + 'static,
    service: impl FnOnce() -> S + Send + 'static,
) -> Running
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    S::Future: 'static,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let (send, receive) = mpsc::channel();
    let (stop, stopped) = futures_channel::oneshot::channel();
    let thread = thread::spawn(move || {
        compio::task::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            http(Http::new())
                .serve(listener, service())
                .with_graceful_shutdown(async {
                    let _ = stopped.await;
                })
                .shutdown_timeout(shutdown_timeout)
                .await
                .unwrap();
        });
    });
    Running {
        address: receive.recv().unwrap(),
        stop: Some(stop),
        thread: Some(thread),
    }
}

/// Answers with method, path and body of the request, or with the error of the body.
pub(crate) async fn echo(
    request: Request<RequestBody>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    Ok(match body.collect().await {
        Ok(body) => {
            let mut text = format!("{} {} ", parts.method, parts.uri.path()).into_bytes();
            text.extend_from_slice(&body.to_bytes());
            Response::new(Full::new(text.into()))
        }
        Err(error) => {
            let mut response = Response::new(Full::new(error.to_string().into()));
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
            response
        }
    })
}

pub(crate) fn start_echo(http: impl FnOnce(Http) -> Http + Send + 'static) -> Running {
    start(http, || service_fn(echo))
}

/// The status line, the head, and the body by its `content-length`.
pub(crate) fn read_response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

pub(crate) fn ask(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).unwrap();
    read_response(stream)
}

/// Reads to EOF, or to the reset.
pub(crate) fn read_rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    rest
}

/// Runs a future on a runtime of its own, which ends with it and closes all connections.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    compio::runtime::Runtime::new().unwrap().block_on(future)
}
