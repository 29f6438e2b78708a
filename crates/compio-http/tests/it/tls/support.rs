//! Servers with a certificate, and blocking TLS clients.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use compio_http::Http;
use compio_testkit::tls::{Authority, Identity};
use compio_tls::{
    TlsAcceptor,
    rustls::{ClientConfig, ClientConnection, StreamOwned},
};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};

use crate::support::{Running, start};

/// The end of a blocking client.
pub(super) type Client = StreamOwned<ClientConnection, TcpStream>;

/// A server that answers with the version and the path of the request.
pub(super) struct Site {
    pub(super) authority: Authority,
    pub(super) identity: Identity,
    pub(super) acceptor: TlsAcceptor,
    pub(super) server: Running,
}

/// Answers with the version and the path.
pub(super) async fn describe<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("{:?} {}", request.version(), request.uri().path());
    Ok(Response::new(Full::new(text.into())))
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(|http| http)
    }

    pub(super) fn with(http: impl FnOnce(Http) -> Http + Send + 'static) -> Self {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost", "127.0.0.1"]);
        let acceptor = TlsAcceptor::from(identity.server());
        let tls = acceptor.clone();
        let server = start(
            move |settings| http(settings.tls(tls)),
            || service_fn(describe),
        );
        Self {
            authority,
            identity,
            acceptor,
            server,
        }
    }

    pub(super) fn client(&self) -> ClientConfig {
        self.authority.client()
    }

    /// A client that has not begun the handshake.
    pub(super) fn connect(&self) -> Client {
        self.connect_with(self.client())
    }

    pub(super) fn connect_with(&self, config: ClientConfig) -> Client {
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, self.server.connect())
    }

    /// A client with these protocols of ALPN.
    pub(super) fn connect_alpn(&self, protocols: &[&str]) -> Client {
        let mut config = self.client();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        self.connect_with(config)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.server.address.port())
    }
}

/// Completes the handshake.
pub(super) fn shake_hands(stream: &mut Client) {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
}

/// Sends `close_notify`.
pub(super) fn end<S: Read + Write>(stream: &mut StreamOwned<ClientConnection, S>) {
    stream.conn.send_close_notify();
    stream.conn.write_tls(&mut stream.sock).unwrap();
}

/// Sends a request of HTTP/1.1, and reads the response by its length.
pub(super) fn ask(stream: &mut (impl Read + Write), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    response(stream)
}

/// The body of a response.
pub(super) fn response(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// Reads to `close_notify`. A stream that ends without it is an error.
pub(super) fn read_to_close_notify(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("an end with close_notify");
    rest
}
