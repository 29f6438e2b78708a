//! The costs of two runtimes: of a call from compio to Tokio's reactor, and of two seconds without work, for Tokio's
//! reactor beside compio and for compio inside of Tokio. Each side has a socket that waits and a timer, and a message
//! between both has started them.
//!
//! ```console
//! $ cargo run --release --example tokio_costs
//! a call: 6 µs by `run`, 41 ns by `Compat`
//! Tokio beside compio: 0 ms of CPU and 1 switches of threads in 2.0 s
//! compio inside of Tokio: 0 ms of CPU and 2 switches of threads in 2.0 s
//! ```

use std::{
    io,
    time::{Duration, Instant},
};

use compio::{
    compat::tokio::{Compat, run, run_until, spawn},
    io::AsyncRead,
    net::TcpStream,
    runtime::Runtime,
    task,
};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use tokio::io::AsyncReadExt;

const TIME: Duration = Duration::from_secs(2);

/// A loop that polls would need thousands.
const SWITCHES_MAX: i64 = 200;

/// The socket of a peer that sends nothing.
struct Silent {
    _peer: std::net::TcpListener,
    address: std::net::SocketAddr,
}

fn silent() -> io::Result<Silent> {
    let peer = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = peer.local_addr()?;
    Ok(Silent {
        _peer: peer,
        address,
    })
}

/// Waits in a socket of Tokio and in one of its timers.
async fn wait_in_tokio(silent: &Silent) -> io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(silent.address).await?;
    let read = tokio::time::timeout(10 * TIME, async move { stream.read_u8().await });
    read.await?.map(drop)
}

/// The same in compio.
async fn wait_in_compio(silent: &Silent) -> io::Result<()> {
    let mut stream = TcpStream::connect(silent.address).await?;
    let read = compio::time::timeout(10 * TIME, async move { stream.read([0; 1]).await.0 });
    read.await?.map(drop)
}

/// The time of calls that do nothing, one after the other.
async fn calls() {
    const COUNT: u32 = 20_000;
    run(async {}).await;
    let start = Instant::now();
    for _ in 0..COUNT {
        run(async {}).await;
    }
    let by_run = start.elapsed() / COUNT;
    let start = Instant::now();
    for _ in 0..COUNT {
        Compat::new(async {}).await;
    }
    let by_compat = start.elapsed() / COUNT;
    println!("a call: {by_run:.0?} by `run`, {by_compat:.0?} by `Compat`");
}

async fn beside() -> io::Result<()> {
    let [one, other] = [silent()?, silent()?];
    spawn(async move { wait_in_tokio(&one).await });
    task::spawn(async move { wait_in_compio(&other).await });
    assert_eq!(run(async { 6 * 7 }).await, 42);
    measure("Tokio beside compio", compio::time::sleep(TIME)).await
}

async fn inside() -> io::Result<()> {
    let [one, other] = [silent()?, silent()?];
    tokio::spawn(async move { wait_in_tokio(&one).await });
    task::spawn(async move { wait_in_compio(&other).await });
    let answer = task::spawn(async { 6 * 7 });
    assert_eq!(answer.await.expect("no panic"), 42);
    measure("compio inside of Tokio", tokio::time::sleep(TIME)).await
}

async fn measure(name: &str, idle: impl Future<Output = ()>) -> io::Result<()> {
    let (usage, start) = (getrusage(UsageWho::RUSAGE_SELF)?, Instant::now());
    idle.await;
    let (now, took) = (getrusage(UsageWho::RUSAGE_SELF)?, start.elapsed());
    let switches = now.voluntary_context_switches() - usage.voluntary_context_switches();
    let millis = (micros(&now) - micros(&usage)) / 1000;
    println!(
        "{name}: {millis} ms of CPU and {switches} switches of threads in {:.1} s",
        took.as_secs_f64()
    );
    assert!(switches < SWITCHES_MAX, "a loop polls");
    Ok(())
}

/// The time in the program and in the kernel.
fn micros(usage: &Usage) -> i64 {
    let (user, system) = (usage.user_time(), usage.system_time());
    1_000_000 * (user.tv_sec() + system.tv_sec()) + user.tv_usec() + system.tv_usec()
}

fn main() -> io::Result<()> {
    compio::task::block_on(calls());
    compio::task::block_on(beside())?;
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let compio = Runtime::new()?;
    tokio.block_on(run_until(&compio, inside()))?
}
