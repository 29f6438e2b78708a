//! Configurations, and pairs of streams.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use compio::{
    io::{DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    task::block_on,
    time::timeout,
};
pub(crate) use compio_testkit::tls::{Authority, Identity, VERSIONS};
use compio_testkit::{LONG, future::both};
use compio_tls::{
    TlsAcceptor, TlsConnector, TlsStream, provider,
    rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion},
};

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    block_on(async { timeout(LONG, body).await.expect("this takes too long") })
}

/// A client and a server that trust each other.
pub(crate) struct Pair {
    pub(crate) connector: TlsConnector,
    pub(crate) acceptor: TlsAcceptor,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::of(&VERSIONS)
    }

    pub(crate) fn of(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        Self {
            connector: authority.client_of(versions).into(),
            acceptor: identity.server_of(versions).into(),
        }
    }

    /// Completes the handshake over two ends of a stream.
    pub(crate) async fn over<S: 'static>(&self, ends: (S, S)) -> (TlsStream<S>, TlsStream<S>)
    where
        for<'s> &'s S: compio::io::AsyncRead + compio::io::AsyncWrite,
    {
        let (client, server) = self.attempt(ends).await;
        (client.expect("a client"), server.expect("a server"))
    }

    /// The results of the handshake.
    pub(crate) async fn attempt<S: 'static>(
        &self,
        (client, server): (S, S),
    ) -> (io::Result<TlsStream<S>>, io::Result<TlsStream<S>>)
    where
        for<'s> &'s S: compio::io::AsyncRead + compio::io::AsyncWrite,
    {
        both(
            self.connector.connect("localhost", client),
            self.acceptor.accept(server),
        )
        .await
    }

    pub(crate) async fn in_memory(&self) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
        self.over(duplex(64 * 1024)).await
    }

    pub(crate) async fn over_tcp(&self) -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
        self.over(tcp_pair().await).await
    }
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let client = TcpStream::connect(address).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("its other end");
    (client, server)
}

/// A client with a certificate of its own.
pub(crate) fn client_with(authority: &Authority, identity: &Identity) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("valid versions")
        .with_root_certificates(authority.roots())
        .with_client_auth_cert(identity.chain(), identity.key())
        .expect("a valid certificate")
}

/// A configuration that several connections share, so that they share its sessions.
pub(crate) fn shared(client: ClientConfig, server: ServerConfig) -> Pair {
    Pair {
        connector: Arc::new(client).into(),
        acceptor: Arc::new(server).into(),
    }
}
