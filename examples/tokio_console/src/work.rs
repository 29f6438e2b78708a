//! The tasks of the program.

use std::{
    env, fs, future, io, process,
    time::{Duration, Instant},
};

use compio::{
    fs::File,
    io::{AsyncRead, AsyncReadAtExt, AsyncWriteAtExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{self, Builder},
    time::{interval, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// Never returns, except for an error.
pub(crate) async fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Builder::new().name("ticker").spawn(tick()).detach();
    Builder::new().name("busy").spawn(compute()).detach();
    Builder::new()
        .name("self-waking")
        .spawn(wake_itself())
        .detach();
    Builder::new()
        .name("lost waker")
        .spawn(lose_waker())
        .detach();
    Builder::new().name("hasher").spawn(hash()).detach();
    Builder::new().name("log").spawn(log()).detach();
    for number in 1..=2 {
        let talk = talk(TcpStream::connect(address).await?);
        Builder::new()
            .name(&format!("client {number}"))
            .spawn(talk)
            .detach();
        let (peer, _) = listener.accept().await?;
        Builder::new()
            .name(&format!("echo {number}"))
            .spawn(echo(peer))
            .detach();
    }
    loop {
        // No other connection arrives.
        let accepted = timeout(10 * SECOND, listener.accept()).await;
        drop(accepted);
    }
}

async fn tick() {
    let mut ticks = interval(SECOND);
    loop {
        ticks.tick().await;
    }
}

/// The fault: for a fifth of each second, no other task of the thread runs.
async fn compute() {
    loop {
        let begin = Instant::now();
        while begin.elapsed() < SECOND / 5 {
            std::hint::spin_loop();
        }
        sleep(SECOND * 4 / 5).await;
    }
}

/// The fault: it polls instead of waiting.
async fn wake_itself() {
    loop {
        for _ in 0..10 {
            task::yield_now().await;
        }
        sleep(SECOND).await;
    }
}

/// The fault: it keeps no waker, so that nothing can wake it.
async fn lose_waker() {
    sleep(SECOND / 10).await;
    future::pending::<()>().await;
}

/// Blocking code in the thread pool.
async fn hash() {
    loop {
        let hash =
            || (0..20_000_000_u64).fold(0, |hash, n| (hash ^ n).wrapping_mul(0x0100_0000_01b3));
        let work = Builder::new().name("hash").spawn_blocking(hash);
        work.await.expect("it does not panic");
        sleep(2 * SECOND).await;
    }
}

/// Writes a file, and reads it back.
async fn log() -> io::Result<()> {
    let path = env::temp_dir().join(format!("compio-console-{}", process::id()));
    let log = File::options()
        .read(true)
        .write(true)
        .create(true)
        .open(&path)?;
    // It has no name from now on, and ends with the program.
    fs::remove_file(&path)?;
    let mut position = 0;
    loop {
        log.write_all_at("a line of the log\n", position).await.0?;
        let (read, line) = log.read_exact_at(Vec::with_capacity(18), position).await;
        read?;
        position += line.len() as u64;
        sleep(SECOND / 2).await;
    }
}

async fn talk(mut peer: TcpStream) -> io::Result<()> {
    loop {
        peer.write_all("a line that comes back\n").await.0?;
        let (read, _) = peer.read(Vec::with_capacity(64)).await;
        read?;
        sleep(SECOND / 4).await;
    }
}

async fn echo(mut peer: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let read;
        (read, buffer) = peer.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = peer.write_all(buffer).await;
        written?;
        buffer.clear();
    }
}
