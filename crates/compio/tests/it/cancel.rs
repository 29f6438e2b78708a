//! Futures that are dropped, forgotten, or never polled while the kernel is at work.

use std::{mem, rc::Rc, sync::mpsc, time::Duration};

use compio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Runtime, submit},
    task::{spawn, spawn_blocking, yield_now},
    time::{sleep, timeout},
};

use crate::support::{
    Canary, Deaths, First, LONG, begin, check_code, code, pattern, run, select, std_streams,
    streams, tcp_pair,
};

/// Turns until so many have died.
async fn until(deaths: &Deaths, count: usize) {
    while deaths.count() < count {
        yield_now().await;
    }
    assert_eq!(deaths.count(), count);
}

#[test]
fn a_dropped_read_keeps_its_buffer_until_the_kernel_has_answered() {
    run(async {
        let deaths = Deaths::default();
        let (mut ours, _theirs) = streams();
        for round in 1..=100 {
            let mut read = Box::pin(ours.read(Canary::new(&deaths)));
            begin(&mut read).await;
            sleep(Duration::ZERO).await;
            drop(read);
            assert_eq!(deaths.count(), round - 1, "freed too early");
            until(&deaths, round).await;
        }
    });
}

#[test]
fn a_dropped_read_writes_to_nobody_elses_memory() {
    run(async {
        for round in 0..200 {
            let (mut ours, theirs) = streams();
            let mut theirs = theirs.into_std().unwrap();
            let mut read = Box::pin(ours.read(Vec::with_capacity(512)));
            begin(&mut read).await;
            yield_now().await;
            if round % 2 == 0 {
                // The answer is on its way when the future goes.
                std::io::Write::write_all(&mut theirs, &[0xAA; 512]).unwrap();
            }
            drop(read);
            let canaries: Vec<Vec<u8>> = (0..16).map(|_| vec![0x55; 512]).collect();
            std::io::Write::write_all(&mut theirs, &[0xAA; 512]).unwrap();
            let (got, _) = ours.read_exact(vec![0; 512]).await;
            got.unwrap();
            assert!(canaries.iter().flatten().all(|byte| *byte == 0x55));
        }
    });
}

#[test]
fn a_read_dropped_before_anything_came_takes_nothing() {
    run(async {
        let deaths = Deaths::default();
        let (mut client, mut server) = tcp_pair().await;
        for round in 0..100_u8 {
            let never = timeout(Duration::ZERO, server.read(Canary::new(&deaths)));
            assert!(never.await.is_err());
            // Until the cancellation is through, the bytes could still be the dropped read's.
            until(&deaths, usize::from(round) + 1).await;
            client.write_all([round]).await.0.unwrap();
            let (read, buffer) = server.read(Vec::with_capacity(8)).await;
            assert_eq!((read.unwrap(), buffer), (1, vec![round]));
        }
    });
}

#[test]
fn a_cancelled_receive_loses_no_byte() {
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
fn a_dropped_write_is_a_prefix_at_most() {
    run(async {
        const LEN: usize = 1 << 20;
        let (mut ours, mut theirs) = streams();
        // Some systems take much before they let somebody wait.
        let write = timeout(Duration::from_millis(1), async {
            loop {
                ours.write_all(pattern(LEN)).await.0.unwrap();
            }
        });
        assert!(write.await.is_err());
        // Closed only when the kernel is done with the write.
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
fn a_forgotten_future_keeps_its_memory_for_ever() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (mut ours, theirs) = streams();
    let canary = Canary::new(&deaths);
    runtime.block_on(async move {
        let mut read = Box::pin(async move { ours.read(canary).await });
        begin(&mut read).await;
        mem::forget(read);
        yield_now().await;
        // It comes to nobody, and does no harm.
        (&theirs).write_all("hello").await.0.unwrap();
        sleep(Duration::from_millis(1)).await;
    });
    drop(runtime);
    assert_eq!(deaths.count(), 0);
}

#[test]
fn what_is_slow_to_cancel_blocks_nobody() {
    run(async {
        let (begun, begins) = mpsc::channel();
        let (release, blocked) = mpsc::channel::<()>();
        let work = spawn_blocking(move || {
            begun.send(()).unwrap();
            blocked.recv().unwrap();
        });
        begins.recv_timeout(LONG).unwrap();
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
        // We are here while it is blocked.
        release.send(()).unwrap();
    });
}

#[test]
fn an_operation_that_is_never_polled_does_nothing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        drop(File::create_async(&path));
        assert!(!path.exists());
        let file = File::create(&path).unwrap();
        drop(file.write_at("hello", 0));
        drop(submit(compio::op::Nop::new()));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(file.metadata().await.unwrap().len(), 0);
        file.into_std().expect("no operation holds it");
    });
}

#[test]
fn operations_dropped_in_the_queue_free_their_buffers() {
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
        // Within one turn: most have never been submitted.
        drop(reads);
        until(&deaths, 1_000).await;
    });
}

#[test]
fn a_new_descriptor_of_the_same_number_gets_nothing_of_the_old_one() {
    use compio::driver::AsRawFd;
    run(async {
        let (mut old, _peer) = streams();
        let number = old.as_raw_fd();
        let mut read = Box::pin(old.read(Vec::with_capacity(8)));
        begin(&mut read).await;
        drop(read);
        drop(old);
        // The old one stays open until the kernel has answered: its number is not given out yet.
        let (new, peer) = streams();
        assert!(number != new.as_raw_fd() && number != peer.as_raw_fd());
        (&peer).write_all("hello").await.0.unwrap();
        let (read, buffer) = (&new).read(Vec::with_capacity(8)).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn operations_are_dropped_while_their_thread_panics() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            let (mut ours, _theirs) = streams();
            let mut read = Box::pin(ours.read(Canary::new(&deaths)));
            begin(&mut read).await;
            yield_now().await;
            panic!("on purpose");
        });
    }));
    assert!(result.is_err());
    drop(runtime);
    assert_eq!(deaths.count(), 1);
}

#[test]
fn an_operation_is_dropped_outside_of_its_runtime() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (mut ours, _theirs) = streams();
    let mut read = Box::pin(ours.read(Canary::new(&deaths)));
    runtime.block_on(async {
        begin(&mut read).await;
        yield_now().await;
    });
    drop(read);
    runtime.block_on(until(&deaths, 1));
}

#[test]
fn accepts_in_a_select_lose_no_connection_that_they_did_not_take() {
    run(async {
        const CLIENTS: usize = 50;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients = spawn(async move {
            for number in 0..CLIENTS {
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all([number as u8]).await.0.unwrap();
                // Its connection is served, or was closed by an accept that came too late.
                let _ = client.read(Vec::with_capacity(1)).await;
            }
        });
        while !clients.is_finished() {
            match select(listener.accept(), sleep(Duration::from_micros(100))).await {
                First::Left(accepted) => drop(accepted.unwrap()),
                First::Right(()) => {}
            }
        }
        clients.await.unwrap();
    });
}
