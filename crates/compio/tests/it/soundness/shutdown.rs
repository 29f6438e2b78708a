//! Runtimes that are dropped with operations in flight, and the time that this takes (scenarios 9, 10
//! and 43).

use std::{
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use compio::{
    io::AsyncRead,
    net::{TcpListener, UdpSocket},
    runtime::{CancelToken, Runtime},
    task::{spawn, yield_now},
    time::sleep,
};

use crate::support::{
    Canary, Deaths, Stream, begin, is_skipped_on_wine, on_drop, pipe_in, run, scratch, streams,
    tcp_pair, until,
};

#[test]
fn s09_a_runtime_is_dropped_with_receives_in_flight() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let peers = runtime.block_on(async {
        let mut peers = Vec::new();
        for _ in 0..100 {
            let (mut ours, theirs) = streams();
            let buffer = Canary::new(&deaths);
            drop(spawn(async move { ours.read(buffer).await }));
            peers.push(theirs.into_std().unwrap());
        }
        yield_now().await;
        peers
    });
    drop(runtime);
    assert_eq!(deaths.count(), 100);
    for mut peer in peers {
        // All descriptors of the other ends are closed.
        assert_eq!(std::io::Read::read(&mut peer, &mut [0]).unwrap(), 0);
    }
}

#[test]
fn s09_a_runtime_is_dropped_with_reads_of_a_pipe_in_flight() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (reader, mut writer) = pipe_in();
    for _ in 0..10 {
        let (reader, buffer) = (reader.clone(), Canary::new(&deaths));
        drop(runtime.spawn(async move { reader.read_at(buffer, 0).await }));
    }
    drop(reader);
    runtime.block_on(sleep(Duration::from_millis(1)));
    drop(runtime);
    assert_eq!(deaths.count(), 10);
    let error = std::io::Write::write(&mut writer, b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn s09_a_runtime_is_dropped_with_accepts_and_datagrams_awaited() {
    let runtime = Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        drop(spawn(async move { listener.accept().await.map(drop) }));
        drop(spawn(async move { socket.recv_from(vec![0; 64]).await.1 }));
        yield_now().await;
        yield_now().await;
        address
    });
    drop(runtime);
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn s09_a_runtime_is_dropped_with_timers_set() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    for seconds in 0..100 {
        let guard = deaths.guard();
        drop(runtime.spawn(async move {
            let _guard = guard;
            sleep(Duration::from_secs(seconds + 1_000)).await;
        }));
    }
    runtime.block_on(yield_now());
    drop(runtime);
    assert_eq!(deaths.count(), 100);
}

#[test]
fn s10_a_runtime_is_dropped_with_operations_that_were_never_submitted() {
    let deaths = Deaths::default();
    let runtime = Runtime::builder().entries(4).build().unwrap();
    let (ours, _theirs) = runtime.enter(streams);
    let ours = Rc::new(ours);
    for _ in 0..100 {
        let (ours, buffer) = (ours.clone(), Canary::new(&deaths));
        drop(runtime.spawn(async move { (&*ours).read(buffer).await }));
    }
    runtime.run();
    drop(runtime);
    assert_eq!(deaths.count(), 100);
}

#[test]
fn s09_a_thread_that_ends_drops_its_own_runtime() {
    let (mut peer, dropped) = thread::spawn(|| {
        let dropped = crate::support::Flag::default();
        let mark = dropped.clone();
        let guard = on_drop(move || mark.raise());
        let peer = compio::task::block_on(async {
            let (mut ours, theirs) = streams();
            drop(spawn(async move {
                let _guard = guard;
                ours.read(Vec::with_capacity(8)).await
            }));
            yield_now().await;
            theirs.into_std().unwrap()
        });
        (peer, dropped)
    })
    .join()
    .unwrap();
    assert!(dropped.is_raised());
    assert_eq!(std::io::Read::read(&mut peer, &mut [0]).unwrap(), 0);
}

