//! Leak check of TLS, HTTP and WebSocket: waves of clients that finish, leave in the middle, or speak another protocol. After
//! each wave the process has as many descriptors and tasks as before, and no more memory.
//!
//! The test is a separate process, since it counts the resources of the process. Two variables configure it:
//! `COMPIO_SOAK_SECONDS`, the duration (without it, a few waves); and `COMPIO_SOAK_SEED`, which repeats the random choices of
//! an earlier run.
#![cfg(target_os = "linux")]

use std::{
    convert::Infallible,
    env, fs, process,
    str::FromStr,
    time::{Duration, Instant},
};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::{self, JoinSet},
    time::{sleep, timeout},
};
use compio_http::{
    Client, RequestBody,
    client::HttpsConnector,
    hyper::{Request, Response, body::Bytes, service::service_fn},
    serve,
};
use compio_testkit::{
    LONG,
    allocator::{Counting, LiveBytes},
    random::Dice,
    tls::Authority,
};
use compio_tls::{TlsAcceptor, TlsConnector};
use compio_ws::{CloseCode, Config, connect_tls, upgrade};
use http_body_util::{BodyExt, Full};

#[global_allocator]
static ALLOCATOR: Counting<LiveBytes> = Counting(LiveBytes);

/// The clients of a wave.
const VISITS: usize = 60;

/// The minimum of waves, and the waves after which all reusable memory is allocated.
const WAVES_MIN: usize = 6;
const WAVES_TO_WARM_UP: usize = 4;

/// The bytes by which memory may grow after the warm-up: buffers and caches of sessions that are kept for reuse. A leak of
/// one connection's buffers in a hundred would exceed it.
const SLACK: isize = 256 * 1024;

/// The length of the response `/large`, and of the upload that its client cuts.
const LARGE: usize = 1 << 20;

async fn respond(mut request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/socket" => {
            let Ok((response, upgrade)) = upgrade::upgrade(&mut request) else {
                return Ok(Response::default());
            };
            task::spawn(async {
                let Ok(mut socket) = upgrade.accept().await else {
                    return;
                };
                while let Some(Ok(message)) = socket.recv().await {
                    if !message.is_close() && socket.send(message).await.is_err() {
                        return;
                    }
                }
                let _ = socket.close(CloseCode::Normal, "").await;
            })
            .detach();
            return Ok(response.map(|()| Full::default()));
        }
        "/large" => Bytes::from(vec![b'x'; LARGE]),
        _ => match request.into_body().collect().await {
            Ok(body) => body.to_bytes().len().to_string().into(),
            Err(_) => Bytes::new(),
        },
    };
    Ok(Response::new(Full::new(body)))
}

/// The server's port, and clients that trust it.
#[derive(Clone)]
struct Site {
    port: u16,
    http1: TlsConnector,
    http2: TlsConnector,
}

