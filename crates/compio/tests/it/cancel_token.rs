//! Giving up without losing anything.

use std::{
    io::{Read, Write},
    time::Duration,
};

use compio::{
    io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
    runtime::{CancelToken, Runtime},
    task,
    time::{cancel_after, sleep},
};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use crate::support::{First, begin, bounded, pattern, run, select, tcp_pair};

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_cancelled_read_hands_out_its_buffer() {
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
fn a_cancelled_accept_leaves_the_connection_to_the_next_one() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        cancel_after(MOMENT, listener.accept()).await.unwrap_err();
        let _client = TcpStream::connect(address).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn who_is_in_time_is_not_touched() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        server.write_all("soon").await.0.unwrap();
        let (result, buffer) =
            cancel_after(Duration::from_secs(60), client.read_exact([0; 4])).await;
        result.unwrap();
        assert_eq!(&buffer, b"soon");
    });
}

#[test]
fn whatever_a_future_does_next_is_refused() {
    run(async {
        let (mut client, _server) = tcp_pair().await;
        let token = CancelToken::new();
        let reads = token.run(async {
            let (first, buffer) = client.read(Vec::with_capacity(10)).await;
            let (second, _) = client.read(buffer).await;
            (first.is_err(), second.is_err())
        });
        let canceller = token.clone();
        let cancelled = task::spawn(async move { canceller.cancel() });
        assert_eq!(reads.await, (true, true));
        cancelled.await.unwrap();
        token.cancelled().await;
    });
}

#[test]
fn a_spawned_task_and_a_timer_are_no_concern_of_the_token() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let token = CancelToken::new();
        token.cancel();
        let mut task = None;
        token
            .run(async {
                sleep(MOMENT).await;
                let read = async move { client.read(Vec::with_capacity(10)).await };
                task = Some(task::spawn(read));
            })
            .await;
        let task = task.expect("spawned");
        server.write_all("x").await.0.unwrap();
        assert_eq!(task.await.unwrap().0.unwrap(), 1);
    });
}

#[test]
fn waiting_for_a_cancel_can_be_given_up() {
    run(async {
        let token = CancelToken::new();
        let first = select(token.cancelled(), sleep(MOMENT)).await;
        assert_eq!(first, First::Right(()));
        token.cancel();
        bounded(token.cancelled()).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random cancels over a known stream: the receiver ends with exactly the bytes that were sent.
    #[test]
    fn no_byte_is_lost_by_cancels(
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

#[test]
fn a_buffered_writer_goes_on_where_it_was_given_up() {
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
        // More than fits between the two: nothing is read before something was given up.
        let mut writer = BufWriter::with_capacity(20_000, client);
        for chunk in sent.chunks(7000) {
            let mut chunk = chunk.to_vec();
            // What is refused has not been taken.
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
        let got = reader.join().unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    });
}

#[test]
fn a_buffered_reader_goes_on_where_it_was_given_up() {
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

#[test]
fn no_time_at_all_is_enough_for_what_is_there() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        for _ in 0..100 {
            let (result, buffer) = cancel_after(Duration::ZERO, client.read(vec![1; 3])).await;
            result.unwrap_err();
            assert_eq!(buffer, [1; 3]);
        }
        assert_eq!(cancel_after(Duration::ZERO, async { 7 }).await, 7);
        drop(server);
    });
}

#[test]
fn a_future_may_cancel_itself() {
    run(async {
        let (mut client, _server) = tcp_pair().await;
        let token = CancelToken::new();
        let handle = token.clone();
        let (result, buffer) = token
            .run(async move {
                handle.cancel();
                handle.cancelled().await;
                client.read(vec![1; 3]).await
            })
            .await;
        result.unwrap_err();
        assert_eq!(buffer, [1; 3]);
    });
}

#[test]
fn another_runtime_inside_is_no_concern_of_the_token() {
    run(async {
        let token = CancelToken::new();
        token.cancel();
        let read = token.run(async {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let (mut client, mut server) = tcp_pair().await;
                server.write_all("x").await.0.unwrap();
                client.read(Vec::with_capacity(10)).await.0.unwrap()
            })
        });
        assert_eq!(read.await, 1);
    });
}
