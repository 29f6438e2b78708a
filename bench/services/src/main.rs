//! HTTP services over compio beside the same services on tokio, one core each.
//!
//! `services run` starts each server of a row on the first CPU in turn, loads it with `wrk` or `h2load` on the second, and
//! prints the medians of requests per second and of CPU time per request, and the medians and extremes of the rounds'
//! ratios to the first server. `services serve SERVICE SERVER PORT` is one of the servers, and
//! `services plot` draws the printed results.

mod load;
mod plot;
mod row;
mod servers;
mod websocket;

use std::error::Error;

use lexopt::{Arg, Parser, ValueExt};

const USAGE: &str = "usage: services serve SERVICE SERVER PORT
       services run [--rounds N] [--seconds N] [--connections N] [--servers NAME,...] [ROW...]
       services plot RESULTS SVG

services: hyper, auto, axum, file, proxy, websocket
servers: tokio, tokio-multi, uring, readiness; of hyper uring-adapter, readiness-adapter; of file and proxy nginx;
    of websocket tokio-4k
rows: small, 64k, 1m, json, churn, http2, file, proxy, ws, ws-4m";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Parser::from_env();
    let mut words = Vec::new();
    let mut plan = load::Plan::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("rounds") => plan.rounds = arguments.value()?.parse()?,
            Arg::Long("seconds") => plan.seconds = arguments.value()?.parse()?,
            Arg::Long("connections") => plan.connections = arguments.value()?.parse()?,
            Arg::Long("servers") => {
                let servers = arguments.value()?.string()?;
                plan.servers = servers.split(',').map(str::to_owned).collect();
            }
            Arg::Value(word) => words.push(word.string()?),
            Arg::Short(_) | Arg::Long(_) => return Err(USAGE.into()),
        }
    }
    let mut words = words.into_iter();
    match words.next().as_deref() {
        Some("serve") => {
            let (Some(service), Some(server), Some(port)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(USAGE.into());
            };
            servers::serve(&service, &server, port.parse()?)
        }
        Some("run") => {
            plan.rows = words.collect();
            load::run(&plan)
        }
        Some("plot") => {
            let (Some(results), Some(svg)) = (words.next(), words.next()) else {
                return Err(USAGE.into());
            };
            plot::run(&results, &svg)
        }
        _ => Err(USAGE.into()),
    }
}
