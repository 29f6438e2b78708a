//! A file from the disk: `compio_http::FileBody`, for comparison with nginx.

use std::{error::Error, net::SocketAddr, path::PathBuf};

use compio::{fs::File, runtime::Runtime};
use compio_http::{FileBody, RequestBody};
use hyper::{Request, Response, service::service_fn};

use super::Platform;

/// The folder of the file, which `nginx` serves as well.
pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir().join("compio-bench-files")
}

pub(super) fn serve(platform: Platform, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let Platform::Compio { backend, .. } = platform else {
        return Err("this service runs on compio and nginx".into());
    };
    let runtime = Runtime::builder().backend(backend).build()?;
    runtime.block_on(async {
        let listener = compio::net::TcpListener::bind(address).await?;
        let path = folder().join("file.bin");
        let service = service_fn(move |_: Request<RequestBody>| {
            let path = path.clone();
            async move {
                let file = File::open_async(&path).await?;
                let len = file.metadata().await?.len();
                FileBody::start(file, 0..len).await.map(Response::new)
            }
        });
        Ok(compio_http::serve(listener, service).await?)
    })
}
