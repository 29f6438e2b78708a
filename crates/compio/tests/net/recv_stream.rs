//! Multishot receives into buffers of a pool.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use compio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{BufferPool, PooledBuffer, RecvStream, TcpStream},
    runtime::{Runtime, is_cancelled},
    task::{spawn, yield_now},
    time::cancel_after,
};

use crate::support::{begin, listener, pattern, run, tcp_pair};

/// All bytes up to EOF.
async fn collect(stream: &mut RecvStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(buffer) = stream.next().await {
        bytes.extend_from_slice(&buffer.expect("bytes"));
    }
    bytes
}

#[test]
fn bytes_come_in_order_up_to_the_end() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let pool = BufferPool::new(4, 1000).unwrap();
        let mut stream = server.recv_stream(&pool);
        let writer = spawn(async move {
            client.write_all(pattern(300_000)).await.0.unwrap();
            client.shutdown().await.unwrap();
            // A shutdown of the other direction does not end the stream.
            let (read, buffer) = client.read_exact([0; 3]).await;
            read.unwrap();
            assert_eq!(&buffer, b"bye");
        });
        let got = collect(&mut stream).await;
        assert!(got == pattern(300_000));
        assert!(stream.next().await.is_none(), "the end stays");
        assert_eq!(pool.handed_out(), 0);
        (&server).write_all("bye").await.0.unwrap();
        writer.await.unwrap();
    });
}

#[test]
fn a_cancel_leaves_the_other_bytes_to_the_next_receive() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let pool = BufferPool::new(4, 16).unwrap();
        let mut stream = server.recv_stream(&pool);
        begin(stream.next()).await;
        client.write_all(pattern(1000)).await.0.unwrap();
        client.shutdown().await.unwrap();
        let mut got = stream.next().await.unwrap().unwrap().to_vec();
        stream.cancel();
        got.extend(collect(&mut stream).await);
        drop(stream);
        server
            .read_to_end(Vec::new())
            .await
            .1
            .drain(..)
            .for_each(|byte| got.push(byte));
        assert!(got == pattern(1000), "{} bytes", got.len());
    });
}

#[test]
fn s20_many_connections_share_few_buffers() {
    run(async {
        let (listener, address) = listener().await;
        let pool = BufferPool::new(2, 512).unwrap();
        let mut connections = Vec::new();
        for _ in 0..30 {
            let client = TcpStream::connect(address).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let mut stream = server.recv_stream(&pool);
            begin(stream.next()).await;
            connections.push((client, stream));
        }
        assert_eq!(pool.handed_out(), 0, "a waiting stream holds no buffer");
        let mut tasks = Vec::new();
        for (index, (mut client, mut stream)) in connections.into_iter().enumerate() {
            let index = index as u8;
            tasks.push(spawn(async move {
                client.write_all(vec![index; 5000]).await.0.unwrap();
            }));
            tasks.push(spawn(async move {
                assert_eq!(collect(&mut stream).await, vec![index; 5000]);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(pool.handed_out(), 0);
    });
}

#[test]
fn an_echo_sends_the_buffer_that_it_received() {
    run(async {
        let (client, server) = tcp_pair().await;
        let pool = BufferPool::new(8, 4096).unwrap();
        let echo = spawn(async move {
            let (reader, mut writer) = server.into_split();
            let mut stream = reader.recv_stream(&pool);
            while let Some(buffer) = stream.next().await {
                writer.write_all(buffer.unwrap()).await.0.unwrap();
            }
        });
        let (mut reader, mut writer) = client.into_split();
        let sender = spawn(async move {
            writer.write_all(pattern(1 << 20)).await.0.unwrap();
        });
        let (read, got) = reader.read_to_end(Vec::new()).await;
        read.unwrap();
        assert!(got == pattern(1 << 20));
        echo.await.unwrap();
        sender.await.unwrap();
    });
}

/// Wine loses the error while it waits for readiness, and then reports EOF. Windows does not.
#[cfg(not(windows))]
#[test]
fn a_reset_is_an_error() {
    run(async {
        let (client, server) = tcp_pair().await;
        let pool = BufferPool::new(1, 16).unwrap();
        let mut stream = server.recv_stream(&pool);
        begin(stream.next()).await;
        client.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn s20_without_a_buffer_the_bytes_wait_in_the_socket() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let pool = BufferPool::new(1, 10).unwrap();
        let mut stream = server.recv_stream(&pool);
        client.write_all(pattern(20)).await.0.unwrap();
        client.shutdown().await.unwrap();
        let held = stream.next().await.unwrap().unwrap();
        begin(stream.next()).await;
        assert_eq!(pool.handed_out(), 1);
        let mut got = held.to_vec();
        let waiter = spawn(async move {
            let rest = collect(&mut stream).await;
            (stream, rest)
        });
        compio::task::yield_now().await;
        drop(held);
        got.extend(waiter.await.unwrap().1);
        assert_eq!(got, pattern(20));
    });
}

#[test]
fn a_pool_of_another_runtime_is_refused() {
    let pool = Rc::new(BufferPool::new(1, 16).unwrap());
    let runtime = Runtime::new().unwrap();
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            let (client, _server) = tcp_pair().await;
            client.recv_stream(&pool)
        })
    }));
    assert!(refused.is_err());
}

