//! WebSocket connections of axum's handlers.

use std::{
    cell::Cell,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
};

use axum::{Router, response::Response, routing::any};
use compio::{cores::Server, runtime::Runtime};
use compio_axum::ws::{CloseCode, Config, Message, WebSocket, WebSocketUpgrade};
use compio_ws::{ClientRequestBuilder, connect};

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade
        .protocols(&["echo"])
        .config(Config::new().max_message_size(5 << 20));
    let protocol = upgrade.selected_protocol().unwrap_or("none").to_owned();
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        // State that is not `Send`.
        let count = Rc::new(Cell::new(0));
        socket.send(protocol).await.unwrap();
        while let Some(Ok(message)) = socket.recv().await {
            if message.is_text() || message.is_binary() {
                count.set(count.get() + 1);
                socket.send(message).await.unwrap();
            }
        }
        assert_eq!(count.get(), 2);
        socket.close(CloseCode::Normal, "").await.unwrap();
    })
}

fn on_all_cores(test: impl AsyncFnOnce(SocketAddr)) {
    Runtime::new().unwrap().block_on(async {
        let router = Router::new().route("/echo", any(echo));
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let server = compio_axum::start(server, router).unwrap();
        test(server.local_addr()).await;
        server.shutdown().await.unwrap();
    });
}

#[test]
fn a_handler_gets_the_connection_after_its_response() {
    on_all_cores(async |address| {
        for protocol in ["echo", "none"] {
            let mut request =
                ClientRequestBuilder::new(format!("ws://{address}/echo").parse().unwrap());
            if protocol == "echo" {
                request = request.with_sub_protocol("echo");
            }
            let (mut socket, response) = connect(request).await.unwrap();
            let selected = response.headers().get("sec-websocket-protocol");
            assert_eq!(selected.is_some(), protocol == "echo");
            let first = socket.recv().await.unwrap().unwrap();
            assert_eq!(first, Message::text(protocol));
            for message in [Message::text("hello"), Message::binary(vec![1; 4 << 20])] {
                socket.send(message.clone()).await.unwrap();
                assert!(socket.recv().await.unwrap().unwrap() == message);
            }
            socket.close(CloseCode::Normal, "").await.unwrap();
        }
    });
}

#[test]
fn a_request_that_is_no_handshake_gets_a_refusal() {
    on_all_cores(async |address| {
        for (request, status) in [
            (
                "GET /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                "400",
            ),
            (
                "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                "405",
            ),
        ] {
            let answer = compio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer
            });
            let answer = answer.await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
    });
}
