//! HTTP/1 and HTTP/2 on one port: `compio-http` beside the builder of hyper-util.

use std::{convert::Infallible, error::Error, net::SocketAddr};

use compio::runtime::Runtime;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};

use super::{Bodies, Platform, run_on_tokio};

pub(super) fn serve(platform: Platform, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let bodies = Bodies::new();
    if let Platform::Compio { backend, .. } = platform {
        let runtime = Runtime::builder().backend(backend).build()?;
        return runtime.block_on(async {
            let listener = compio::net::TcpListener::bind(address).await?;
            let service = service_fn(move |request| {
                let response = bodies.respond(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            Ok(compio_http::serve(listener, service).await?)
        });
    }
    run_on_tokio(platform, async move {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let bodies = bodies.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = bodies.respond(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                // An error ends the connection.
                let _ = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}
