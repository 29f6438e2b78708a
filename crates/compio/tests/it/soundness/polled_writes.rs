//! Bytes that a polled writer has acknowledged reach the peer, or the peer reads a reset (row 35).

use std::{
    future::poll_fn,
    io::{self, Read},
    net,
    sync::mpsc::{TryRecvError, channel},
    task::Poll,
    thread,
};

use compio::{
    io::{AsyncWrite, PollReader, PollWriter, join},
    net::TcpStream,
    runtime::Runtime,
    task::yield_now,
};

use crate::support::{bounded, is_skipped_on_wine, pattern, run};

/// A connection, and its other end with small buffers.
fn connection() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    socket2::SockRef::from(&ours)
        .set_send_buffer_size(4096)
        .unwrap();
    socket2::SockRef::from(&theirs)
        .set_recv_buffer_size(4096)
        .unwrap();
    (TcpStream::from_std(ours).unwrap(), theirs)
}

/// Writes until a write has to wait. Returns how many bytes were acknowledged.
async fn fill(writer: &mut impl AsyncWrite) -> usize {
    let bytes = pattern(1 << 22);
    let mut acknowledged = 0;
    loop {
        let next = bytes[acknowledged..][..64 * 1024].to_vec();
        let mut write = Box::pin(writer.write(next));
        let poll = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
        match poll {
            Poll::Ready((written, _)) => acknowledged += written.unwrap(),
            Poll::Pending => {
                drop(write);
                // There may be room for more by now.
                yield_now().await;
                yield_now().await;
                let mut write = Box::pin(writer.write(bytes[acknowledged..][..1].to_vec()));
                match poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
                    Poll::Ready((written, _)) => acknowledged += written.unwrap(),
                    Poll::Pending => return acknowledged,
                }
            }
        }
    }
}

/// Whether the peer reads all acknowledged bytes. If not, it must read a reset.
fn arrives_whole(mut peer: net::TcpStream, acknowledged: usize) -> bool {
    let mut seen = Vec::new();
    let end = peer.read_to_end(&mut seen);
    assert!(pattern(1 << 22).starts_with(&seen));
    match end {
        Ok(_)
            if seen.len() < acknowledged
                && is_skipped_on_wine("a waiting read loses the error of a reset") =>
        {
            false
        }
        Ok(_) => {
            assert_eq!(seen.len(), acknowledged, "a proper end after a loss");
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            false
        }
    }
}

/// Checks that the bytes arrive, with a runtime that goes on after the writer's drop.
async fn check_finishes(mut writer: impl AsyncWrite, peer: net::TcpStream) {
    let acknowledged = fill(&mut writer).await;
    drop(writer);
    let (done, is_done) = channel();
    let peer = thread::spawn(move || {
        let is_whole = arrives_whole(peer, acknowledged);
        done.send(()).unwrap();
        is_whole
    });
    bounded(async {
        while matches!(is_done.try_recv(), Err(TryRecvError::Empty)) {
            compio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(peer.join().unwrap());
}

#[test]
fn s35_acknowledged_bytes_of_dropped_writer_arrive() {
    run(async {
        let (ours, theirs) = connection();
        check_finishes(PollWriter::new(ours), theirs).await;
    });
}

#[test]
fn s35_acknowledged_bytes_of_dropped_half_arrive_before_the_end() {
    run(async {
        let (ours, theirs) = connection();
        let (reader, writer) = ours.into_split();
        let both = join(PollReader::new(reader), PollWriter::new(writer));
        check_finishes(both, theirs).await;
        let (ours, theirs) = connection();
        let (_reader, writer) = ours.into_split();
        check_finishes(PollWriter::new(writer), theirs).await;
    });
}

#[cfg(feature = "tokio")]
#[test]
fn s35_bytes_acknowledged_through_tokio_traits_arrive() {
    use compio::io::TokioIo;

    run(async {
        let (ours, theirs) = connection();
        check_finishes(TokioIo::new(PollWriter::new(ours)), theirs).await;
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn s35_bytes_acknowledged_through_futures_traits_arrive() {
    use compio::io::FuturesIo;

    run(async {
        let (ours, theirs) = connection();
        check_finishes(FuturesIo::new(PollWriter::new(ours)), theirs).await;
    });
}

/// The kernel has room for all of it when the runtime is dropped.
#[test]
fn s35_few_acknowledged_bytes_arrive_though_the_runtime_ends() {
    for dropped_inside in [true, false] {
        let runtime = Runtime::new().unwrap();
        let (ours, theirs) = runtime.enter(connection);
        let mut writer = PollWriter::new(ours);
        let acknowledged = runtime.block_on(async {
            let written = writer.write(pattern(1000)).await.0.unwrap();
            if dropped_inside {
                drop(writer);
                return (written, None);
            }
            (written, Some(writer))
        });
        runtime.enter(|| drop(acknowledged.1));
        drop(runtime);
        assert!(arrives_whole(theirs, acknowledged.0));
    }
}

/// A task owned the writer.
#[test]
fn s35_bytes_of_writer_in_dropped_task_arrive() {
    let runtime = Runtime::new().unwrap();
    let (ours, theirs) = runtime.enter(connection);
    let mut writer = PollWriter::new(ours);
    drop(runtime.spawn(async move {
        assert_eq!(writer.write(pattern(1000)).await.0.unwrap(), 1000);
        std::future::pending::<()>().await;
    }));
    runtime.block_on(yield_now());
    drop(runtime);
    assert!(arrives_whole(theirs, 1000));
}

/// The thread's own runtime ends with the thread.
#[test]
fn s35_bytes_of_writer_dropped_at_the_end_of_a_thread_arrive() {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let there = thread::spawn(move || {
        run(async {
            let mut writer = PollWriter::new(TcpStream::connect(address).await.unwrap());
            assert_eq!(writer.write(pattern(1000)).await.0.unwrap(), 1000);
        });
    });
    let (peer, _) = listener.accept().unwrap();
    there.join().unwrap();
    assert!(arrives_whole(peer, 1000));
}

/// The peer does not read before the runtime is dropped, and has no room for all bytes.
#[test]
fn s35_peer_reads_reset_where_the_runtime_ends_before_the_write() {
    for is_half in [false, true] {
        let runtime = Runtime::new().unwrap();
        let (ours, theirs) = runtime.enter(connection);
        let acknowledged = runtime.block_on(async {
            if is_half {
                let (_reader, writer) = ours.into_split();
                fill(&mut PollWriter::new(writer)).await
            } else {
                fill(&mut PollWriter::new(ours)).await
            }
        });
        drop(runtime);
        assert!(!arrives_whole(theirs, acknowledged));
    }
}

/// No runtime is left when the writer is dropped.
#[test]
fn s35_peer_reads_reset_where_the_writer_outlives_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (ours, theirs) = runtime.enter(connection);
    let mut writer = PollWriter::new(ours);
    let acknowledged = runtime.block_on(fill(&mut writer));
    drop(runtime);
    drop(writer);
    assert!(!arrives_whole(theirs, acknowledged));
}
