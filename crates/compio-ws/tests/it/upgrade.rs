//! Upgrades of a server of compio-http.

use std::convert::Infallible;

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task,
};
use compio_http::{
    RequestBody,
    hyper::{Request, Response, service::service_fn},
};
use compio_ws::{CloseCode, Config, Error, Message, connect, upgrade};

use crate::support::{FIN, TEXT, frame, run};

async fn echo(mut request: Request<RequestBody>) -> Result<Response<String>, Infallible> {
    let (response, upgrade) = match upgrade::upgrade(&mut request) {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(upgrade::refusal(&error)),
    };
    assert!(request.headers().contains_key("upgrade"));
    task::spawn(async {
        let upgrade = upgrade.config(Config::new().max_message_size(8 << 20));
        let mut socket = upgrade.accept().await.unwrap();
        while let Some(Ok(message)) = socket.recv().await {
            if !message.is_close() {
                socket.send(message).await.unwrap();
            }
        }
        socket.close(CloseCode::Normal, "").await.unwrap();
    })
    .detach();
    Ok(response.map(|()| String::new()))
}

async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn(async move { compio_http::serve(listener, service_fn(echo)).await }).detach();
    address.to_string()
}

#[test]
fn an_upgraded_request_is_a_connection() {
    run(async {
        let address = start().await;
        let (mut socket, response) = connect(format!("ws://{address}/")).await.unwrap();
        assert_eq!(response.status(), 101);
        for len in [5, 100_000, 4 << 20] {
            socket.send(vec![7; len]).await.unwrap();
            let message = socket.recv().await.unwrap().unwrap();
            assert!(message == Message::binary(vec![7; len]));
        }
        socket.close(CloseCode::Normal, "").await.unwrap();
    });
}

#[test]
fn frames_in_the_packet_of_the_request_are_received() {
    run(async {
        let mut stream = TcpStream::connect(start().await).await.unwrap();
        let mut bytes = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\n\
            upgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
        bytes.extend(frame(FIN | TEXT, true, b"early"));
        stream.write_all(bytes).await.0.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"early") {
            let (read, byte) = stream.read_exact([0; 1]).await;
            read.unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    });
}

#[test]
fn a_request_that_is_no_handshake_is_refused() {
    run(async {
        let address = start().await;
        for (head, status) in [
            (
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                "405",
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 8\r\n\r\n",
                "426",
            ),
        ] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(head).await.0.unwrap();
            let (read, answer) = stream.read_to_end(Vec::new()).await;
            read.unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
        // A client of this crate names the status.
        let error = connect(format!("http://{address}/")).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    });
}
