//! Many hosts with many connections. `--ignored` runs it, in release mode; it prints its time and its memory.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use super::echo;
use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sim::Simulation,
    task, time,
};

const CONNECTIONS: usize = 10;
const MINUTES: u64 = 10;

async fn ask(peer: String) -> io::Result<()> {
    let mut stream = TcpStream::connect((peer, 7)).await?;
    for _ in 0..MINUTES * 6 {
        stream.write_all([7; 128]).await.0?;
        stream.read_exact([0; 128]).await.0?;
        time::sleep(Duration::from_secs(10)).await;
    }
    Ok(())
}

fn run(hosts: usize) {
    let begin = Instant::now();
    let mut simulation = Simulation::builder().seed(1).build();
    for host in 0..hosts {
        let name = format!("host-{host}");
        simulation.client(&name, async move {
            let server = task::spawn(echo::<128>());
            // All hosts listen by then.
            time::sleep(Duration::from_secs(1)).await;
            let peers = (1..=CONNECTIONS).map(|step| format!("host-{}", (host + step) % hosts));
            let clients: Vec<_> = peers.map(|peer| task::spawn(ask(peer))).collect();
            for client in clients {
                client.await.expect("no panic")?;
            }
            time::sleep(Duration::from_secs(60)).await;
            server.abort();
            io::Result::Ok(())
        });
    }
    let report = simulation.run().unwrap_or_else(|error| panic!("{error}"));
    let took = begin.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    let count = report.trace_len();
    println!(
        "{hosts} hosts: {took:?}, {count} records, {:?} a record, {}",
        took / u32::try_from(count).unwrap_or(u32::MAX),
        peak.unwrap_or_default()
    );
}

#[test]
fn few_hosts_run_for_ten_minutes() {
    run(12);
}

#[test]
#[ignore = "a measurement"]
fn hundred_hosts_run_for_ten_minutes() {
    run(100);
}

#[test]
#[ignore = "a measurement"]
fn thousand_hosts_run_for_ten_minutes() {
    run(1000);
}
