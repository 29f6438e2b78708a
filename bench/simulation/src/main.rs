//! Time and memory of a simulation with many hosts. Each host has 10 connections to others, and each connection echoes 128
//! bytes, with a pause of 10 seconds, for 10 virtual minutes.
//!
//! ```text
//! simulation [HOSTS…]      a table of medians of 5 processes: 10, 100, 1,000 and 10,000 hosts
//! simulation run HOSTS     one run, in this process
//! ```
//!
//! An operation is a call of a program that it awaits: a connect, an accept, a read or a write of 128 bytes, or a sleep.
//! Time is user time of the whole process, with the start of the hosts. The memory is its peak, `VmHWM`.

use std::{cell::Cell, env, error::Error, fs, io, process::Command, rc::Rc, time::Duration};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sim::Simulation,
    task, time,
};
use nix::sys::resource::{UsageWho, getrusage};

const HOSTS: [usize; 4] = [10, 100, 1000, 10_000];
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 10;
const EXCHANGES: usize = 60;
const PAUSE: Duration = Duration::from_secs(10);
const LEN: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => table(&HOSTS),
        ["run", hosts] => run(hosts.parse()?),
        _ => {
            let hosts = words.iter().map(|word| word.parse());
            table(&hosts.collect::<Result<Vec<_>, _>>()?)
        }
    }
}

/// Counts the operations of all hosts.
#[derive(Clone, Default)]
struct Operations(Rc<Cell<u64>>);

impl Operations {
    /// Awaits an operation, and counts it.
    async fn count<T>(&self, operation: impl Future<Output = T>) -> T {
        self.0.set(self.0.get() + 1);
        operation.await
    }
}

async fn serve(operations: Operations) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = operations.count(listener.accept()).await?;
        let operations = operations.clone();
        task::spawn(async move {
            let mut buffer = vec![0; LEN];
            loop {
                let (read, bytes) = operations.count(stream.read_exact(buffer)).await;
                read?;
                let (written, bytes) = operations.count(stream.write_all(bytes)).await;
                written?;
                buffer = bytes;
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            io::Result::Ok(())
        })
        .detach();
    }
}

async fn ask(peer: String, operations: Operations) -> io::Result<()> {
    let mut stream = operations.count(TcpStream::connect((peer, 7))).await?;
    let mut buffer = vec![7; LEN];
    for _ in 0..EXCHANGES {
        let (written, bytes) = operations.count(stream.write_all(buffer)).await;
        written?;
        let (read, bytes) = operations.count(stream.read_exact(bytes)).await;
        read?;
        buffer = bytes;
        operations.count(time::sleep(PAUSE)).await;
    }
    Ok(())
}

/// Runs the simulation. Prints seconds of user time, KiB of memory, and operations.
fn run(hosts: usize) -> Result<(), Box<dyn Error>> {
    let operations = Operations::default();
    let mut simulation = Simulation::builder().seed(1).build();
    for host in 0..hosts {
        let operations = operations.clone();
        simulation.client(&format!("host-{host}"), async move {
            let server = task::spawn(serve(operations.clone()));
            // All hosts listen by then.
            time::sleep(Duration::from_secs(1)).await;
            let peers = (1..=CONNECTIONS).map(|step| format!("host-{}", (host + step) % hosts));
            let clients: Vec<_> = peers
                .map(|peer| task::spawn(ask(peer, operations.clone())))
                .collect();
            for client in clients {
                client.await.expect("no panic")?;
            }
            // The slowest peers are still served.
            time::sleep(PAUSE).await;
            server.abort();
            io::Result::Ok(())
        });
    }
    simulation.run()?;
    let user = getrusage(UsageWho::RUSAGE_SELF)?.user_time();
    let seconds = user.tv_sec() as f64 + user.tv_usec() as f64 / 1e6;
    println!("{seconds} {} {}", peak_memory()?, operations.0.get());
    Ok(())
}

/// The peak of the resident memory, in KiB.
fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.split_whitespace().next());
    Ok(number.ok_or("no VmHWM in /proc/self/status")?.parse()?)
}

fn table(rows: &[usize]) -> Result<(), Box<dyn Error>> {
    println!("| hosts | operations | user time | per operation | peak memory |");
    println!("|---:|---:|---:|---:|---:|");
    for &hosts in rows {
        let runs = (0..ROUNDS).map(|_| measure(hosts));
        let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
        runs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (seconds, kib, operations) = runs[ROUNDS / 2];
        println!(
            "| {hosts} | {operations} | {seconds:.2} s | {:.2} µs | {:.0} MB |",
            seconds * 1e6 / operations,
            kib * 1024.0 / 1e6,
        );
    }
    Ok(())
}

/// Seconds, KiB and operations of a run in a process of its own.
fn measure(hosts: usize) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let output = Command::new(env::current_exe()?)
        .args(["run", &hosts.to_string()])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    match numbers?[..] {
        [seconds, kib, operations] => Ok((seconds, kib, operations)),
        _ => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}