#[test]
fn s09_objects_outlive_the_runtime_that_used_them() {
    let (client, mut server) = Runtime::new().unwrap().block_on(tcp_pair());
    crate::support::run(async move {
        drop(client);
        let (read, _) = server.read(Vec::with_capacity(8)).await;
        assert_eq!(read.unwrap(), 0);
    });
}

#[test]
fn s09_an_operation_on_a_dead_runtime_fails_and_gives_its_buffer_back() {
    let runtime = Runtime::new().unwrap();
    let file = scratch(b"content").into_std().unwrap();
    let fd = compio::driver::SharedFd::from(compio::driver::OwnedFd::from(file));
    let read = compio::op::ReadAt::new(fd, 0, Vec::with_capacity(77));
    let read = runtime.enter(|| compio::runtime::submit(read));
    drop(runtime);
    let (result, buffer) = crate::support::run(read);
    assert!(result.is_err());
    assert!(buffer.is_empty() && buffer.capacity() >= 77);
}

#[test]
fn s10_operations_dropped_in_the_queue_free_their_buffers() {
    run(async {
        let deaths = Deaths::default();
        let (ours, _theirs) = streams();
        let ours = Rc::new(ours);
        let mut reads = Vec::new();
        for _ in 0..1_000 {
            let (ours, buffer) = (ours.clone(), Canary::new(&deaths));
            let mut read = Box::pin(async move { (&*ours).read(buffer).await });
            begin(&mut read).await;
            reads.push(read);
        }
        // Within one turn: most reads have never been submitted.
        drop(reads);
        until(&deaths, 1_000).await;
    });
}

/// The number of receives.
fn many() -> usize {
    if is_skipped_on_wine("100,000 receives take minutes: 1,000 are made") {
        1_000
    } else {
        100_000
    }
}

/// Receives of one socket, all in flight.
fn begin_many(
    runtime: &Runtime,
    token: &CancelToken,
    deaths: &Deaths,
    count: usize,
) -> (Rc<Stream>, Stream) {
    let (ours, theirs) = runtime.enter(streams);
    let ours = Rc::new(ours);
    for _ in 0..count {
        let (ours, buffer) = (ours.clone(), Canary::new(deaths));
        let read = async move { (&*ours).read(buffer).await };
        drop(runtime.spawn(token.run(Box::pin(read))));
    }
    runtime.block_on(async {
        for _ in 0..count / 16 {
            yield_now().await;
        }
    });
    assert_eq!(deaths.count(), 0);
    (ours, theirs)
}

/// Far more than one pass over all receives takes, and far less than one pass for each of them.
const BOUND: Duration = Duration::from_secs(20);

#[test]
fn s43_drop_with_many_receives_keeps_its_deadline() {
    let runtime = Runtime::builder()
        .shutdown_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let (deaths, token, many) = (Deaths::default(), CancelToken::new(), many());
    let sockets = begin_many(&runtime, &token, &deaths, many);
    let begin = Instant::now();
    drop(runtime);
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
    drop(sockets);
}

#[test]
fn s43_drop_with_many_receives_and_time_frees_all_of_them() {
    let runtime = Runtime::builder()
        .shutdown_timeout(crate::support::LONG)
        .build()
        .unwrap();
    let (deaths, token, many) = (Deaths::default(), CancelToken::new(), many());
    let sockets = begin_many(&runtime, &token, &deaths, many);
    let begin = Instant::now();
    drop(runtime);
    assert_eq!(deaths.count(), many);
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
    drop(sockets);
}

#[test]
fn s43_cancel_of_token_with_many_receives_ends_all_of_them() {
    let runtime = Runtime::new().unwrap();
    let (deaths, token, many) = (Deaths::default(), CancelToken::new(), many());
    let sockets = begin_many(&runtime, &token, &deaths, many);
    let begin = Instant::now();
    token.cancel();
    runtime.block_on(until(&deaths, many));
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
    drop(sockets);
}
