//! axum's routers on compio, with a raw client.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use compio::{
    cores::Server,
    runtime::{Runtime, SendWrapper},
};
use compio_axum::PeerAddr;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sum {
    a: i64,
    b: i64,
}

/// Awaits operations of compio, whose futures are not `Send`.
async fn length(Query(query): Query<Vec<(String, String)>>) -> Result<String, StatusCode> {
    SendWrapper::new(async move {
        let (_, path) = query.first().ok_or(StatusCode::BAD_REQUEST)?;
        match compio::fs::read(path).await {
            Ok(bytes) => Ok(bytes.len().to_string()),
            Err(_) => Err(StatusCode::NOT_FOUND),
        }
    })
    .await
}

fn router() -> Router {
    Router::new()
        .route(
            "/hello/{name}",
            get(async |Path(name): Path<String>| format!("Hello, {name}")),
        )
        .route(
            "/sum",
            post(async |Json(sum): Json<Sum>| Json(sum.a + sum.b)),
        )
        .route("/length", get(length))
        .route(
            "/state",
            get(async |State(state): State<u32>| state.to_string()),
        )
        .route("/peer", get(async |PeerAddr(peer)| peer.port().to_string()))
        .with_state(42)
}

/// Sends a request, and returns status and body.
fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    ask_on(&mut stream, request)
}

fn ask_on(stream: &mut (impl Read + Write), request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
}

fn check(address: SocketAddr) {
    assert_eq!(
        ask(address, &get_request("/hello/world")),
        (200, "Hello, world".into())
    );
    let body = r#"{"a": 40, "b": 2}"#;
    let post = format!(
        "POST /sum HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(ask(address, &post), (200, "42".into()));
    assert_eq!(ask(address, &get_request("/state")), (200, "42".into()));
    assert_eq!(ask(address, &get_request("/length?path=Cargo.toml")).0, 200);
    assert_eq!(ask(address, &get_request("/length?path=missing")).0, 404);
    assert_eq!(ask(address, &get_request("/nowhere")).0, 404);
}

#[test]
fn router_is_served_on_all_cores() {
    Runtime::new().unwrap().block_on(async {
        let server = Server::bind("127.0.0.1:0").await.unwrap().workers(2);
        let server = compio_axum::start(server, router()).unwrap();
        let address = server.local_addr();
        let client = thread::spawn(move || {
            check(address);
            let mut stream = TcpStream::connect(address).unwrap();
            let port = stream.local_addr().unwrap().port().to_string();
            assert_eq!(ask_on(&mut stream, &get_request("/peer")), (200, port));
        });
        client.join().unwrap();
        server.shutdown().await.unwrap();
    });
}

#[test]
fn router_is_served_on_one_core() {
    let (send, receive) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        let address: SocketAddr = receive.recv().unwrap();
        check(address);
        // Its peer is unknown.
        assert_eq!(ask(address, &get_request("/peer")).0, 500);
    });
    Runtime::new().unwrap().block_on(async {
        let listener = compio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        send.send(listener.local_addr().unwrap()).unwrap();
        let checked = compio::task::spawn_blocking(move || client.join().is_ok());
        compio_axum::serve(listener, router())
            .with_graceful_shutdown(async move {
                assert!(checked.await.unwrap(), "the client has failed");
            })
            .await
            .unwrap();
    });
}

/// HTTPS, with a blocking client.
// The cryptography compiles C code, for which a foreign system needs a compiler of its own.
#[cfg(all(target_os = "linux", feature = "tls"))]
mod tls {
    use std::sync::Arc;

    use compio_testkit::tls::Authority;
    use compio_tls::{
        TlsAcceptor,
        rustls::{ClientConfig, ClientConnection, StreamOwned},
    };

    use super::*;

    /// Requests `/peer`: the status, and whether the answer is right.
    fn ask_peer(address: SocketAddr, config: ClientConfig) -> (u16, bool) {
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect(address).unwrap();
        let port = tcp.local_addr().unwrap().port().to_string();
        let mut stream = StreamOwned::new(connection, tcp);
        let (status, body) = ask_on(&mut stream, &get_request("/peer"));
        (status, body == port)
    }

    #[test]
    fn router_is_served_on_one_core_and_on_all() {
        let authority = Authority::new();
        let acceptor = TlsAcceptor::from(authority.issue(&["localhost"]).server());
        Runtime::new().unwrap().block_on(async {
            let server = Server::bind("127.0.0.1:0").await.unwrap().workers(2);
            let server = compio_axum::start_tls(server, acceptor.clone(), router()).unwrap();
            let (address, config) = (server.local_addr(), authority.client());
            let asked = compio::task::spawn_blocking(move || ask_peer(address, config));
            assert_eq!(asked.await.unwrap(), (200, true));
            server.shutdown().await.unwrap();

            let listener = compio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, config) = (listener.local_addr().unwrap(), authority.client());
            let asked = compio::task::spawn_blocking(move || ask_peer(address, config));
            compio_axum::serve(listener, router())
                .tls(acceptor)
                .with_graceful_shutdown(async move {
                    // Its peer is unknown.
                    assert_eq!(asked.await.unwrap(), (500, false));
                })
                .await
                .unwrap();
        });
    }
}
