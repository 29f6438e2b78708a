//! Flow control of TCP: the sizes of packets, and the waits for room.

use std::{future::poll_fn, io, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{PollStream, TcpSocket, TcpStream, lookup_host},
    sim::Simulation,
    time,
};

use super::Log;

/// The number of bytes of a stream: more than fill the buffers of a connection.
const LEN: usize = 400_000;

/// A socket with buffers of this size.
fn socket(buffer: u32) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(buffer)?;
    socket.set_recv_buffer_size(buffer)?;
    Ok(socket)
}

/// Reads a connection by parts of this size, to the end, after the sender has filled the buffers. Answers with the number of bytes.
async fn read_slowly(buffer: u32, part: usize) -> io::Result<()> {
    let socket = socket(buffer)?;
    socket.bind("0.0.0.0:7".parse().unwrap())?;
    let (mut stream, _) = socket.listen(1)?.accept().await?;
    time::sleep(Duration::from_secs(60)).await;
    let mut len = 0_usize;
    for number in 0.. {
        let (read, _) = stream.read(Vec::with_capacity(part)).await;
        match read? {
            0 => break,
            read => len += read,
        }
        if number % 100 == 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
    stream.write_all(len.to_le_bytes()).await.0
}

async fn connect(buffer: u32) -> io::Result<TcpStream> {
    let server = lookup_host("server:7").await?.next().unwrap();
    socket(buffer)?.connect(server).await
}

/// Ends the sending half, and waits for the number of bytes that the reader has got.
async fn finish(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let (read, len) = stream.read_exact([0; 8]).await;
    read?;
    assert_eq!(usize::from_le_bytes(len), LEN);
    Ok(())
}

/// Runs a sender and a slow reader. Returns the lengths of the packets with data that have arrived at the reader.
#[track_caller]
fn packets(
    buffer: u32,
    part: usize,
    sender: impl Future<Output = io::Result<()>> + 'static,
) -> Vec<usize> {
    let log = Log::default();
    let seen = log.clone();
    let builder = Simulation::builder().seed(1);
    let mut simulation = builder.on_line(move |line| log.add(line)).build();
    simulation.host("server", move || read_slowly(buffer, part));
    simulation.client("client", sender);
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    let lines = seen.entries();
    let lens = lines.iter().filter_map(|line| {
        let (_, packet) = line.split_once(" packet data of ")?;
        let (len, place) = packet.split_once(" bytes at ")?;
        place.starts_with("server ").then(|| len.parse().unwrap())
    });
    lens.collect()
}

/// Sends the stream by one write after the other, each with all bytes that are left.
async fn write_all(buffer: u32) -> io::Result<()> {
    let mut stream = connect(buffer).await?;
    stream.write_all(vec![7; LEN]).await.0?;
    finish(stream).await
}

#[test]
fn small_reads_of_a_full_stream_cause_no_small_packets() {
    let lens = packets(64 * 1024, 10, write_all(64 * 1024));
    assert_eq!(lens.iter().sum::<usize>(), LEN);
    let (last, others) = lens.split_last().unwrap();
    assert!(others.iter().all(|len| *len >= 1460), "{others:?}, {last}");
}

#[test]
fn room_in_a_buffer_below_two_segments_is_announced_by_halves() {
    let lens = packets(2048, 10, write_all(2048));
    assert_eq!(lens.iter().sum::<usize>(), LEN);
    let (last, others) = lens.split_last().unwrap();
    assert!(others.iter().all(|len| *len >= 1024), "{others:?}, {last}");
}

#[test]
fn sender_that_polls_for_room_gets_it_by_segments() {
    let lens = packets(16 * 1024, 10, async {
        let mut stream = PollStream::new(connect(16 * 1024).await?)?;
        let bytes = vec![7; LEN];
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let sent = poll_fn(|cx| stream.poll_write(cx, rest)).await?;
            rest = &rest[sent..];
        }
        finish(stream.into_inner()).await
    });
    assert_eq!(lens.iter().sum::<usize>(), LEN);
    // A polled write is limited, so that it may end short of a full window: two small packets in each of them.
    assert!(lens.len() < LEN / 700, "{} packets", lens.len());
}
