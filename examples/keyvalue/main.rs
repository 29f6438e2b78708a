//! A key-value server over all cores, which speaks the protocol of Redis: `GET`, `SET`, `DEL`, `INCR`, `MGET`,
//! `EXPIRE`, `TTL`, `PING`, `INFO`.
//!
//! Each core owns a shard of the keys, by their hash, and no memory is shared. A connection is served on one core.
//! It parses all commands that have arrived, sends one message to each core that owns some of their keys, and
//! answers with one write.
//!
//! `cargo run --release --example keyvalue -- 127.0.0.1:6379`, and then for instance
//! `redis-benchmark -p 6379 -t get,set -P 16`. Ctrl-C ends it.
//!
//! - `command.rs` commands, and their parts for the shards
//! - `connection.rs` one connection: parsing, distribution, answers
//! - `resp.rs` the wire format
//! - `shard.rs` the keys of one core

mod command;
mod connection;
mod resp;
mod shard;

use std::{env, io, time::Duration};

use compio::{cores::Server, net::TcpStream, signal};

#[compio::main]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:6379".into());
    let mut server = Server::bind(&address).await?;
    if let Some(workers) = arguments.next().and_then(|workers| workers.parse().ok()) {
        server = server.workers(workers);
    }
    let server = server.start(async |stream: TcpStream| {
        if let Err(error) = connection::serve(stream).await {
            eprintln!("connection: {error}");
        }
    })?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    println!("connections per core: {:?}", server.connections());
    match server.shutdown_timeout(Duration::from_secs(5)).await {
        // Idle clients are not asked to leave.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
        ended => ended,
    }
}
