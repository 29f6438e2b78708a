//! The servers, each on one thread or, as `tokio-multi`, on tokio's multi-threaded runtime with one worker.

mod auto;
mod axum;
pub(crate) mod file;
mod hyper;
pub(crate) mod proxy;

use std::{error::Error, io, net::SocketAddr};

use ::hyper::{Request, Response, StatusCode};
use bytes::Bytes;
use compio::driver::BackendKind;
use http_body_util::Full;

use crate::{row::Service, websocket};

/// The runtime of a server.
#[derive(Clone, Copy)]
enum Platform {
    Tokio,
    TokioMulti,
    Compio {
        backend: BackendKind,
        has_adapter: bool,
    },
}

pub(crate) fn serve(service: &str, server: &str, port: u16) -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let service = Service::by_name(service).ok_or(format!("no service has the name {service}"))?;
    if service == Service::WebSocket {
        return websocket::serve(server, address);
    }
    let compio = |backend, has_adapter| Platform::Compio {
        backend,
        has_adapter,
    };
    let platform = match server {
        "tokio" => Platform::Tokio,
        "tokio-multi" => Platform::TokioMulti,
        "uring" => compio(BackendKind::IoUring, false),
        "readiness" => compio(BackendKind::Poll, false),
        "uring-adapter" => compio(BackendKind::IoUring, true),
        "readiness-adapter" => compio(BackendKind::Poll, true),
        _ => return Err(format!("no server has the name {server}").into()),
    };
    match service {
        Service::Hyper => hyper::serve(platform, address),
        Service::Auto => auto::serve(platform, address),
        Service::Axum => axum::serve(platform, address),
        Service::File => file::serve(platform, address),
        Service::Proxy => proxy::serve(platform, address),
        Service::WebSocket => unreachable!("served above"),
    }
}

/// Runs a server on tokio: as a task, because tokio's threads do not run the future of `block_on`.
fn run_on_tokio(
    platform: Platform,
    server: impl Future<Output = io::Result<()>> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let mut builder = match platform {
        Platform::TokioMulti => tokio::runtime::Builder::new_multi_thread(),
        Platform::Tokio | Platform::Compio { .. } => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(runtime.spawn(server))??)
}

/// The bodies of the paths `/small`, `/64k` and `/1m`.
#[derive(Clone)]
struct Bodies {
    small: Bytes,
    medium: Bytes,
    large: Bytes,
}

impl Bodies {
    fn new() -> Self {
        Self {
            small: Bytes::from_static(b"Hello, world!"),
            medium: Bytes::from(vec![b'x'; 64 * 1024]),
            large: Bytes::from(vec![b'x'; 1024 * 1024]),
        }
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let body = match request.uri().path() {
            "/small" => &self.small,
            "/64k" => &self.medium,
            "/1m" => &self.large,
            _ => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NOT_FOUND;
                return response;
            }
        };
        Response::new(Full::new(body.clone()))
    }
}
