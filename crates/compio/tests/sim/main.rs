//! The simulation of `compio::sim`, as users write programs for it.

#![cfg(target_os = "linux")]

mod assertions;
mod blocking;
mod both;
mod clocks;
mod completions;
mod crashes;
mod determinism;
mod directories;
mod disk;
mod disk_errors;
mod errors;
mod files;
mod flow_control;
mod invariants;
mod isolation;
mod locks;
mod network_faults;
mod order;
mod partitions;
mod pipes;
mod recovery;
mod reports;
mod scale;
mod seeds;
mod shrinking;
mod streams;
mod system_calls;
mod tcp;
mod time;
mod udp;
mod unix_sockets;

use std::{
    io,
    sync::{Arc, Mutex},
};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sim::{Report, Simulation},
    task,
};
use compio_testkit::process::this_test;

/// Runs a test in a process of its own, with these variables of the simulation only. Returns whether it passed, and its output.
fn run_child(test: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut child = this_test(test);
    for name in ["SEED", "TWICE", "FAULTS", "SHRINK", "HASHES"] {
        child.env_remove(format!("COMPIO_SIM_{name}"));
    }
    let output = child.envs(variables.iter().copied()).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), out + &error)
}

/// Runs a program with one host and one client, and panics with the error of the run.
#[track_caller]
fn run_pair<H, HF, C>(server: H, client: C) -> Report
where
    H: Fn() -> HF + 'static,
    HF: Future<Output = std::io::Result<()>> + 'static,
    C: Future<Output = std::io::Result<()>> + 'static,
{
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.host("server", server).client("client", client);
    simulation.run().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs one client.
#[track_caller]
fn run_one<C>(client: C) -> Report
where
    C: Future<Output = std::io::Result<()>> + 'static,
{
    let mut simulation = Simulation::builder().seed(1).build();
    simulation.client("client", client);
    simulation.run().unwrap_or_else(|error| panic!("{error}"))
}

/// Echoes parts of `N` bytes of all connections, without an end.
async fn echo<const N: usize>() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        task::spawn(async move {
            loop {
                let (read, bytes) = stream.read_exact([0; N]).await;
                read?;
                stream.write_all(bytes).await.0?;
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            io::Result::Ok(())
        })
        .detach();
    }
}

/// Reads one connection to the end, and answers with the bytes.
async fn echo_once() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    let (mut stream, _) = listener.accept().await?;
    let (read, bytes) = stream.read_to_end(Vec::new()).await;
    read?;
    stream.write_all(bytes).await.0?;
    stream.close().await
}

/// A list that programs of several hosts fill.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
