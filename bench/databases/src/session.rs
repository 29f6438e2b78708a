//! A session: each round runs every client of a row in turn.

use std::{env, fs, path::PathBuf, process::Command};

use crate::{
    Outcome,
    client::{CLIENTS, Sample},
    plot, report,
    row::{Database, ROWS, Row},
    servers::{Server, output},
};

pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Divides the number of requests.
    pub(crate) shorten: u32,
    /// The clients that are measured, beside the base; all if it is empty.
    pub(crate) clients: Vec<String>,
    /// The names of rows; all if it is empty.
    pub(crate) rows: Vec<String>,
    /// The file of the plot.
    pub(crate) plot: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 7,
            shorten: 1,
            clients: Vec::new(),
            rows: Vec::new(),
            plot: None,
        }
    }
}

/// The samples of a row.
pub(crate) struct RowResults {
    pub(crate) row: &'static Row,
    /// The base of the ratios first.
    pub(crate) clients: Vec<ClientResults>,
}

pub(crate) struct ClientResults {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// By round.
    pub(crate) samples: Vec<Sample>,
}

pub(crate) fn run(plan: &Plan) -> Outcome {
    if plan.rounds == 0 || plan.shorten == 0 {
        return Err("zero rounds or requests".into());
    }
    let mut results = open(plan)?;
    let [postgres, redis] = [Database::Postgres, Database::Redis].map(Server::start);
    let (postgres, redis) = (postgres?, redis?);
    for round in 1..=plan.rounds {
        for RowResults { row, clients } in &mut results {
            let server = match row.database {
                Database::Postgres => &postgres,
                Database::Redis => &redis,
            };
            let count = (row.count / plan.shorten).to_string();
            eprint!("round {round}/{}, {}:", plan.rounds, row.name);
            for client in clients {
                let mut process = Command::new(env::current_exe()?);
                let address = server.address.to_string();
                process.args(["client", client.name, row.name, &address, &count]);
                let sample: Sample = output(&mut process)
                    .map_err(|error| format!("{}: {error}", client.name))?
                    .parse()?;
                eprint!(" {} {:.0}/s", client.name, sample.requests_per_second);
                client.samples.push(sample);
            }
            eprintln!();
        }
    }
    print!("{}", report::markdown(&results));
    println!(
        "\n{}, {}; medians of {} rounds",
        postgres.version, redis.version, plan.rounds
    );
    if let Some(path) = &plan.plot {
        fs::write(path, plot::svg(&results))?;
    }
    Ok(())
}

/// The chosen rows and clients, without samples.
fn open(plan: &Plan) -> Outcome<Vec<RowResults>> {
    let base = CLIENTS[0].0;
    let is_chosen = |names: &[String], name: &str| {
        names.is_empty() || names.iter().any(|chosen| chosen == name)
    };
    let has_row = |name: &String| ROWS.iter().any(|row| row.name == name);
    let has_client = |name: &String| CLIENTS.iter().any(|(client, _)| client == name);
    let unknown_row = plan.rows.iter().find(|name| !has_row(name));
    let unknown_client = plan.clients.iter().find(|name| !has_client(name));
    if let Some(name) = unknown_row.or(unknown_client) {
        return Err(format!("no row or client has the name {name}").into());
    }
    let clients = || {
        let clients = CLIENTS.iter();
        clients
            .filter(|(name, _)| *name == base || is_chosen(&plan.clients, name))
            .map(|&(name, title)| ClientResults {
                name,
                title,
                samples: Vec::new(),
            })
            .collect()
    };
    let rows = ROWS.iter().filter(|row| is_chosen(&plan.rows, row.name));
    Ok(rows
        .map(|row| RowResults {
            row,
            clients: clients(),
        })
        .collect())
}
