//! A program that hangs, to find out why. A server waits for a request of ten bytes, the client sends nine, and each waits for
//! the other.
//!
//! `cargo run --release --example hang` and then, on unix, `Ctrl-\` prints each task and its waits.
//! `docs/finding-out-why-it-hangs.md` explains the output. `Ctrl-C` stops the program.

use std::io;

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    signal, task,
};

const REQUEST: usize = 10;

#[compio::main]
async fn main() -> io::Result<()> {
    #[cfg(unix)]
    signal::unix::print_dumps(signal::unix::SignalKind::quit())?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    task::Builder::new()
        .name("server")
        .spawn(serve(listener))
        .detach();
    task::Builder::new()
        .name("client")
        .spawn(request(address))
        .detach();
    println!("process {}", std::process::id());
    signal::ctrl_c().await
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let (read, request) = stream.read_exact(Vec::with_capacity(REQUEST)).await;
    read?;
    stream.write_all(request).await.0?;
    Ok(())
}

async fn request(address: std::net::SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    // The fault: one byte less than the server expects.
    stream.write_all("too short").await.0?;
    let (read, answer) = stream.read_exact(Vec::with_capacity(REQUEST)).await;
    read?;
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}
