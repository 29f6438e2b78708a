//! A program for tokio-console. It echoes lines over TCP, and has three planted faults: a task that computes without
//! a pause, one that wakes itself without need, and one that loses its waker.
//!
//! Run it, and `tokio-console` in another terminal:
//!
//! ```sh
//! cargo run --release
//! cargo install tokio-console
//! tokio-console
//! ```
//!
//! `--check` connects to the program itself, and reports whether the tasks, resources and operations arrive. An
//! argument with an address, as `127.0.0.1:7000`, replaces the address of the console, 127.0.0.1:6669.

mod check;
mod work;

use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process, thread,
    time::Duration,
};

use console_subscriber::ConsoleLayer;

/// console-subscriber takes at most 128 events in each of these intervals, by Tokio's cooperative budget, until its
/// buffer is half full. With its default of one second, the tables of this program would be minutes late.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 6669));
    let mut checks = false;
    for argument in env::args().skip(1) {
        if argument == "--check" {
            checks = true;
            address = free_address()?;
        } else {
            address = argument.parse().map_err(io::Error::other)?;
        }
    }
    // Before the runtime: sockets that are older than the subscriber have no row.
    ConsoleLayer::builder()
        .server_addr(address)
        .publish_interval(PUBLISH_INTERVAL)
        .init();
    if checks {
        thread::spawn(move || match check::run(address) {
            Ok(()) => process::exit(0),
            Err(error) => {
                eprintln!("{error}");
                process::exit(1);
            }
        });
    } else {
        println!("tokio-console http://{address}");
    }
    compio::task::block_on(work::run())
}

/// An address that no program uses now.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