#[test]
fn impossible_pools_are_refused() {
    for (count, size) in [(0, 10), (10, 0), (u16::MAX, 10)] {
        let error = BufferPool::new(count, size).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// It ends with the error of the cancel, not with EOF.
#[test]
fn s51_next_in_cancel_after_ends_with_error_of_cancel() {
    run(async {
        let (mut client, server) = tcp_pair().await;
        let pool = BufferPool::new(4, 1000).unwrap();
        let mut stream = server.recv_stream(&pool);
        for patience in [Duration::ZERO, Duration::from_millis(5)] {
            let next = cancel_after(patience, stream.next()).await;
            let error = next.expect("a stream that goes on").unwrap_err();
            assert!(is_cancelled(&error), "{error}");
        }
        client.write_all("still").await.0.unwrap();
        assert_eq!(&stream.next().await.unwrap().unwrap()[..], b"still");
    });
}

/// Counts the polls of a future.
async fn counted<F: Future>(polls: &Cell<usize>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(cx)
    })
    .await
}

/// `count` connections that all have bytes share two buffers. Returns the number of polls.
async fn polls_of_crowd(count: usize) -> usize {
    let (listener, address) = listener().await;
    let pool = BufferPool::new(2, 64).unwrap();
    let polls = Rc::new(Cell::new(0));
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        clients.push(TcpStream::connect(address).await.unwrap());
        servers.push(listener.accept().await.unwrap().0);
    }
    for client in &mut clients {
        client.write_all("hello").await.0.unwrap();
    }
    let tasks: Vec<_> = servers
        .into_iter()
        .map(|server| {
            let mut stream = server.recv_stream(&pool);
            let polls = Rc::clone(&polls);
            spawn(async move {
                let buffer = counted(&polls, stream.next()).await.unwrap().unwrap();
                assert_eq!(*buffer, *b"hello");
                // Held while other tasks run.
                yield_now().await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    polls.get()
}

#[test]
fn polls_of_a_crowd_grow_with_its_size_and_not_its_square() {
    let (few, many) = run(async { (polls_of_crowd(30).await, polls_of_crowd(300).await) });
    println!("{few} polls of 30, {many} polls of 300");
    assert!(many < few.max(100) * 30, "{few} polls of 30, {many} of 300");
}

/// Takes both buffers of a pool.
async fn empty_pool(pool: &BufferPool) -> (TcpStream, RecvStream, Vec<PooledBuffer>) {
    let (mut client, server) = tcp_pair().await;
    let mut stream = server.recv_stream(pool);
    client.write_all(pattern(2 * 64)).await.0.unwrap();
    let mut buffers = Vec::new();
    while buffers.len() < 2 {
        buffers.push(stream.next().await.unwrap().unwrap());
    }
    assert_eq!(pool.handed_out(), 2);
    (client, stream, buffers)
}

#[test]
fn idle_streams_leave_a_returned_buffer_to_those_with_bytes() {
    run(async {
        let pool = BufferPool::new(2, 64).unwrap();
        let (_client, _stream, buffers) = empty_pool(&pool).await;
        // They wait for a buffer, in this order, and only the last one has bytes.
        let mut idle = Vec::new();
        for _ in 0..40 {
            let (client, server) = tcp_pair().await;
            let mut stream = server.recv_stream(&pool);
            let task = spawn(async move {
                stream.next().await;
            });
            idle.push((client, task));
        }
        let (mut client, server) = tcp_pair().await;
        client.write_all("hello").await.0.unwrap();
        let mut stream = server.recv_stream(&pool);
        let last = spawn(async move { stream.next().await.unwrap().unwrap().to_vec() });
        yield_now().await;
        drop(buffers);
        assert_eq!(last.await.unwrap(), b"hello");
    });
}

/// Streams that were woken for a buffer end by `end`, and a stream behind them gets the buffer.
fn check_passing_on(end: impl Fn(RecvStream) -> Option<RecvStream>) {
    run(async {
        let pool = BufferPool::new(2, 64).unwrap();
        let (_client, _stream, buffers) = empty_pool(&pool).await;
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let (mut client, server) = tcp_pair().await;
            client.write_all("hello").await.0.unwrap();
            let mut stream = server.recv_stream(&pool);
            begin(stream.next()).await;
            waiting.push((client, server, stream));
        }
        let (mut client, server) = tcp_pair().await;
        client.write_all("last").await.0.unwrap();
        let mut stream = server.recv_stream(&pool);
        let last = spawn(async move { stream.next().await.unwrap().unwrap().to_vec() });
        yield_now().await;
        // Notifies the first streams, which are not polled any more.
        drop(buffers);
        let ended: Vec<_> = waiting
            .into_iter()
            .map(|(_, _, stream)| end(stream))
            .collect();
        assert_eq!(last.await.unwrap(), b"last");
        drop(ended);
    });
}

#[test]
fn dropped_streams_pass_a_returned_buffer_on() {
    check_passing_on(|stream| {
        drop(stream);
        None
    });
}

#[test]
fn cancelled_streams_pass_a_returned_buffer_on() {
    check_passing_on(|mut stream| {
        stream.cancel();
        Some(stream)
    });
}

#[test]
fn streams_get_returned_buffers_in_the_order_of_their_requests() {
    run(async {
        let pool = BufferPool::new(2, 64).unwrap();
        let (_client, _stream, buffers) = empty_pool(&pool).await;
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..30_usize {
            let (mut client, server) = tcp_pair().await;
            client.write_all("hello").await.0.unwrap();
            let mut stream = server.recv_stream(&pool);
            let order = Rc::clone(&order);
            tasks.push(spawn(async move {
                let buffer = stream.next().await.unwrap().unwrap();
                order.borrow_mut().push(number);
                yield_now().await;
                drop(buffer);
                client.close().await.unwrap();
            }));
            yield_now().await;
        }
        drop(buffers);
        for task in tasks {
            task.await.unwrap();
        }
        // Streams that were woken together may change places.
        for (place, number) in order.take().into_iter().enumerate() {
            assert!(number.abs_diff(place) < 8, "{number} at {place}");
        }
    });
}
