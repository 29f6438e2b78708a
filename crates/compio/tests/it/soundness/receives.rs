//! Receives that are cancelled instead of dropped return every byte, also in the middle of a compound
//! operation (scenario 4).

use std::{future::Future, io::Write, time::Duration};

use compio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    runtime::{CancelToken, submit},
    task::yield_now,
    time::cancel_after,
};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use crate::support::{First, begin, check_code, code, pattern, run, select, std_streams, tcp_pair};

/// Long enough for an operation to begin.
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn s04_a_cancelled_receive_loses_no_byte() {
    use compio::{
        driver::{OwnedFd, SharedFd},
        op::Recv,
    };
    let (ours, theirs) = std_streams();
    let fd = SharedFd::from(OwnedFd::from(ours));
    let sent = pattern(200_000);
    let expected = sent.clone();
    let writer = std::thread::spawn(move || {
        for chunk in sent.chunks(997) {
            std::io::Write::write_all(&mut &theirs, chunk).unwrap();
        }
    });
    run(async {
        let mut received = Vec::new();
        while received.len() < expected.len() {
            let mut read = submit(Recv::new(fd.clone(), Vec::with_capacity(512), 0));
            let (result, buffer) = match select(&mut read, yield_now()).await {
                First::Left(output) => output,
                First::Right(()) => {
                    read.cancel();
                    read.await
                }
            };
            match result {
                Ok(len) => received.extend_from_slice(&buffer[..len]),
                Err(error) => check_code::<()>(Err(error), code::CANCELLED),
            }
        }
        assert!(received == expected);
    });
    writer.join().unwrap();
}

#[test]
fn s04_a_read_cancelled_by_a_token_hands_out_its_buffer() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let token = CancelToken::new();
        let mut read = Box::pin(token.run(client.read(Vec::with_capacity(77))));
        begin(&mut read).await;
        token.cancel();
        let (result, buffer) = read.await;
        result.unwrap_err();
        assert_eq!(buffer.capacity(), 77);
        server.write_all("later").await.0.unwrap();
        let (result, buffer) = client.read(buffer).await;
        assert_eq!((result.unwrap(), &buffer[..]), (5, &b"later"[..]));
    });
}

#[test]
fn s04_a_buffered_reader_goes_on_where_it_was_cancelled() {
    run(async {
        let (client, server) = tcp_pair().await;
        let mut server = server.into_std().unwrap();
        let writer = std::thread::spawn(move || {
            for line in 0..100 {
                server.write_all(format!("line {line}").as_bytes()).unwrap();
                std::thread::sleep(MOMENT);
                server.write_all(b"\n").unwrap();
            }
        });
        let mut reader = BufReader::new(client);
        let mut got = Vec::new();
        loop {
            let result = cancel_after(MOMENT / 4, reader.fill_buf())
                .await
                .map(<[u8]>::to_vec);
            match result {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => {
                    reader.consume(bytes.len());
                    got.extend(bytes);
                }
                Err(_) => {}
            }
        }
        writer.join().unwrap();
        let expected: String = (0..100).map(|line| format!("line {line}\n")).collect();
        assert_eq!(String::from_utf8(got).unwrap(), expected);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random cancels over a known stream: the receiver ends with exactly the bytes that were sent.
    #[test]
    fn s04_random_cancels_by_a_token_lose_no_byte(
        chunks in prop::collection::vec(1_usize..3000, 1..20),
        cancels in prop::collection::vec((any::<bool>(), 0_u64..300), 1..20),
        room in 1_usize..2000,
    ) {
        run(async {
            let (mut client, server) = tcp_pair().await;
            let sent = pattern(chunks.iter().sum());
            let bytes = sent.clone();
            let mut server = server.into_std().unwrap();
            let writer = std::thread::spawn(move || {
                let mut rest = &bytes[..];
                for len in chunks {
                    let (chunk, behind) = rest.split_at(len);
                    server.write_all(chunk).unwrap();
                    rest = behind;
                    std::thread::yield_now();
                }
            });
            let mut got = Vec::new();
            let mut cancels = cancels.into_iter().cycle();
            let mut buffer = Vec::with_capacity(room);
            loop {
                let (cancels, micros) = cancels.next().unwrap();
                let result;
                (result, buffer) = if cancels {
                    cancel_after(Duration::from_micros(micros), client.read(buffer)).await
                } else {
                    client.read(buffer).await
                };
                match result {
                    Ok(0) => break,
                    Ok(len) => got.extend_from_slice(&buffer[..len]),
                    Err(_) => {}
                }
                buffer.clear();
            }
            writer.join().unwrap();
            assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        });
    }
}

/// Writes the bytes in pieces of these lengths, from another thread.
fn write_in_pieces(
    server: TcpStream,
    bytes: Vec<u8>,
    lens: Vec<usize>,
) -> std::thread::JoinHandle<()> {
    let mut server = server.into_std().unwrap();
    std::thread::spawn(move || {
        let mut rest = &bytes[..];
        for len in lens {
            let (chunk, behind) = rest.split_at(len);
            server.write_all(chunk).unwrap();
            rest = behind;
            std::thread::yield_now();
        }
    })
}

/// Runs the future with the next limit of time of the list, or without one at its end.
async fn impatient<F: Future>(
    patience: &mut impl Iterator<Item = Option<u64>>,
    future: F,
) -> F::Output {
    match patience.next().flatten() {
        Some(micros) => cancel_after(Duration::from_micros(micros), future).await,
        None => future.await,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// A cancelled `read_exact` returns the bytes read so far in its buffer.
    #[test]
    fn s04_random_cancels_in_the_middle_of_read_exact_lose_no_byte(
        lens in prop::collection::vec(1_usize..3000, 1..20),
        patience in prop::collection::vec(prop::option::of(0_u64..300), 1..20),
        room in 1_usize..5000,
    ) {
        run(async {
            let (mut client, server) = tcp_pair().await;
            let sent = pattern(lens.iter().sum());
            let writer = write_in_pieces(server, sent.clone(), lens);
            let mut got = Vec::new();
            let mut patience = patience.into_iter().cycle();
            while got.len() < sent.len() {
                let buffer = Vec::with_capacity(room);
                let (_, buffer) = impatient(&mut patience, client.read_exact(buffer)).await;
                got.extend(buffer);
            }
            writer.join().unwrap();
            assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        });
    }

    /// The first part of a line is in its buffer, and the bytes behind it are in the reader.
    #[test]
    fn s04_random_cancels_in_the_middle_of_a_buffered_reader_lose_no_byte(
        lens in prop::collection::vec(1_usize..3000, 1..20),
        patience in prop::collection::vec(prop::option::of(0_u64..300), 1..20),
        room in 1_usize..5000,
    ) {
        run(async {
            let (client, server) = tcp_pair().await;
            let sent = pattern(lens.iter().sum());
            let writer = write_in_pieces(server, sent.clone(), lens);
            let mut reader = BufReader::with_capacity(room, client);
            let mut got = Vec::new();
            let mut patience = patience.into_iter().cycle();
            while got.len() < sent.len() {
                let result;
                (result, got) = impatient(&mut patience, reader.read_until(7, got)).await;
                if let Ok(len) = result {
                    assert!(len > 0, "{} of {} bytes", got.len(), sent.len());
                }
            }
            writer.join().unwrap();
            assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        });
    }
}
