//! WebSocket echo: servers over compio-ws and tokio-tungstenite, each with its defaults, and a load by blocking clients.
//! `tokio-4k` has read buffers of 4 KiB, as tungstenite's documentation advises for many connections: it fills the
//! buffer with zeros before each read, by default 128 KiB.
//!
//! The clients are one thread. It writes a message to each connection, then reads the answers, so that the server finds
//! work of all connections.

use std::{
    error::Error,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use compio::{driver::BackendKind, runtime::Runtime};
use compio_ws::accept;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::{accept_async_with_config, tungstenite::protocol::WebSocketConfig};

use crate::{
    load::{Plan, Sample, Server, to_client_cpu},
    row::Row,
};

pub(crate) fn serve(name: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    match name {
        "tokio" => serve_tokio(address, WebSocketConfig::default()),
        "tokio-4k" => {
            let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
            serve_tokio(address, config)
        }
        "uring" => serve_compio(address, BackendKind::IoUring),
        "readiness" => serve_compio(address, BackendKind::Poll),
        _ => Err(format!("no server has the name {name}").into()),
    }
}

fn serve_tokio(address: SocketAddr, config: WebSocketConfig) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let accepted = accept_async_with_config(stream, Some(config)).await;
                let Ok(mut socket) = accepted else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
            });
        }
    }))
}

fn serve_compio(address: SocketAddr, backend: BackendKind) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::builder().backend(backend).build()?;
    runtime.block_on(async {
        let listener = compio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            compio::task::spawn(async {
                let Ok((mut socket, _)) = accept(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.recv().await {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
            })
            .detach();
        }
    })
}

pub(crate) fn measure(
    plan: &Plan,
    row: &Row,
    server: &str,
    port: u16,
    connections: u32,
    len: usize,
) -> Result<Sample, Box<dyn Error>> {
    to_client_cpu()?;
    let process = Server::start(row, server, port)?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(open(port)?);
    }
    let message = frame(len);
    load(&mut clients, &message, len, Duration::from_secs(1))?;
    let before = process.cpu_time()?;
    let begin = Instant::now();
    let seconds = Duration::from_secs(plan.seconds.into());
    let messages = load(&mut clients, &message, len, seconds)?;
    let elapsed = begin.elapsed().as_secs_f64();
    let used = process.cpu_time()? - before;
    Ok(Sample {
        requests_per_second: messages / elapsed,
        micros: used / messages,
    })
}

fn open(port: u16) -> Result<TcpStream, Box<dyn Error>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(stream)
}

/// A masked binary message.
fn frame(len: usize) -> Vec<u8> {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![0x82];
    if len < 126 {
        frame.push(0x80 | len as u8);
    } else {
        frame.push(0x80 | 127);
        frame.extend((len as u64).to_be_bytes());
    }
    frame.extend(KEY);
    frame.extend((0..len).map(|index| b'x' ^ KEY[index % 4]));
    frame
}

/// Sends and receives messages for this time. Returns their number.
fn load(
    clients: &mut [TcpStream],
    message: &[u8],
    len: usize,
    time: Duration,
) -> Result<f64, Box<dyn Error>> {
    // The header has no mask.
    let mut answer = vec![0; message.len() - 4];
    let end = Instant::now() + time;
    let mut count = 0;
    while Instant::now() < end {
        for client in &mut *clients {
            client.write_all(message)?;
        }
        for client in &mut *clients {
            client.read_exact(&mut answer)?;
            count += 1;
        }
        if !answer[answer.len() - len..]
            .iter()
            .all(|byte| *byte == b'x')
        {
            return Err("a wrong answer".into());
        }
    }
    Ok(f64::from(count))
}
