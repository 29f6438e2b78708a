//! The runtimes of the clients: their streams, and their tasks.

use std::{io, net::SocketAddr};

use compio::{net::PollStream, runtime::SendWrapper};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Outcome, client::Client};

pub(crate) trait Runtime: 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Starts the task of a connection.
    fn drive(connection: impl Future<Output = ()> + Send + 'static);

    /// Starts a user of a connection, also if the returned future is never polled.
    fn spawn(user: impl Future<Output = Outcome> + Send + 'static)
    -> impl Future<Output = Outcome>;

    /// Makes one request.
    fn request(client: &mut Client) -> impl Future<Output = Outcome> + Send {
        client.request()
    }
}

/// Both runtimes of tokio.
pub(crate) struct Tokio;

impl Runtime for Tokio {
    type Stream = tokio::net::TcpStream;

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn drive(connection: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(connection);
    }

    fn spawn(
        user: impl Future<Output = Outcome> + Send + 'static,
    ) -> impl Future<Output = Outcome> {
        let task = tokio::spawn(user);
        async { task.await? }
    }
}

/// compio, natively.
pub(crate) struct Compio;

impl Runtime for Compio {
    /// The crate redis requires `Send`, and so does this trait.
    type Stream = SendWrapper<PollStream<compio::net::TcpStream>>;

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        let stream = compio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(SendWrapper::new(PollStream::new(stream)?))
    }

    fn drive(connection: impl Future<Output = ()> + Send + 'static) {
        compio::task::spawn(connection).detach();
    }

    fn spawn(
        user: impl Future<Output = Outcome> + Send + 'static,
    ) -> impl Future<Output = Outcome> {
        let task = compio::task::spawn(user);
        async { task.await? }
    }
}

/// Users on compio, whose requests and connection are on tokio's reactor thread.
pub(crate) struct Compat;

impl Runtime for Compat {
    type Stream = tokio::net::TcpStream;

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        compio::compat::tokio::run(Tokio::connect(address)).await
    }

    fn drive(connection: impl Future<Output = ()> + Send + 'static) {
        drop(compio::compat::tokio::spawn(connection));
    }

    fn spawn(
        user: impl Future<Output = Outcome> + Send + 'static,
    ) -> impl Future<Output = Outcome> {
        Compio::spawn(user)
    }

    async fn request(client: &mut Client) -> Outcome {
        let mut client = client.clone();
        compio::compat::tokio::run(async move { client.request().await }).await
    }
}
