//! TLS 1.3 downloads and uploads of 1 MB: compio-tls beside tokio-rustls on a `current_thread` runtime.
//!
//! `cargo run --release -p tls -- [ROUNDS] [CONNECTIONS]` starts each server as a process on core 0, and runs the
//! same client on core 1: threads with blocking sockets and rustls. The rounds of the servers alternate. It prints
//! the medians of MB/s and of the server's CPU time per MB, with their spread, and the ratios.

mod client;
mod servers;

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{UsageWho, getrusage},
    unistd::Pid,
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The bytes of one download or upload.
const LEN: usize = 1 << 20;

/// The time of one measurement.
const ROUND: Duration = Duration::from_millis(700);

const SERVERS: [&str; 2] = ["compio", "tokio"];

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [mode, name] = &arguments[..]
        && mode == "server"
    {
        pin(0)?;
        return servers::run(name);
    }
    let number = |index: usize, default| match arguments.get(index) {
        Some(text) => text.parse::<usize>(),
        None => Ok(default),
    };
    let (rounds, connections) = (number(0, 9)?, number(1, 4)?);
    pin(1)?;
    for work in [Work::Download, Work::Upload] {
        let mut results = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (name, results) in SERVERS.iter().zip(&mut results) {
                results.push(measure(name, work, connections)?);
            }
        }
        report(work, &results);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Download,
    Upload,
}

/// One round of one server.
struct Figures {
    rate: f64,
    cpu: f64,
}

fn pin(core: usize) -> Outcome {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores)?;
    Ok(())
}

/// A server process, which is killed at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(name: &str, work: Work, connections: usize) -> Outcome<Figures> {
    let mut child = Command::new(env::current_exe()?)
        .args(["server", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut commands = child.stdin.take().ok_or("no input")?;
    let server = Server(child);
    let mut lines = BufReader::new(output).lines();
    let mut line = || -> Outcome<String> { Ok(lines.next().ok_or("the server has ended")??) };
    let hello = line()?;
    let (address, root) = hello.split_once(' ').ok_or("no address")?;
    let clients = client::connect(address.parse()?, &decode(root)?, connections, work)?;
    let mut cpu_of_server = || -> Outcome<f64> {
        commands.write_all(b"\n")?;
        Ok(line()?.parse()?)
    };
    let cpu = cpu_of_server()?;
    let begin = Instant::now();
    let count = client::transfer(clients, ROUND)?;
    let time = begin.elapsed();
    let cpu = cpu_of_server()? - cpu;
    drop(server);
    let megabytes = count as f64 * LEN as f64 / 1e6;
    Ok(Figures {
        rate: megabytes / time.as_secs_f64(),
        cpu: cpu / megabytes,
    })
}

/// The CPU time of this process in microseconds.
fn cpu_time() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(f64::NAN, |usage| {
        let [user, system] = [usage.user_time(), usage.system_time()];
        [user, system]
            .iter()
            .map(|time| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64)
            .sum()
    })
}

fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(text: &str) -> Outcome<Vec<u8>> {
    (0..text.len() / 2)
        .map(|index| Ok(u8::from_str_radix(&text[2 * index..2 * index + 2], 16)?))
        .collect()
}

fn report(work: Work, results: &[Vec<Figures>; 2]) {
    println!("{work:?} of 1 MB:");
    let spread = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (
            values[values.len() / 2],
            values[0],
            values[values.len() - 1],
        )
    };
    let mut medians = Vec::new();
    for (name, figures) in SERVERS.iter().zip(results) {
        let (rate, slow, fast) = spread(&mut figures.iter().map(|f| f.rate).collect());
        let (cpu, low, high) = spread(&mut figures.iter().map(|f| f.cpu).collect());
        println!(
            "  {name}: {rate:.0} MB/s ({slow:.0} to {fast:.0}), {cpu:.0} us of CPU per MB ({low:.0} to {high:.0})"
        );
        medians.push((rate, cpu));
    }
    println!(
        "  compio / tokio: {:.2} of the rate, {:.2} of the CPU",
        medians[0].0 / medians[1].0,
        medians[0].1 / medians[1].1
    );
}
