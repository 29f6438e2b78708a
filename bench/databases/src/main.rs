//! Clients of Postgres and Redis over compio beside the same clients on tokio, one core for the client and one for the
//! servers.
//!
//! `databases run` starts both servers on the second CPU, and the client of each runtime on the first CPU in turn. It
//! prints a Markdown table: the medians of requests per second and of the client's CPU time per request, and the medians
//! of the rounds' ratios to tokio's current_thread runtime, with the lowest and the highest. `databases client` is one of the
//! clients.

mod client;
mod plot;
mod report;
mod row;
mod runtimes;
mod servers;
mod session;

use std::error::Error;

use lexopt::{Arg, Parser, ValueExt};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str =
    "usage: databases run [--rounds N] [--shorten N] [--clients NAME,...] [--plot FILE] [ROW...]
       databases client CLIENT ROW ADDRESS COUNT

clients: tokio, tokio-multi, uring, readiness, compat
rows: redis, redis-64, postgres, postgres-64";

/// The client and all its threads are on one CPU, the servers on another.
const CLIENT_CPU: usize = 0;
const SERVER_CPU: usize = 1;

fn main() -> Outcome {
    let mut arguments = Parser::from_env();
    let mut words = Vec::new();
    let mut plan = session::Plan::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("rounds") => plan.rounds = arguments.value()?.parse()?,
            Arg::Long("shorten") => plan.shorten = arguments.value()?.parse()?,
            Arg::Long("clients") => {
                let clients = arguments.value()?.string()?;
                plan.clients = clients.split(',').map(str::to_owned).collect();
            }
            Arg::Long("plot") => plan.plot = Some(arguments.value()?.into()),
            Arg::Value(word) => words.push(word.string()?),
            Arg::Short(_) | Arg::Long(_) => return Err(USAGE.into()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["client", client, row, address, count] => {
            let row = row::by_name(row).ok_or(USAGE)?;
            pin(CLIENT_CPU)?;
            let sample = client::run(client, row, address.parse()?, count.parse()?)?;
            println!("{sample}");
            Ok(())
        }
        ["run", ref rows @ ..] => {
            plan.rows = rows.iter().map(|&name| name.to_owned()).collect();
            session::run(&plan)
        }
        _ => Err(USAGE.into()),
    }
}

/// Restricts this thread, and those that it starts, to one CPU.
fn pin(cpu: usize) -> nix::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus)
}
