//! Tokio libraries inside compio. A library that needs only `tokio::io::{AsyncRead, AsyncWrite}`, and no
//! Tokio runtime, works on a compio stream.
//!
//! The example uses `tokio::io` itself: `lines` of a buffered reader, and `copy_bidirectional`.
//!
//! ```console
//! $ cargo run --release --example tokio_inside
//! first line, second line, and 100000 bytes through a proxy
//! ```

use std::{io, time::Duration};

use compio::{
    io::{PollReader, PollWriter, join},
    net::{TcpListener, TcpStream},
    task::spawn,
    time::timeout,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// A time limit that even a busy machine does not exceed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A compio stream as a Tokio stream.
macro_rules! tokio_stream {
    ($stream:expr) => {{
        let (reader, writer) = $stream.into_split();
        join(PollReader::new(reader), PollWriter::new(writer))
    }};
}

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    Ok((client, server))
}

async fn read_lines() -> io::Result<Vec<String>> {
    let (client, server) = pair().await?;
    let writing = spawn(async move {
        let mut client = tokio_stream!(client);
        client.write_all(b"first line\nsecond line\n").await?;
        client.shutdown().await
    });
    let mut lines = BufReader::new(tokio_stream!(server)).lines();
    let mut read = Vec::new();
    while let Some(line) = lines.next_line().await? {
        read.push(line);
    }
    writing.await.expect("no panic")?;
    Ok(read)
}

async fn through_proxy(len: usize) -> io::Result<usize> {
    let (client, near) = pair().await?;
    let (far, server) = pair().await?;
    let proxy = spawn(async move {
        let (mut near, mut far) = (tokio_stream!(near), tokio_stream!(far));
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    });
    let writing = spawn(async move {
        let mut client = tokio_stream!(client);
        client.write_all(&vec![7; len]).await?;
        client.shutdown().await?;
        // Until the proxy has closed the other direction.
        client.read_to_end(&mut Vec::new()).await
    });
    let mut server = tokio_stream!(server);
    let mut received = Vec::new();
    server.read_to_end(&mut received).await?;
    server.shutdown().await?;
    writing.await.expect("no panic")?;
    let (sent, _) = proxy.await.expect("no panic")?;
    assert_eq!(sent, len as u64);
    Ok(received.len())
}

#[compio::main]
async fn main() -> io::Result<()> {
    let lines = timeout(PATIENCE, read_lines()).await??;
    let len = timeout(PATIENCE, through_proxy(100_000)).await??;
    println!("{}, and {len} bytes through a proxy", lines.join(", "));
    assert_eq!((lines.len(), len), (2, 100_000));
    Ok(())
}
