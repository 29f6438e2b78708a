//! Server and client in a simulation: the course of a run depends on the seed alone.

#![cfg(target_os = "linux")]

use std::{convert::Infallible, error::Error, io, thread, time::Duration};

use compio::{
    net::TcpListener,
    sim::{self, NetworkFaults, Report, Simulation},
    time::sleep,
};
use compio_http::{Client, RequestBody, serve};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, header::DATE, service::service_fn};

// The header `Date` has the virtual time.
sim::override_libc!();

const RESETS: &str = "a connection was reset";
const LOSSES: &str = "a packet was lost";

/// Echoes bodies.
async fn server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let service = service_fn(async |request: Request<RequestBody>| {
        let response = match request.into_body().collect().await {
            Ok(body) => Response::new(Full::new(body.to_bytes())),
            Err(_) => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        };
        Ok::<_, Infallible>(response)
    });
    serve(listener, service).await
}

/// Sends requests, each until it has an answer.
async fn requests(client: Client) -> Result<(), Box<dyn Error>> {
    let rng = sim::rng();
    for _ in 0..20 {
        let mut body = vec![0; rng.below(20_000) as usize];
        rng.fill(&mut body);
        while let Err(error) = echo(&client, &body).await {
            // No other failure than those of the network.
            if !(error.is_connect() || error.is_request() || error.is_timeout() || error.is_body())
            {
                return Err(error.into());
            }
            sleep(Duration::from_millis(rng.below(500))).await;
        }
        sleep(Duration::from_millis(rng.below(2000))).await;
    }
    let counts = sim::network()?.counts();
    sim::assert_sometimes(counts.resets > 0, RESETS);
    sim::assert_sometimes(counts.lost > 0, LOSSES);
    Ok(())
}

async fn echo(client: &Client, body: &[u8]) -> Result<(), compio_http::client::Error> {
    let response = client
        .put("http://server/")
        .body(body.to_vec())
        .send()
        .await?;
    let date = response.headers()[DATE].to_str().unwrap();
    assert!(date.starts_with("Sat, 01 Jan 2000 00:0"), "{date}");
    assert_eq!(response.error_for_status()?.bytes().await?, body);
    Ok(())
}

/// Runs a seed in a thread of its own, for thread-local state.
fn run(seed: u64) -> Report {
    let run = move || {
        let mut simulation = Simulation::builder().seed(seed).build();
        simulation.network(NetworkFaults {
            loss: 0.02,
            slow: 0.05,
            reset: 0.005,
            latency: Some(Duration::from_micros(100)..=Duration::from_millis(20)),
            ..NetworkFaults::default()
        });
        let client = || Client::builder().timeout(Duration::from_secs(10));
        simulation.host("server", server);
        simulation.client("http1", async move { requests(client().build()).await });
        simulation.client("http2", async move {
            requests(client().http2_prior_knowledge().build()).await
        });
        simulation.run().unwrap_or_else(|error| panic!("{error}"))
    };
    thread::spawn(run).join().unwrap()
}

#[test]
fn two_runs_of_each_seed_are_equal() {
    let mut hashes = Vec::new();
    let mut occurred = [0; 2];
    for seed in 0..20 {
        let report = run(seed);
        assert_eq!(report, run(seed));
        assert!(report.trace_len() > 1000, "{report:?}");
        for (count, name) in occurred.iter_mut().zip([RESETS, LOSSES]) {
            *count += report.assertion(name).unwrap().held;
        }
        hashes.push(report.trace_hash());
    }
    assert!(occurred.iter().all(|count| *count > 0), "{occurred:?}");
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 20);
}
