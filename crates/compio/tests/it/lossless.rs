//! Receives that are cancelled at random moments, in every way, lose no byte: the received bytes are
//! exactly the sent ones.

use std::{
    future::{Future, poll_fn},
    io::{self, Write},
    pin::pin,
    task::Poll,
    thread::{self, JoinHandle},
    time::Duration,
};

use compio::{
    buf::IoBuf,
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader,
        PollReader,
    },
    net::{BufferPool, UdpSocket},
    pipe,
    runtime::{CancelToken, is_cancelled},
    task::{spawn, yield_now},
    time::{cancel_after, sleep, timeout},
};
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};

use crate::support::{First, begin, pattern, run, select, streams, tcp_pair};

/// How a receive that takes long is cancelled.
#[derive(Debug, Clone, Copy)]
enum Giving {
    /// Not at all.
    Nothing,
    /// It is dropped after so many polls.
    Drop(usize),
    /// Another future is ready after so many turns of the loop, and wins.
    Select(usize),
    Timeout(Duration),
    Token(usize),
    CancelAfter(Duration),
    /// Its task is aborted.
    Abort(usize),
}

fn giving() -> impl Strategy<Value = Giving> {
    let moment = || (0..200_u64).prop_map(Duration::from_micros);
    prop_oneof![
        Just(Giving::Nothing),
        (1..4_usize).prop_map(Giving::Drop),
        (0..5_usize).prop_map(Giving::Select),
        moment().prop_map(Giving::Timeout),
        (0..5_usize).prop_map(Giving::Token),
        moment().prop_map(Giving::CancelAfter),
        (0..5_usize).prop_map(Giving::Abort),
    ]
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The output of the receive, if it was not cancelled.
async fn give_up<T>(
    giving: Giving,
    receive: impl Future<Output = io::Result<T>>,
) -> Option<io::Result<T>> {
    let received = match giving {
        Giving::Nothing | Giving::Abort(_) => receive.await,
        Giving::Drop(polls) => {
            let mut receive = pin!(receive);
            let mut left = polls;
            let polled = poll_fn(|cx| {
                if let Poll::Ready(received) = receive.as_mut().poll(cx) {
                    return Poll::Ready(Some(received));
                }
                left -= 1;
                if left == 0 {
                    return Poll::Ready(None);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            polled.await?
        }
        Giving::Select(count) => {
            let ticks = async {
                turns(count).await;
                // Both may be ready now: `select` polls this one first.
            };
            match select(ticks, receive).await {
                First::Left(()) => return None,
                First::Right(received) => received,
            }
        }
        Giving::Timeout(duration) => timeout(duration, receive).await.ok()?,
        Giving::Token(count) => {
            let token = CancelToken::new();
            let canceller = token.clone();
            spawn(async move {
                turns(count).await;
                canceller.cancel();
            });
            token.run(receive).await
        }
        Giving::CancelAfter(duration) => cancel_after(duration, receive).await,
    };
    match received {
        Err(error) if is_cancelled(&error) => None,
        received => Some(received),
    }
}

/// Sends the bytes in pieces of these lengths, from a thread, and closes.
fn send(mut to: impl Write + Send + 'static, bytes: Vec<u8>, lens: Vec<usize>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut rest = &bytes[..];
        for len in lens.into_iter().cycle() {
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            to.write_all(piece).unwrap();
            rest = behind;
            if rest.is_empty() {
                return;
            }
            thread::yield_now();
        }
    })
}

/// The plan of one run.
#[derive(Debug, Clone)]
struct Plan {
    total: usize,
    pieces: Vec<usize>,
    /// The ways to cancel, and the length of each receive.
    steps: Vec<(Giving, usize)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let pieces = prop::collection::vec(1..2000_usize, 1..10);
    let steps = prop::collection::vec((giving(), 1..1500_usize), 1..20);
    (1..20_000_usize, pieces, steps).prop_map(|(total, pieces, mut steps)| {
        // One receive of each round is awaited to its end.
        steps.push((Giving::Nothing, 1000));
        Plan {
            total,
            pieces,
            steps,
        }
    })
}

impl Plan {
    /// Receives by `receive`, which gets the length, until EOF.
    async fn play(&self, mut receive: impl AsyncFnMut(usize) -> io::Result<Vec<u8>>) {
        let expected = pattern(self.total);
        let mut got = Vec::with_capacity(self.total);
        for &(giving, len) in self.steps.iter().cycle() {
            match give_up(giving, receive(len)).await {
                Some(Ok(bytes)) if bytes.is_empty() => break,
                Some(Ok(bytes)) => got.extend(bytes),
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
            assert!(expected.starts_with(&got), "at {}", got.len());
            // A receive that is cancelled at once would give no other task a turn.
            yield_now().await;
        }
        assert_eq!(got.len(), expected.len());
    }

    fn send(&self, to: impl Write + Send + 'static) -> JoinHandle<()> {
        send(to, pattern(self.total), self.pieces.clone())
    }
}

/// Reads once, into a vector of this length.
async fn read(mut reader: impl AsyncRead, len: usize) -> io::Result<Vec<u8>> {
    let (read, bytes) = reader.read(Vec::with_capacity(len)).await;
    read.map(|_| bytes)
}

async fn read_vectored(mut reader: impl AsyncRead, len: usize) -> io::Result<Vec<u8>> {
    let buffers = [
        Vec::with_capacity(len / 2),
        Vec::with_capacity(len - len / 2),
    ];
    let (read, buffers) = reader.read_vectored(buffers).await;
    read.map(|_| buffers.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn tcp_loses_nothing(plan in plan()) {
        run(async {
            let (client, server) = tcp_pair().await;
            let sender = plan.send(server.into_std().unwrap());
            plan.play(async |len| read(&client, len).await).await;
            sender.join().unwrap();
        });
    }

    #[test]
    fn different_kinds_of_receives_in_turn_lose_nothing(plan in plan()) {
        run(async {
            let (mut ours, theirs) = streams();
            let sender = plan.send(theirs.into_std().unwrap());
            let mut round = 0;
            plan.play(async |len| {
                round += 1;
                match round % 4 {
                    0 => read_vectored(&ours, len).await,
                    1 => read(&ours, len).await,
                    2 => read(ours.split().0, len).await,
                    _ => {
                        // A peek takes no bytes, and sees the next ones.
                        let (seen, seen_bytes) = ours.peek(Vec::with_capacity(len)).await;
                        seen?;
                        let bytes = read(&ours, len).await?;
                        let len = bytes.len().min(seen_bytes.len());
                        assert_eq!(bytes[..len], seen_bytes[..len]);
                        Ok(bytes)
                    }
                }
            })
            .await;
            sender.join().unwrap();
        });
    }

    #[test]
    fn owned_halves_lose_nothing_while_the_other_one_writes(plan in plan()) {
        run(async {
            let (client, mut server) = tcp_pair().await;
            let (reader, mut writer) = client.into_split();
            let bytes = pattern(plan.total);
            let writes = spawn(async move {
                let (written, bytes) = writer.write_all(bytes).await;
                written.unwrap();
                bytes.len()
            });
            // The peer echoes the bytes in pieces.
            let pieces = plan.pieces.clone();
            let echo = spawn(async move {
                for len in pieces.into_iter().cycle() {
                    let (got, bytes) = server.read(Vec::with_capacity(len)).await;
                    if got.unwrap() == 0 {
                        return;
                    }
                    server.write_all(bytes).await.0.unwrap();
                }
            });
            plan.play(async |len| read(reader.as_stream(), len).await).await;
            assert_eq!(writes.await.unwrap(), plan.total);
            echo.await.unwrap();
        });
    }

    #[test]
    fn a_buffered_reader_loses_nothing(plan in plan(), capacity in 1..600_usize) {
        run(async {
            let (client, server) = tcp_pair().await;
            let sender = plan.send(server.into_std().unwrap());
            let mut reader = BufReader::with_capacity(capacity, client);
            let mut round = 0;
            plan.play(async |len| {
                round += 1;
                if round % 2 == 0 {
                    return read(&mut reader, len).await;
                }
                let bytes = reader.fill_buf().await?;
                let bytes = bytes[..bytes.len().min(len)].to_vec();
                reader.consume(bytes.len());
                Ok(bytes)
            })
            .await;
            sender.join().unwrap();
        });
    }

    #[test]
    fn a_polled_reader_loses_nothing(plan in plan(), capacity in 1..600_usize) {
        run(async {
            let (client, server) = tcp_pair().await;
            let sender = plan.send(server.into_std().unwrap());
            let mut reader = PollReader::with_capacity(capacity, client);
            plan.play(async |len| read(&mut reader, len).await).await;
            sender.join().unwrap();
        });
    }

    #[test]
    fn streams_of_buffers_lose_nothing(plan in plan()) {
        run(async {
            let (ours, theirs) = streams();
            let sender = plan.send(theirs.into_std().unwrap());
            let pool = BufferPool::new(4, 300).unwrap();
            let mut round = 0;
            plan.play(async |len| {
                round += 1;
                if round % 3 == 0 {
                    return read(&ours, len).await;
                }
                // Each stream is dropped with the bytes that it has received by then.
                let next = ours.recv_stream(&pool).next().await;
                next.map_or(Ok(Vec::new()), |bytes| bytes.map(|bytes| bytes.to_vec()))
            })
            .await;
            sender.join().unwrap();
        });
    }

    #[test]
    fn lines_lose_nothing(plan in plan()) {
        run(async {
            let (client, server) = tcp_pair().await;
            let text: Vec<String> = (0..plan.total / 20).map(|n| format!("line {n}")).collect();
            let bytes = text.iter().flat_map(|line| [line, "\n"]).collect::<String>();
            let server = server.into_std().unwrap();
            let sender = send(server, bytes.into_bytes(), plan.pieces.clone());
            let mut lines = BufReader::with_capacity(50, client).lines();
            let mut got = Vec::new();
            for &(giving, _) in plan.steps.iter().cycle() {
                let Some(line) = give_up(giving, lines.next_line()).await else {
                    continue;
                };
                match line.unwrap() {
                    Some(line) => got.push(line),
                    None => break,
                }
            }
            assert_eq!(got, text);
            sender.join().unwrap();
        });
    }

    /// Loops that read into the caller's buffer return it with the bytes read, if a token cancels them.
    #[test]
    fn loops_lose_nothing_by_tokens(plan in plan()) {
        run(async {
            let (client, server) = tcp_pair().await;
            let sender = plan.send(server.into_std().unwrap());
            let mut reader = BufReader::with_capacity(100, client);
            let (expected, mut got) = (pattern(plan.total), Vec::new());
            let mut round = 0;
            for &(giving, len) in plan.steps.iter().cycle() {
                let count = match giving {
                    Giving::Drop(count) | Giving::Select(count) | Giving::Token(count)
                        | Giving::Abort(count) => count,
                    Giving::Nothing | Giving::Timeout(_) | Giving::CancelAfter(_) => usize::MAX,
                };
                let token = CancelToken::new();
                let canceller = token.clone();
                let task = spawn(async move {
                    turns(count).await;
                    canceller.cancel();
                });
                round += 1;
                let is_over = if round % 2 == 0 {
                    let before = got.len();
                    let (read, bytes) = token.run(reader.read_until(7, got)).await;
                    got = bytes;
                    read.is_ok() && got.len() == before
                } else {
                    let (read, bytes) = token.run(reader.read_exact(Vec::with_capacity(len))).await;
                    got.extend(bytes);
                    read.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
                };
                task.abort();
                if is_over {
                    break;
                }
            }
            assert!(got == expected, "{} of {}", got.len(), expected.len());
            sender.join().unwrap();
        });
    }

    #[test]
    fn a_task_that_is_aborted_loses_nothing(plan in plan()) {
        run(async {
            let (client, server) = tcp_pair().await;
            let sender = plan.send(server.into_std().unwrap());
            let client = std::rc::Rc::new(client);
            let got = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            for &(giving, len) in plan.steps.iter().cycle() {
                let (client, kept) = (client.clone(), got.clone());
                let task = spawn(async move {
                    let bytes = read(&*client, len).await.unwrap();
                    // In the same poll as the read: no abort can come in between.
                    let is_over = bytes.is_empty();
                    kept.borrow_mut().extend(bytes);
                    is_over
                });
                if let Giving::Abort(count) | Giving::Drop(count) = giving {
                    turns(count).await;
                    task.abort();
                }
                if let Ok(true) = task.await {
                    break;
                }
            }
            assert!(*got.borrow() == pattern(plan.total));
            sender.join().unwrap();
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_pipe_loses_nothing(plan in plan()) {
        run(async {
            let (reader, writer) = pipe::pipe().unwrap();
            let sender = plan.send(writer.into_std().unwrap());
            let mut round = 0;
            plan.play(async |len| {
                round += 1;
                if round % 2 == 0 {
                    read(&reader, len).await
                } else {
                    read_vectored(&reader, len).await
                }
            })
            .await;
            sender.join().unwrap();
        });
    }
}

#[test]
fn a_select_in_a_loop_loses_nothing() {
    run(async {
        let (client, server) = tcp_pair().await;
        let sender = send(server.into_std().unwrap(), pattern(100_000), vec![977]);
        let mut got = Vec::new();
        loop {
            let tick = sleep(Duration::from_micros(20));
            match select(tick, read(&client, 512)).await {
                First::Left(()) => {}
                First::Right(bytes) => {
                    let bytes = bytes.unwrap();
                    if bytes.is_empty() {
                        break;
                    }
                    got.extend(bytes);
                }
            }
        }
        assert!(got == pattern(100_000));
        sender.join().unwrap();
    });
}

/// Lets a read complete, and drops it unpolled.
async fn lose(mut read: impl Future + Unpin, send: impl AsyncFnOnce()) {
    begin(&mut read).await;
    send().await;
    // Usually long enough for the completion; the test holds without it, too.
    for _ in 0..10 {
        sleep(Duration::ZERO).await;
    }
}

#[test]
fn a_stream_with_unread_bytes_is_not_converted_to_std() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let mut read_one = Box::pin(read(&client, 10));
        begin(&mut read_one).await;
        server.write_all("hello").await.0.unwrap();
        sleep(Duration::from_millis(1)).await;
        drop(read_one);
        let mut client = client;
        let mut got = Vec::new();
        // Refused while the dropped read is in flight, or has left unread bytes.
        loop {
            match client.into_std() {
                Ok(std) => {
                    let mut rest = vec![0; 5 - got.len()];
                    io::Read::read_exact(&mut &std, &mut rest).unwrap();
                    got.extend(rest);
                    break;
                }
                Err(again) => client = again,
            }
            got.extend(
                timeout(Duration::from_millis(1), read(&client, 2))
                    .await
                    .unwrap()
                    .unwrap(),
            );
            if got.len() == 5 {
                break;
            }
        }
        assert_eq!(got, b"hello");
    });
}

#[test]
fn datagrams_are_not_lost() {
    run(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(server.local_addr().unwrap()).await.unwrap();
        let sender = client.local_addr().unwrap();
        for round in 0..200_u8 {
            let receive = Box::pin(server.recv_from(Vec::with_capacity(100)));
            lose(receive, async || {
                let (sent, _) = client.send([round; 10]).await;
                assert_eq!(sent.unwrap(), 10);
            })
            .await;
            let (received, bytes) = server.recv_from(Vec::with_capacity(100)).await;
            assert_eq!((received.unwrap(), bytes), ((10, sender), vec![round; 10]));
        }
    });
}

#[test]
fn a_slice_is_filled_with_unread_bytes() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        lose(Box::pin(read(&client, 10)), async || {
            server.write_all("56789").await.0.unwrap();
        })
        .await;
        let buffer = b"0123489-----".to_vec();
        let (result, window) = client.read_exact(buffer.slice(5..10)).await;
        result.unwrap();
        assert_eq!(compio::buf::IntoInner::into_inner(window), b"0123456789--");
    });
}
