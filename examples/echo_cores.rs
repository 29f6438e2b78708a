//! A TCP echo server on all cores: sends back all bytes that it receives. Ctrl-C stops it; connections have ten
//! seconds to end.
//!
//! `cargo run --release --example echo_cores -- 127.0.0.1:7000`, and then for instance `nc 127.0.0.1 7000`

use std::{env, io, time::Duration};

use compio::{
    cores::{self, Server},
    io::{AsyncRead, AsyncWriteExt},
    net::TcpStream,
    signal,
};

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let server = Server::bind(&address)
        .await?
        .connections_max(50_000)
        .start(async |stream: TcpStream| {
            if let Err(error) = serve(stream).await {
                eprintln!("connection: {error}");
            }
        })?;
    println!("listening on {}", server.local_addr());
    signal::ctrl_c().await?;
    println!("connections per core: {:?}", server.connections());
    server.shutdown_timeout(Duration::from_secs(10)).await
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(64 * 1024);
    // Between two messages, the shutdown ends the connection.
    while let Some((read, bytes)) = cores::run_until_draining(stream.read(buffer)).await {
        if read? == 0 {
            break;
        }
        let written;
        (written, buffer) = stream.write_all(bytes).await;
        written?;
    }
    Ok(())
}
