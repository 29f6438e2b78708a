//! Servers on several cores: compio's `Server` beside tokio's multi_thread runtime, with as many workers.
//!
//! `cargo run --release --example cores -- [WORKERS]`
//!
//! The server is a process of its own, so that its CPU time is known. The client, one thread of compio, shares the
//! CPUs with it. Each request and each response has 128 bytes. Rounds of both servers alternate. The numbers are
//! medians, with the lowest and the highest.
//!
//! - even: connections that stay open;
//! - uneven: the same, and each tenth connection asks for 100 µs of work at each request. Latencies are those of the
//!   other connections;
//! - churn: each connection ends after 25 requests.

use std::{
    cell::RefCell,
    env,
    hint::black_box,
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use compio::{
    cores::Server,
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use hdrhistogram::Histogram;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

const SIZE: usize = 128;
const ROUNDS: usize = 5;
const REQUESTS_OF_SHORT_CONNECTION: usize = 25;
/// Of a tenth of the connections in `uneven`.
const HEAVY_WORK: Duration = Duration::from_micros(100);

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    connections: usize,
    requests: usize,
    is_uneven: bool,
    is_churn: bool,
}

const fn load(name: &'static str, connections: usize, requests: usize) -> Load {
    Load {
        name,
        connections,
        requests,
        is_uneven: false,
        is_churn: false,
    }
}

const LOADS: [Load; 5] = [
    load("even", 64, 200_000),
    load("even", 1_000, 200_000),
    Load {
        is_uneven: true,
        ..load("uneven", 64, 60_000)
    },
    Load {
        is_uneven: true,
        ..load("uneven", 256, 60_000)
    },
    Load {
        is_churn: true,
        ..load("churn", 64, 100_000)
    },
];

/// The number of steps of work that take [`HEAVY_WORK`], found by the parent, so that both servers do the same.
fn steps_of_heavy_work() -> u64 {
    let began = Instant::now();
    let steps = 20_000_000;
    work(steps);
    let nanos = began.elapsed().as_nanos() as u64;
    steps * HEAVY_WORK.as_nanos() as u64 / nanos
}

fn work(steps: u64) {
    let mut state = 1_u64;
    for _ in 0..steps {
        state = black_box(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        );
    }
}

/// The work that a request asks for.
fn obey(request: &[u8], steps: u64) {
    if request[0] == 1 {
        work(steps);
    }
}

fn serve(name: &str, workers: usize, steps: u64) -> io::Result<()> {
    match name {
        "compio" => serve_compio(workers, steps),
        "tokio" => serve_tokio(workers, steps),
        _ => Err(io::Error::other("no such server")),
    }
}

/// Announces the address, and waits for the end of the input.
fn announce(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

fn serve_compio(workers: usize, steps: u64) -> io::Result<()> {
    let bound = compio::task::block_on(Server::bind("127.0.0.1:0"))?;
    let server = bound
        .workers(workers)
        .start(async move |mut stream: TcpStream| {
            let mut buffer = vec![0; SIZE];
            loop {
                let (read, request) = stream.read_exact(buffer).await;
                if read.is_err() {
                    return;
                }
                obey(&request, steps);
                let (written, response) = stream.write_all(request).await;
                if written.is_err() {
                    return;
                }
                buffer = response;
            }
        })?;
    announce(server.local_addr())
}

fn serve_tokio(workers: usize, steps: u64) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; SIZE];
                while stream.read_exact(&mut buffer).await.is_ok() {
                    obey(&buffer, steps);
                    if stream.write_all(&buffer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    announce(address)
}

/// Serves one load by a new process, and measures it.
fn measure(server: &str, load: Load, workers: usize, steps: u64) -> io::Result<Vec<f64>> {
    let before = cpu_of_children()?;
    let mut child = Command::new(env::current_exe()?)
        .args(["serve", server, &workers.to_string(), &steps.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().map_err(io::Error::other)?;
    let began = Instant::now();
    let latencies = compio::task::block_on(ask(address, load))?;
    let wall = began.elapsed();
    // The end of its input ends it.
    drop(child.stdin.take());
    child.wait()?;
    let cpu = cpu_of_children()? - before;
    let requests = load.requests as f64;
    Ok(vec![
        requests / cpu.as_secs_f64(),
        requests / wall.as_secs_f64(),
        latencies.value_at_quantile(0.5) as f64 / 1000.0,
        latencies.value_at_quantile(0.99) as f64 / 1000.0,
    ])
}

fn cpu_of_children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros as u64))
}

/// Makes all requests, and returns the latencies of the light ones in nanoseconds.
async fn ask(address: SocketAddr, load: Load) -> io::Result<Histogram<u64>> {
    let latencies = Rc::new(RefCell::new(
        Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?,
    ));
    let mut tasks = JoinSet::new();
    for number in 0..load.connections {
        let latencies = Rc::clone(&latencies);
        let is_heavy = load.is_uneven && number % 10 == 0;
        let requests = load.requests / load.connections;
        tasks.spawn(async move {
            let of_connection = if load.is_churn {
                REQUESTS_OF_SHORT_CONNECTION
            } else {
                requests
            };
            let mut left = requests;
            while left > 0 {
                let count = left.min(of_connection);
                let stream = TcpStream::connect(address).await?;
                talk(stream, count, is_heavy, &latencies).await?;
                left -= count;
            }
            io::Result::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    drop(tasks);
    Ok(Rc::into_inner(latencies)
        .expect("all tasks have ended")
        .into_inner())
}

async fn talk(
    mut stream: TcpStream,
    requests: usize,
    is_heavy: bool,
    latencies: &RefCell<Histogram<u64>>,
) -> io::Result<()> {
    let mut buffer = vec![u8::from(is_heavy); SIZE];
    for _ in 0..requests {
        let began = Instant::now();
        let (written, sent) = stream.write_all(buffer).await;
        written?;
        let (read, response) = stream.read_exact(sent).await;
        read?;
        buffer = response;
        if !is_heavy {
            latencies
                .borrow_mut()
                .saturating_record(began.elapsed().as_nanos() as u64);
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, serve_word, name, workers, steps] = &arguments[..]
        && serve_word == "serve"
    {
        let workers = workers.parse().map_err(io::Error::other)?;
        return serve(name, workers, steps.parse().map_err(io::Error::other)?);
    }
    let workers = match arguments.get(1) {
        Some(count) => count.parse().map_err(io::Error::other)?,
        None => std::thread::available_parallelism()?.get(),
    };
    let steps = steps_of_heavy_work();
    println!("{workers} workers; requests per CPU second, requests/s, p50 µs, p99 µs");
    let servers = ["compio", "tokio"];
    for load in LOADS {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (rounds, server) in rounds.iter_mut().zip(servers) {
                rounds.push(measure(server, load, workers, steps)?);
            }
        }
        for (server, rounds) in servers.iter().zip(&rounds) {
            let columns = (0..4).map(|column| show(rounds, column));
            let columns = columns.collect::<Vec<_>>().join(", ");
            println!("{} {}, {server}: {columns}", load.name, load.connections);
        }
        let ratios: Vec<Vec<f64>> = rounds[0]
            .iter()
            .zip(&rounds[1])
            .map(|(ours, theirs)| {
                ours.iter()
                    .zip(theirs)
                    .map(|(a, b)| 100.0 * a / b)
                    .collect()
            })
            .collect();
        let columns = (0..4).map(|column| show(&ratios, column));
        println!("  ratio, %: {}", columns.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// Median, lowest and highest.
fn show(rounds: &[Vec<f64>], column: usize) -> String {
    let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
    values.sort_by(f64::total_cmp);
    let [low, median, high] = [0, values.len() / 2, values.len() - 1].map(|place| values[place]);
    format!("{median:.0} ({low:.0}-{high:.0})")
}