impl Site {
    /// Starts the server in a task of this runtime.
    async fn start() -> Self {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(authority.issue(&["localhost"]).server());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = serve(listener, service_fn(respond)).tls(acceptor);
        task::spawn(async move { server.await }).detach();
        let mut http2 = authority.client();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            port,
            http1: authority.client().into(),
            http2: http2.into(),
        }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.port)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("a server")
    }

    fn client(&self, connector: &TlsConnector) -> Client<HttpsConnector> {
        Client::builder().tls(connector.clone()).build()
    }

    /// A client, which finishes or leaves. The result is the number of whole answers.
    async fn visit(self, kind: usize, pause: Duration) -> usize {
        match kind {
            // Requests of HTTP/1.1 and HTTP/2, in turn and at once.
            0 | 1 => {
                let client = self.client(if kind == 0 { &self.http1 } else { &self.http2 });
                let mut answers = 0;
                for body in [0, 10, 100_000] {
                    let request = client.post(self.url("https", "/")).body(vec![b'x'; body]);
                    let response = request.send().await.expect("a response");
                    assert_eq!(response.text().await.expect("a body"), body.to_string());
                    answers += 1;
                }
                answers
            }
            // A download that is cut.
            2 => {
                let client = self.client(&self.http2);
                let mut response = client
                    .get(self.url("https", "/large"))
                    .send()
                    .await
                    .expect("a response");
                response.chunk().await.expect("a body");
                0
            }
            // An upload that is cut.
            3 => {
                let tls = self.http1.connect("localhost", self.connect().await).await;
                let mut tls = tls.expect("a handshake");
                let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n");
                tls.write_all(head).await.0.expect("room");
                tls.write_all(vec![b'x'; 1000]).await.0.expect("room");
                sleep(pause).await;
                0
            }
            // A WebSocket connection, with a close handshake and without.
            4 | 5 => {
                let url = self.url("wss", "/socket");
                let socket = connect_tls(url, &self.http1, Config::new()).await;
                let (mut socket, _) = socket.expect("an upgrade");
                for len in [1, 1000, 100_000] {
                    socket.send(vec![7; len]).await.expect("a server");
                    let message = socket.recv().await.expect("a message").expect("a message");
                    assert_eq!(message.len(), len);
                }
                if kind == 4 {
                    socket
                        .close(CloseCode::Normal, "")
                        .await
                        .expect("an answer");
                }
                3
            }
            // Another protocol.
            6 => {
                let mut stream = self.connect().await;
                let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
                stream.write_all(request).await.0.expect("room");
                // The server answers that it needs TLS, or resets the connection.
                let _ = stream.read_to_end(Vec::new()).await;
                0
            }
            // A handshake that is cancelled at any time.
            _ => {
                let connect = async {
                    let stream = self.connect().await;
                    let _ = self.http2.connect("localhost", stream).await;
                };
                let _ = timeout(pause, connect).await;
                0
            }
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("the list").count() - 1
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

/// The tasks, operations and descriptors, once they have not changed for a while.
async fn at_rest(runtime: &Runtime) -> (String, usize) {
    let state = || (format!("{runtime:?}"), descriptors());
    let (mut known, mut samples) = (state(), 0);
    while samples < 30 {
        sleep(Duration::from_millis(10)).await;
        let next = state();
        samples = if next == known { samples + 1 } else { 0 };
        known = next;
    }
    known
}

/// Waits until the process has as many tasks, operations and descriptors as before.
async fn settle(runtime: &Runtime, before: &(String, usize)) {
    let settled = async {
        while (format!("{runtime:?}"), descriptors()) != *before {
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(LONG, settled).await.is_err() {
        panic!(
            "{runtime:?} with {} descriptors, and before: {before:?}",
            descriptors()
        );
    }
}

#[test]
fn connections_of_all_services_leak_nothing() {
    let seed = variable("COMPIO_SOAK_SEED").unwrap_or_else(|| u64::from(process::id()));
    let time = Duration::from_secs(variable("COMPIO_SOAK_SECONDS").unwrap_or(0));
    let runtime = Runtime::new().expect("a runtime");
    println!("COMPIO_SOAK_SEED={seed}, on {}", runtime.backend());
    let mut dice = Dice(seed);
    runtime.block_on(async {
        let site = Site::start().await;
        // A server that has answered accepts again.
        site.clone().visit(0, Duration::ZERO).await;
        let before = at_rest(&runtime).await;
        let mut warm = None;
        let mut answers = 0;
        let (mut waves, start) = (0, Instant::now());
        while waves < WAVES_TO_WARM_UP + WAVES_MIN || start.elapsed() < time {
            let mut visits = JoinSet::new();
            for _ in 0..VISITS {
                let pause = Duration::from_micros(dice.roll(3000) as u64);
                visits.spawn(site.clone().visit(dice.roll(8), pause));
            }
            while let Some(visit) = timeout(LONG, visits.join_next()).await.expect("no hang") {
                answers += visit.expect("no panic");
            }
            drop(visits);
            settle(&runtime, &before).await;
            waves += 1;
            let live = LiveBytes::now();
            if waves == WAVES_TO_WARM_UP {
                warm = Some(live);
            }
            if let Some(warm) = warm {
                assert!(
                    live - warm < SLACK,
                    "{} bytes more after {waves} waves",
                    live - warm
                );
            }
        }
        let grown = LiveBytes::now() - warm.expect("the warm-up is over");
        println!("{waves} waves, {answers} answers, {grown} bytes more");
        assert!(
            answers > waves * VISITS / 2,
            "{answers} answers in {waves} waves"
        );
    });
}
