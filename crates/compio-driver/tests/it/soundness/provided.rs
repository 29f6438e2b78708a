//! Buffers that the kernel picks: exhaustion, and loans that outlive their pool (scenario 20).

use std::{cell::Cell, io::Write, net::Shutdown, task::Context, thread, time::Duration};

use compio_driver::{BufferPool, Driver, PooledBuffer, RecvStream, op::Nop};

use crate::{
    streams::{collect, expect_wait, receive},
    support::{Bell, drain, each_backend, pattern, run, share, tcp, turn_until},
};

#[test]
fn s20_without_a_buffer_the_bytes_wait() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 2, 10).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        let sent = pattern(95);
        peer.write_all(&sent).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut held = Vec::new();
        let mut got = Vec::new();
        for _ in 0..2 {
            let buffer = run(&driver, receive(&mut stream)).unwrap().unwrap();
            got.extend_from_slice(&buffer);
            held.push(buffer);
        }
        assert_eq!(pool.handed_out(), 2);
        // The kernel may first have to find the pool empty.
        for _ in 0..3 {
            expect_wait(&driver, &mut stream);
            run(&driver, driver.submit(Nop::new())).unwrap();
        }
        drop(held);
        got.extend(run(&driver, collect(&mut stream)));
        assert!(got == sent, "{:?}", driver.backend());
    }
}

#[test]
fn s20_a_dropped_stream_gives_its_buffers_back() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 8, 16).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        peer.write_all(&pattern(100)).unwrap();
        drop(run(&driver, receive(&mut stream)).unwrap().unwrap());
        drop(stream);
        drain(&driver);
        assert_eq!(pool.handed_out(), 0, "{:?}", driver.backend());
    }
}

#[test]
fn s20_a_buffer_outlives_its_stream_and_its_driver() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let pool = BufferPool::new(&driver, 1, 16).unwrap();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        peer.write_all(b"still here").unwrap();
        let buffer = run(&driver, receive(&mut stream)).unwrap().unwrap();
        drop(stream);
        drop(driver);
        drop(pool);
        assert_eq!(&*buffer, b"still here");
    }
}

#[test]
fn s20_a_pool_dies_with_its_thread_before_or_after_its_buffers() {
    thread_local! {
        static LEFT: Cell<Option<(BufferPool, PooledBuffer)>> = const { Cell::new(None) };
        static RIGHT: Cell<Option<(RecvStream, Driver, PooledBuffer)>> = const { Cell::new(None) };
    }
    for left_first in [false, true] {
        thread::spawn(move || {
            for driver in each_backend() {
                let (mut peer, socket) = tcp();
                let pool = BufferPool::new(&driver, 4, 16).unwrap();
                let mut stream = driver.recv_stream(share(socket), &pool, 0);
                let mut one = || {
                    peer.write_all(b"bytes").unwrap();
                    run(&driver, receive(&mut stream)).unwrap().unwrap()
                };
                let buffers = (one(), one());
                expect_wait(&driver, &mut stream);
                // The destructors run in the order of first use.
                if left_first {
                    LEFT.set(Some((pool, buffers.0)));
                    RIGHT.set(Some((stream, driver, buffers.1)));
                } else {
                    RIGHT.set(Some((stream, driver, buffers.1)));
                    LEFT.set(Some((pool, buffers.0)));
                }
            }
        })
        .join()
        .unwrap();
    }
}

#[test]
fn s20_the_largest_pool_is_exhausted_and_goes_round() {
    const COUNT: usize = 1 << 15;
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, COUNT as u16, 1).unwrap();
        let (mut peer, socket) = tcp();
        let mut stream = driver.recv_stream(share(socket), &pool, 0);
        let sent = pattern(2 * COUNT + 100);
        let bytes = sent.clone();
        let writer = thread::spawn(move || peer.write_all(&bytes).unwrap());
        let mut got = Vec::new();
        for _ in 0..2 {
            let mut held = Vec::new();
            while held.len() < COUNT {
                held.push(run(&driver, receive(&mut stream)).unwrap().unwrap());
            }
            assert_eq!(pool.handed_out(), COUNT);
            expect_wait(&driver, &mut stream);
            held.iter().for_each(|buffer| got.extend_from_slice(buffer));
        }
        got.extend(run(&driver, collect(&mut stream)));
        writer.join().unwrap();
        assert!(got == sent, "{:?}", driver.backend());
    }
}

/// The kernel may use the buffers until the dropped receive has completed.
#[test]
fn s20_a_pool_dropped_with_a_receive_under_way_stays_until_its_end() {
    for driver in each_backend() {
        for _ in 0..20 {
            let (mut peer, socket) = tcp();
            let pool = BufferPool::new(&driver, 2, 4096).unwrap();
            let mut stream = driver.recv_stream(share(socket), &pool, 0);
            expect_wait(&driver, &mut stream);
            driver.turn(Some(Duration::ZERO)).unwrap();
            drop((pool, stream));
            let canaries: Vec<_> = (0..4).map(|_| vec![0x55_u8; 8192]).collect();
            let _ = peer.write_all(&[0xaa; 8192]);
            drain(&driver);
            assert!(canaries.iter().flatten().all(|byte| *byte == 0x55));
        }
    }
}

/// Two buffers for fifty connections, some of which are dropped while they hold a buffer.
#[test]
fn s20_an_exhausted_pool_serves_every_stream_in_the_end() {
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 2, 8).unwrap();
        let (mut peers, streams): (Vec<_>, Vec<_>) = (0..50)
            .map(|_| {
                let (peer, socket) = tcp();
                (peer, driver.recv_stream(share(socket), &pool, 0))
            })
            .unzip();
        let sent = pattern(100);
        for peer in &mut peers {
            peer.write_all(&sent).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
        }
        for (index, mut stream) in streams.into_iter().enumerate() {
            let first = run(&driver, receive(&mut stream)).unwrap().unwrap();
            if index % 3 == 0 {
                drop(stream);
                drop(first);
                continue;
            }
            let mut got = first.to_vec();
            drop(first);
            got.extend(run(&driver, collect(&mut stream)));
            assert!(got == sent, "{:?}", driver.backend());
        }
        drain(&driver);
        assert_eq!(pool.handed_out(), 0);
    }
}

/// The notified streams are in a task that does not poll them: it waits for another stream, which is behind
/// them in the queue.
#[test]
fn s20_free_buffer_wakes_stream_behind_unpolled_ones() {
    const UNPOLLED: usize = 10;
    for driver in each_backend() {
        let pool = BufferPool::new(&driver, 1, 64).unwrap();
        let mut streams: Vec<_> = (0..UNPOLLED + 2)
            .map(|_| {
                let (peer, socket) = tcp();
                (peer, driver.recv_stream(share(socket), &pool, 0))
            })
            .collect();
        let (mut peer, mut first) = streams.remove(0);
        peer.write_all(b"x").unwrap();
        let held = run(&driver, receive(&mut first)).unwrap().unwrap();
        let (bell, waker) = Bell::new();
        // The kernel may first have to find the pool empty.
        for _ in 0..3 {
            let (last, others) = streams.split_last_mut().unwrap();
            for (_, stream) in others {
                expect_wait(&driver, stream);
            }
            assert!(
                last.1
                    .poll_next(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            run(&driver, driver.submit(Nop::new())).unwrap();
        }
        let (mut peer, mut last) = streams.pop().unwrap();
        peer.write_all(b"y").unwrap();
        let rings = bell.rings();
        drop(held);
        turn_until(&driver, || bell.rings() > rings);
        assert_eq!(*run(&driver, receive(&mut last)).unwrap().unwrap(), *b"y");
    }
}
