//! A TCP echo server: sends back all bytes that it receives.
//!
//! `cargo run --release --example echo -- 127.0.0.1:7000`, and then for instance `nc 127.0.0.1 7000`

use std::{env, io};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task,
};

#[compio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // The task continues when its handle is dropped.
                task::spawn(async move {
                    if let Err(error) = serve(stream).await {
                        eprintln!("{peer}: {error}");
                    }
                });
            }
            // One connection failed, or there are too many: the others continue.
            Err(error) => {
                eprintln!("accept: {error}");
                compio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    // One buffer goes back and forth between the program and the kernel.
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let read;
        (read, buffer) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = stream.write_all(buffer).await;
        written?;
    }
}
