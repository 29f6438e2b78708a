//! A compio runtime inside Tokio's current-thread runtime, on one thread and without a second one.
//!
//! `run_until` polls the compio runtime as a part of one task of Tokio. The task is woken when the compio runtime is: by
//! its descriptor, by the time of its next timer, by other tasks.
//!
//! The program has a compio server and a Tokio client, and a compio task that a Tokio task wakes.
//!
//! ```console
//! $ cargo run --release --example inside_tokio
//! 1000 messages were echoed, 1000 wakes were heard
//! ```

use std::{io, time::Duration};

use compio::{
    compat::tokio::run_until, io::AsyncWriteExt as _, net::TcpListener, runtime::Runtime,
    task::spawn,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

const COUNT: usize = 1000;

/// A time limit that even a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A compio server, which echoes one connection.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let read;
        (read, buffer) = compio::io::AsyncRead::read(&mut stream, buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let written;
        (written, buffer) = stream.write_all(buffer).await;
        written?;
    }
}

/// A Tokio client of a compio server. Both run in this task of Tokio.
async fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = spawn(serve(listener));

    // Each message of this channel wakes a compio task on this thread.
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let listening = spawn(async move {
        let mut heard = 0;
        while receiver.recv().await.is_some() {
            heard += 1;
            compio::time::sleep(Duration::from_micros(10)).await;
        }
        heard
    });

    let mut client = tokio::net::TcpStream::connect(address).await?;
    for number in 0..COUNT {
        let message = number.to_le_bytes();
        client.write_all(&message).await?;
        let mut echo = [0; size_of::<usize>()];
        client.read_exact(&mut echo).await?;
        assert_eq!(echo, message);
        sender.send(number).expect("a task that listens");
    }
    drop((client, sender));
    let heard: usize = listening.await.expect("no panic");
    server.await.expect("no panic")?;
    println!("{COUNT} messages were echoed, {heard} wakes were heard");
    assert_eq!(heard, COUNT);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let compio = Runtime::new()?;
    timeout(PATIENCE, run_until(&compio, run())).await??
}
