//! A reverse proxy over HTTP/1.1: `compio-http` on both sides, for comparison with nginx.

use std::{error::Error, net::SocketAddr};

use compio::runtime::Runtime;
use compio_http::{Client, RequestBody};
use hyper::{Request, service::service_fn};

use super::Platform;

/// The port of the upstream server.
pub(crate) const UPSTREAM: u16 = 19_999;

pub(super) fn serve(platform: Platform, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let Platform::Compio { backend, .. } = platform else {
        return Err("this service runs on compio and nginx".into());
    };
    let runtime = Runtime::builder().backend(backend).build()?;
    runtime.block_on(async {
        let listener = compio::net::TcpListener::bind(address).await?;
        let client = Client::new();
        let service = service_fn(move |mut request: Request<RequestBody>| {
            let client = client.clone();
            async move {
                let path = request.uri().path();
                *request.uri_mut() = format!("http://127.0.0.1:{UPSTREAM}{path}").parse()?;
                let response = client.request(request).await?;
                Ok::<_, Box<dyn Error + Send + Sync>>(response.into_hyper())
            }
        });
        Ok(compio_http::serve(listener, service).await?)
    })
}
