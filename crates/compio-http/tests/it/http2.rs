//! HTTP/2, with hyper as the client.

use compio::net::{PollStream, TcpStream};
use compio_http::rt::TaskExecutor;
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http2};

use crate::support::{run, start_echo};

type Sender = http2::SendRequest<Full<Bytes>>;

async fn connect(address: std::net::SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = PollStream::new(stream).unwrap();
    let (sender, connection) = http2::handshake(TaskExecutor, stream).await.unwrap();
    compio::task::spawn(async move {
        let _ = connection.await;
    })
    .detach();
    sender
}

async fn ask(sender: &mut Sender, body: Vec<u8>) -> Vec<u8> {
    let request = Request::post("http://host/path").body(Full::new(body.into()));
    let response = sender.send_request(request.unwrap()).await.unwrap();
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec()
}

#[test]
fn requests_share_a_connection() {
    let server = start_echo(|http| http);
    run(async {
        let sender = connect(server.address).await;
        let tasks: Vec<_> = (0..20)
            .map(|number: usize| {
                let mut sender = sender.clone();
                compio::task::spawn(async move {
                    let body = vec![number as u8; number * 10_000];
                    let answer = ask(&mut sender, body.clone()).await;
                    assert_eq!(answer, [b"POST /path ", &body[..]].concat());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn idle_connection_ends_with_goaway() {
    let server = start_echo(|http| http.idle_timeout(std::time::Duration::from_millis(50)));
    run(async {
        let mut sender = connect(server.address).await;
        assert_eq!(ask(&mut sender, Vec::new()).await, b"POST /path ");
        // The next request is refused before it is sent, once the connection has ended.
        while sender.ready().await.is_ok() {
            compio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn shutdown_ends_idle_connection() {
    let mut server = start_echo(|http| http);
    run(async {
        let mut sender = connect(server.address).await;
        assert_eq!(ask(&mut sender, Vec::new()).await, b"POST /path ");
        server.begin_shutdown();
        while sender.ready().await.is_ok() {
            compio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    server.join();
}
