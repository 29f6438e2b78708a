//! Connections that leave HTTP.

use std::{
    convert::Infallible,
    io::{Read, Write},
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{PollStream, TcpStream},
    task,
};
use compio_http::{RequestBody, upgrade};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, header, service::service_fn};

use crate::support::{read_response, start};

/// Switches to a protocol that returns the first 5 bytes of the client.
pub(crate) async fn switch(
    mut request: Request<RequestBody>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgraded = hyper::upgrade::on(&mut request);
    task::spawn(async move {
        let upgraded = upgraded.await.unwrap();
        let (stream, first) = upgrade::into_stream::<PollStream<TcpStream>>(upgraded).unwrap();
        speak(stream.into_inner(), &first).await;
    })
    .detach();
    Ok(switching())
}

/// The new protocol.
pub(crate) async fn speak(mut stream: impl AsyncRead + AsyncWrite, first: &[u8]) {
    let mut bytes = first.to_vec();
    let missing = 5 - bytes.len();
    let (read, rest) = stream.read_exact(vec![0; missing]).await;
    read.unwrap();
    bytes.extend_from_slice(&rest);
    stream.write_all(bytes).await.0.unwrap();
    stream.shutdown().await.unwrap();
}

pub(crate) fn switching() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, "upgrade".parse().unwrap());
    headers.insert(header::UPGRADE, "five".parse().unwrap());
    response
}

#[test]
fn bytes_behind_the_request_reach_the_new_protocol() {
    let server = start(|http| http, || service_fn(switch));
    for (with_request, later) in [("hello", ""), ("hel", "lo"), ("", "hello")] {
        let mut stream = server.connect();
        let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: five\r\n\r\n";
        stream
            .write_all(format!("{head}{with_request}").as_bytes())
            .unwrap();
        let (head, _) = read_response(&mut stream);
        assert!(head.starts_with("http/1.1 101"), "{head}");
        stream.write_all(later.as_bytes()).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
    }
}
