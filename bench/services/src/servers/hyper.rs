//! hyper's HTTP/1 over different streams, without deadlines.

use std::{convert::Infallible, error::Error, net::SocketAddr};

use compio::{
    driver::BackendKind,
    io::{PollReader, PollWriter, join},
    net::PollStream,
    runtime::Runtime,
};
use hyper::{
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;

use super::{Bodies, Platform, run_on_tokio};

async fn serve_connection(io: impl Read + Write + Unpin, bodies: Bodies) {
    let service = service_fn(move |request| {
        let response = bodies.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    // An error ends the connection: the load generator closes its connections without a handshake.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(io, service)
        .await;
}

pub(super) fn serve(platform: Platform, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    match platform {
        Platform::Tokio | Platform::TokioMulti => serve_tokio(platform, address),
        Platform::Compio {
            backend,
            has_adapter,
        } => serve_compio(address, backend, has_adapter),
    }
}

fn serve_tokio(platform: Platform, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    run_on_tokio(platform, async move {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let bodies = Bodies::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let bodies = bodies.clone();
            tokio::spawn(serve_connection(TokioIo::new(stream), bodies));
        }
    })
}

fn serve_compio(
    address: SocketAddr,
    backend: BackendKind,
    has_adapter: bool,
) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::builder().backend(backend).build()?;
    runtime.block_on(async {
        let listener = compio::net::TcpListener::bind(address).await?;
        let bodies = Bodies::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let bodies = bodies.clone();
            if has_adapter {
                let (reader, writer) = stream.into_split();
                let io = join(PollReader::new(reader), PollWriter::new(writer));
                compio::task::spawn(serve_connection(TokioIo::new(io), bodies));
            } else {
                let io = PollStream::new(stream)?;
                compio::task::spawn(serve_connection(io, bodies));
            }
        }
    })
}
