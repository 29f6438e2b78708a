//! The counters and histograms of the runtimes for Prometheus, at `/metrics` of a service on all cores. Ctrl-C stops it.
//!
//! `cargo run --release --example metrics -- 127.0.0.1:8080`, and then for instance `curl 127.0.0.1:8080/metrics`.
//! `docs/metrics.md` has the table of names, a configuration for Prometheus, and a dashboard for Grafana.

use std::{env, io, time::Duration};

use axum::{
    Router,
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_TYPE, HeaderName},
    },
    routing::get,
};
use compio::{
    cores::Server,
    metrics::{self, TextFormat},
    runtime::SendWrapper,
    signal, task,
    time::sleep,
};

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let _recording = metrics::record_histograms();
    let router = Router::new()
        .route("/", get(async || "Hello\n"))
        .route("/work", get(work))
        // A public service has this route on a listener of its own: the names of threads are for operators.
        .route("/metrics", get(scrape));
    let server = compio_axum::start(Server::bind(&address).await?, router)?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(10)).await
}

/// The counters of all runtimes, from the thread of any of them.
async fn scrape(headers: HeaderMap) -> ([(HeaderName, &'static str); 1], String) {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = TextFormat::for_accept(accept.unwrap_or(""));
    let content_type = [(CONTENT_TYPE, format.content_type())];
    (content_type, metrics::text(format))
}

/// A request that sets a timer, and then occupies a thread of the pool for blocking work.
// axum requires futures that are `Send`. The request stays on its thread.
fn work() -> impl Future<Output = String> + Send {
    SendWrapper::new(async {
        sleep(Duration::from_millis(100)).await;
        let sum = task::spawn_blocking(|| (0..1_000_000_u64).map(|n| n % 7).sum::<u64>());
        format!("{}\n", sum.await.expect("a sum does not panic"))
    })
}
