//! JSON through axum: `compio-axum` beside `axum::serve`.

use std::{error::Error, net::SocketAddr};

use axum::{Json, Router, extract::Path, routing::get};
use compio::runtime::Runtime;
use serde::Serialize;

use super::{Platform, run_on_tokio};

#[derive(Serialize)]
struct Item {
    id: u64,
    name: String,
    tags: [&'static str; 3],
}

fn router() -> Router {
    let item = |id| Item {
        id,
        name: format!("item {id}"),
        tags: ["new", "used", "sold"],
    };
    Router::new()
        .route("/json", get(async move || Json(item(1))))
        .route(
            "/items/{id}",
            get(async move |Path(id): Path<u64>| Json(item(id))),
        )
}

pub(super) fn serve(platform: Platform, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    if let Platform::Compio { backend, .. } = platform {
        let runtime = Runtime::builder().backend(backend).build()?;
        return runtime.block_on(async {
            let listener = compio::net::TcpListener::bind(address).await?;
            Ok(compio_axum::serve(listener, router()).await?)
        });
    }
    run_on_tokio(platform, async move {
        use axum::serve::ListenerExt;
        let listener = tokio::net::TcpListener::bind(address).await?;
        let listener = listener.tap_io(|stream| {
            // Without it, small responses might wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router()).await
    })
}
