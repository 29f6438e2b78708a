//! Dropped, concurrent and zero-copy writes (scenarios 5 and 13).

use std::{io::Read, rc::Rc, time::Duration};

use compio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter},
    net::TcpStream,
    runtime::CancelToken,
    task::{spawn, yield_now},
    time::{cancel_after, sleep, timeout},
};
use compio_testkit::buffer::Runs;

use crate::support::{pattern, run, streams, tcp_pair};

/// Long enough for an operation to begin.
const MOMENT: Duration = Duration::from_millis(1);

/// The length of each write. A few of them exceed the buffers of two sockets.
const LEN: usize = 400_000;

/// Reads slowly until EOF, on another thread, and returns each byte with the length of its run.
fn runs_of(peer: TcpStream) -> std::thread::JoinHandle<Vec<(u8, usize)>> {
    let mut peer = peer.into_std().unwrap();
    std::thread::spawn(move || {
        let mut runs = Runs::default();
        let mut room = vec![0; 50_000];
        loop {
            let len = peer.read(&mut room).unwrap();
            if len == 0 {
                return runs.into_vec();
            }
            runs.extend(&room[..len]);
            std::thread::yield_now();
        }
    })
}

#[test]
fn s05_a_dropped_write_is_a_prefix_at_most() {
    run(async {
        const LEN: usize = 1 << 20;
        let (mut ours, mut theirs) = streams();
        // Some systems buffer much before a write waits.
        let write = timeout(Duration::from_millis(1), async {
            loop {
                ours.write_all(pattern(LEN)).await.0.unwrap();
            }
        });
        assert!(write.await.is_err());
        // The socket closes after the completion of the write.
        drop(ours);
        let (read, buffer) = theirs.read_to_end(Vec::new()).await;
        assert_eq!(read.unwrap(), buffer.len());
        let expected = pattern(LEN);
        for part in buffer.chunks(LEN) {
            assert!(part == &expected[..part.len()]);
        }
    });
}

#[test]
fn s05_a_buffered_writer_goes_on_where_it_was_cancelled() {
    run(async {
        let (client, server) = tcp_pair().await;
        let sent = pattern(12_000_000);
        let mut server = server.into_std().unwrap();
        let (begin, begins) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            begins.recv().unwrap();
            let mut got = Vec::new();
            let mut room = vec![0; 100_000];
            loop {
                std::thread::sleep(MOMENT);
                match server.read(&mut room).unwrap() {
                    0 => return got,
                    len => got.extend_from_slice(&room[..len]),
                }
            }
        });
        // The data exceeds the buffers of both sockets: the peer reads nothing before the first cancel.
        let mut writer = BufWriter::with_capacity(20_000, client);
        for chunk in sent.chunks(7000) {
            let mut chunk = chunk.to_vec();
            // A failed write has taken no bytes of the chunk.
            loop {
                let result;
                (result, chunk) = cancel_after(MOMENT / 2, writer.write(chunk)).await;
                if result.is_ok() {
                    break;
                }
                let _ = begin.send(());
            }
        }
        while cancel_after(MOMENT, writer.flush()).await.is_err() {}
        drop(writer);
        let got = joined(reader).await;
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    });
}

/// Waits for the thread without blocking this one: a dropped write may still hold the socket.
async fn joined<T>(thread: std::thread::JoinHandle<T>) -> T {
    while !thread.is_finished() {
        sleep(MOMENT).await;
    }
    thread.join().expect("no panic")
}

/// The bytes of each write arrive in one piece, and as many as it reports.
#[test]
fn s05_writes_at_once_do_not_mix() {
    run(async {
        let (client, server) = tcp_pair().await;
        let reader = runs_of(server);
        let client = Rc::new(client);
        let mut expected = Vec::new();
        for round in 0..10 {
            let bytes: [u8; 4] = std::array::from_fn(|index| round * 4 + index as u8);
            let writes = bytes.map(|byte| {
                let client = Rc::clone(&client);
                spawn(async move { (&*client).write(vec![byte; LEN]).await.0.unwrap() })
            });
            for (byte, write) in bytes.into_iter().zip(writes) {
                expected.push((byte, write.await.unwrap()));
            }
        }
        drop(client);
        let mut runs = joined(reader).await;
        // The order of concurrent writes is unspecified.
        runs.sort_unstable();
        assert_eq!(runs, expected);
    });
}

/// No bytes arrive twice or in two pieces, and each awaited write reports its length.
#[test]
fn s05_dropped_writes_among_others_come_once() {
    run(async {
        const WRITES: usize = 100;
        let (mut client, server) = tcp_pair().await;
        let reader = runs_of(server);
        let mut expected = Vec::new();
        for byte in 0..WRITES {
            let write = client.write(vec![byte as u8; LEN]);
            expected.push(match byte % 4 {
                0 => Some(write.await.0.unwrap()),
                _ => {
                    let patience = Duration::from_micros(100 * (byte % 4) as u64);
                    let written = timeout(patience, write).await;
                    written.ok().map(|(len, _)| len.unwrap())
                }
            });
        }
        drop(client);
        let mut seen = [0; WRITES];
        for (byte, len) in joined(reader).await {
            assert_eq!(seen[usize::from(byte)], 0, "a second time");
            seen[usize::from(byte)] = len;
        }
        for (seen, expected) in seen.into_iter().zip(expected) {
            match expected {
                Some(expected) => assert_eq!(seen, expected),
                None => assert!(seen <= LEN),
            }
        }
    });
}

/// A cancelled write reports its length, and the next write goes on there.
#[test]
fn s05_a_write_cancelled_by_a_token_reports_its_length() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let reader = runs_of(server);
        let mut expected = Vec::new();
        for byte in 0..100 {
            let token = CancelToken::new();
            let canceller = token.clone();
            let cancelled = spawn(async move {
                for _ in 0..byte % 4 {
                    yield_now().await;
                }
                canceller.cancel();
            });
            let (written, buffer) = token.run(client.write(vec![byte; LEN])).await;
            assert_eq!(buffer, vec![byte; LEN]);
            match written {
                Ok(len) => expected.push((byte, len)),
                Err(error) => assert!(compio::runtime::is_cancelled(&error), "{error}"),
            }
            cancelled.await.unwrap();
        }
        drop(client);
        assert_eq!(joined(reader).await, expected);
    });
}

/// Writes to a returned buffer do not change the sent bytes.
#[test]
fn s13_a_buffer_that_was_sent_without_copying_can_be_used_again() {
    run(async {
        let (client, server) = tcp_pair().await;
        // The peer does not read the first send yet: its buffer stays on loan.
        let (sent, loan) = client.send_zero_copy(vec![0; 300_000]).await;
        let mut expected = vec![(0, sent.unwrap())];
        drop(loan);
        let mut buffer = vec![0x55; 300_000];
        let reader = runs_of(server);
        for byte in 1..50 {
            buffer.fill(byte);
            let (sent, loan) = client.send_zero_copy(buffer).await;
            expected.push((byte, sent.unwrap()));
            buffer = loan.await;
        }
        drop(client);
        assert_eq!(joined(reader).await, expected);
    });
}
