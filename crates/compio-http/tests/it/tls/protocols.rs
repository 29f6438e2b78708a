//! The choice of the protocol, and the ways to serve.

use std::{
    io::{Read, Write},
    sync::Arc,
    thread,
};

use compio::{
    cores::Server,
    net::{TcpListener, TcpStream, UnixListener},
    runtime::Runtime,
};
use compio_http::{Http, RequestBody, upgrade};
use compio_testkit::tls::Authority;
use compio_tls::{
    TlsStream,
    rustls::{ClientConnection, StreamOwned},
};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};

use crate::{
    support::start,
    upgrade::{speak, switching},
};

use super::support::{Client, Site, ask, describe, end, read_to_close_notify, shake_hands};

/// Completes the handshake, and returns the protocol.
fn protocol(stream: &mut Client) -> Option<Vec<u8>> {
    shake_hands(stream);
    stream.conn.alpn_protocol().map(<[u8]>::to_vec)
}

#[test]
fn alpn_chooses_http1_or_http2() {
    let site = Site::new();
    for protocols in [&["http/1.1"][..], &["http/1.0", "http/1.1"], &[]] {
        let mut stream = site.connect_alpn(protocols);
        assert_eq!(ask(&mut stream, "/a"), "HTTP/1.1 /a");
        let expected = (!protocols.is_empty()).then(|| b"http/1.1".to_vec());
        assert_eq!(protocol(&mut stream), expected);
    }
    let mut stream = site.connect_alpn(&["http/1.1", "h2"]);
    assert_eq!(protocol(&mut stream).unwrap(), b"h2");
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    // The first frame of a server: SETTINGS of stream 0.
    assert_eq!(frame[3..], [4, 0, 0, 0, 0, 0]);
}

/// The bytes of HTTP/2 are no HTTP/1 request: nothing is guessed from them.
#[test]
fn preface_of_http2_is_refused_after_a_choice_of_http1() {
    let site = Site::new();
    let mut stream = site.connect_alpn(&["http/1.1"]);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // hyper ends the connection, without close_notify.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(&[0, 0]), "{answer:?}");
}

#[test]
fn client_without_a_common_protocol_is_refused() {
    let site = Site::new();
    let mut stream = site.connect_alpn(&["imap"]);
    let error = stream.conn.complete_io(&mut stream.sock).unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
}

#[test]
fn connection_of_another_protocol_ends_with_close_notify() {
    let site = Site::new();
    let mut config = site.identity.server();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    site.acceptor.replace(config);
    let mut stream = site.connect_alpn(&["acme-tls/1"]);
    assert_eq!(protocol(&mut stream).unwrap(), b"acme-tls/1");
    assert!(read_to_close_notify(&mut stream).is_empty());
}

#[test]
fn sessions_are_resumed() {
    let site = Site::new();
    let config = site.client();
    for (turn, kind) in ["Full", "Resumed"].into_iter().enumerate() {
        let mut stream = site.connect_with(config.clone());
        assert_eq!(ask(&mut stream, "/"), "HTTP/1.1 /");
        // The tickets come before the response, or with it.
        let is_resumed = format!("{:?}", stream.conn.handshake_kind().unwrap());
        assert!(is_resumed.starts_with(kind), "{turn}: {is_resumed}");
    }
}

#[test]
fn all_cores_serve_https() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    Runtime::new().unwrap().block_on(async {
        let server = Server::bind("127.0.0.1:0").await.unwrap().workers(2);
        let http = Http::new().tls(identity.server());
        let server = http.start(server, service_fn(describe)).unwrap();
        let address = server.local_addr();
        let config = Arc::new(authority.client());
        let client = move || {
            let name = "localhost".try_into().unwrap();
            let connection = ClientConnection::new(config, name).unwrap();
            let tcp = std::net::TcpStream::connect(address).unwrap();
            let mut stream = StreamOwned::new(connection, tcp);
            for _ in 0..20 {
                assert_eq!(ask(&mut stream, "/cores"), "HTTP/1.1 /cores");
            }
            stream
        };
        let clients: Vec<_> = (0..8).map(|_| thread::spawn(client.clone())).collect();
        let idle = compio::task::spawn_blocking(move || {
            let joined = clients.into_iter().map(|client| client.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        let idle = idle.await.unwrap();
        // Idle connections end at once.
        server.shutdown().await.unwrap();
        for mut stream in idle {
            assert!(read_to_close_notify(&mut stream).is_empty());
        }
    });
}

#[test]
fn unix_socket_serves_https() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    Runtime::new().unwrap().block_on(async {
        let listener = UnixListener::bind(&path).unwrap();
        let (stop, stopped) = futures_channel::oneshot::channel::<()>();
        let serving = compio::task::spawn(async move {
            let serve = compio_http::serve(listener, service_fn(describe)).tls(identity.server());
            let stopped = async {
                let _ = stopped.await;
            };
            serve.with_graceful_shutdown(stopped).await
        });
        let config = Arc::new(authority.client());
        let client = compio::task::spawn_blocking(move || {
            let connection = ClientConnection::new(config, "localhost".try_into().unwrap());
            let socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
            let mut stream = StreamOwned::new(connection.unwrap(), socket);
            assert_eq!(ask(&mut stream, "/unix"), "HTTP/1.1 /unix");
            stream
        });
        let mut stream = client.await.unwrap();
        drop(stop);
        serving.await.unwrap().unwrap();
        assert!(read_to_close_notify(&mut stream).is_empty());
    });
}

/// A service takes a stream after its handshake, too: nothing is known of its protocol.
#[test]
fn own_accept_loop_serves_a_tls_stream() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    Runtime::new().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(authority.client());
        let client = compio::task::spawn_blocking(move || {
            let connection = ClientConnection::new(config, "localhost".try_into().unwrap());
            let tcp = std::net::TcpStream::connect(address).unwrap();
            let mut stream = StreamOwned::new(connection.unwrap(), tcp);
            assert_eq!(ask(&mut stream, "/own"), "HTTP/1.1 /own");
            end(&mut stream);
            assert!(read_to_close_notify(&mut stream).is_empty());
        });
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = compio_tls::TlsAcceptor::from(identity.server());
        let tls = acceptor.accept(tcp).await.unwrap();
        let http = Http::new();
        http.serve_connection(tls, service_fn(describe))
            .await
            .unwrap();
        client.await.unwrap();
    });
}

/// An upgrade returns the TLS stream of compio, with the bytes behind the request.
async fn switch(
    mut request: Request<RequestBody>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let upgraded = hyper::upgrade::on(&mut request);
    compio::task::spawn(async move {
        let upgraded = upgraded.await.unwrap();
        let (stream, first) = upgrade::into_stream::<TlsStream<TcpStream>>(upgraded).unwrap();
        speak(stream, &first).await;
    })
    .detach();
    Ok(switching())
}

#[test]
fn upgrade_returns_the_tls_stream() {
    let authority = Authority::new();
    let tls = authority.issue(&["localhost"]).server();
    let server = start(|http| http.tls(tls), || service_fn(switch));
    for (with_request, later) in [("hello", ""), ("hel", "lo"), ("", "hello")] {
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(authority.client()), name).unwrap();
        let mut stream = StreamOwned::new(connection, server.connect());
        let head = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: five\r\n\r\n";
        let request = format!("{head}{with_request}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
        stream.write_all(later.as_bytes()).unwrap();
        assert_eq!(read_to_close_notify(&mut stream), b"hello");
    }
}
