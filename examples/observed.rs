//! An echo server on all cores that `compio-console` can look into. Ctrl-C stops it.
//!
//! ```sh
//! cargo run --release --example observed -- /tmp/observed 127.0.0.1:7000
//! cargo run --release -p compio-console -- /tmp/observed
//! ```
//!
//! One of its tasks waits forever, and one blocks its worker for a moment in each second: the screens *Tasks* and
//! *Operations* show both.

use std::{env, future::pending, io, thread, time::Duration};

#[cfg(unix)]
use compio::console;
use compio::{
    cores::Server,
    io::{AsyncRead, AsyncWriteExt},
    net::TcpStream,
    signal,
    task::Builder,
    time::sleep,
};

#[compio::main]
async fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let socket = arguments.next().unwrap_or("/tmp/observed".into());
    let address = arguments.next().unwrap_or("127.0.0.1:7000".into());

    // The socket is removed when this is dropped.
    let _console = open_console(&socket)?;
    let server = Server::bind(&address).await?.start(async |stream| {
        // The end of the connection.
        let _ = echo(stream).await;
    })?;
    Builder::new()
        .name("forgotten")
        .spawn(pending::<()>())
        .detach();
    Builder::new().name("heavy").spawn(work()).detach();
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    server.shutdown_timeout(Duration::from_secs(10)).await
}

#[cfg(unix)]
fn open_console(path: &str) -> io::Result<console::Console> {
    console::listen(path)
}

/// Windows has no such sockets.
#[cfg(not(unix))]
fn open_console(_: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let (read, filled) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, emptied) = stream.write_all(filled).await;
        written?;
        buffer = emptied;
    }
}

/// Blocks its thread, which a task should not do.
async fn work() {
    loop {
        sleep(Duration::from_secs(1)).await;
        thread::sleep(Duration::from_millis(20));
    }
}
