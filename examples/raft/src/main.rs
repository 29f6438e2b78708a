//! A replicated log by Raft, on unix: elections, replication, and recovery from files. Without snapshots and changes of members.
//!
//! Three nodes in three terminals, in this folder; each gets its number, its directory and the addresses of all:
//!
//! ```text
//! cargo run --release -- node 0 /tmp/raft-0 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002
//! cargo run --release -- node 1 /tmp/raft-1 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002
//! cargo run --release -- node 2 /tmp/raft-2 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002
//! ```
//!
//! A client appends a value, and prints all values. Kill nodes between the calls, and start them again:
//!
//! ```text
//! cargo run --release -- append hello 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002
//! cargo run --release -- read 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002
//! ```
//!
//! `cargo test` runs the same code in a simulation, with crashes, losses of power, partitions and faults of disks.
//!
//! - `raft.rs` the rules, without input and output
//! - `node.rs` a node: connections, and the loop that stores and sends
//! - `log.rs` the file, `frame.rs` frames with checksums, `message.rs` the types
//! - `client.rs` the client
//! - `tests.rs` the simulation, `tests/checker.rs` its invariants, `bug.rs` bugs that it finds

mod bug;
mod client;
mod frame;
mod log;
mod message;
mod node;
mod raft;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::{
    cell::Cell,
    env,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
};

use bug::Bug;
use client::Client;
use compio::fs;
use node::{Config, Observer};
use raft::Raft;

const USAGE: &str = "raft node NUMBER DIRECTORY ADDRESS… | append VALUE ADDRESS… | read ADDRESS…";

#[compio::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["node", id, directory, ref addresses @ ..] => match id.parse() {
            Ok(id) if id < addresses.len() => run_node(id, directory, owned(addresses)).await,
            _ => Err(usage()),
        },
        ["append", value, ref addresses @ ..] if !addresses.is_empty() => {
            let mut client = Client::new(random(), owned(addresses));
            client.append(value.into()).await;
            Ok(())
        }
        ["read", ref addresses @ ..] if !addresses.is_empty() => {
            let mut client = Client::new(random(), owned(addresses));
            for (_, _, value) in client.read().await {
                println!("{}", String::from_utf8_lossy(&value));
            }
            Ok(())
        }
        _ => Err(usage()),
    }
}

async fn run_node(id: usize, directory: &str, addresses: Vec<String>) -> io::Result<()> {
    fs::create_dir_all(directory).await?;
    println!("node {id} starts at {}", addresses[id]);
    let config = Config {
        id,
        addresses,
        directory: directory.into(),
        random: random(),
        bug: Bug::None,
    };
    node::run(
        config,
        Printer {
            leader: Cell::new(None),
        },
    )
    .await
}

/// A random number: std's hashers have random keys.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn owned(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn usage() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, USAGE)
}

/// Prints the changes of the leader.
struct Printer {
    leader: Cell<Option<usize>>,
}

impl Observer for Printer {
    fn recovered(&self, torn: usize) {
        if torn > 0 {
            println!("the last write was torn: {torn} bytes are dropped");
        }
    }

    fn stepped(&self, raft: &Raft) {
        let leader = raft.leader();
        if self.leader.replace(leader) != leader {
            let term = raft.term();
            match leader {
                Some(leader) if leader == raft.id() => println!("term {term}: this node leads"),
                Some(leader) => println!("term {term}: node {leader} leads"),
                None => println!("term {term}: no leader"),
            }
        }
    }
}
