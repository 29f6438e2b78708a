//! Peers that send nothing, and peers that never read.

use std::{io::Read, net::TcpStream as StdStream, time::Duration};

use compio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{BufferPool, Runtime, is_cancelled},
    task::{JoinHandle, spawn, yield_now},
    time::{cancel_after, timeout},
};
use compio_testkit::allocator::LiveBytes;

use crate::support::{
    alone, bounded, check_exchange, connection, in_flight, wait_until, want_descriptors,
};

/// The number of peers.
const CROWD: usize = 1000;

/// The maximum of bytes of a waiting connection beside its buffer: its task, socket and operation.
const EACH: isize = 2048;

fn crowd() -> (Vec<TcpStream>, Vec<StdStream>) {
    want_descriptors(2 * CROWD as u64 + 100);
    (0..CROWD).map(|_| connection()).unzip()
}

/// Begins `wait` for a thousand connections. Checks that each costs `buffer` bytes and little more,
/// that `is_calm` becomes true while they wait, and that no operation is left when the peers have gone.
fn check_crowd<F>(
    runtime: &Runtime,
    buffer: usize,
    is_calm: impl Fn() -> bool,
    wait: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    // Twice: the runtime may keep memory of the first round for reuse.
    for _ in 0..2 {
        let before = LiveBytes::now();
        let (nears, fars) = crowd();
        let tasks: Vec<JoinHandle<()>> = runtime.block_on(async {
            let begin = |near| spawn(wait(near));
            let tasks = nears.into_iter().map(begin).collect();
            yield_now().await;
            tasks
        });
        wait_until(runtime, || in_flight(runtime) >= CROWD && is_calm());
        let each = (LiveBytes::now() - before) / CROWD as isize - buffer as isize;
        assert!(each < EACH, "{each} bytes beside a buffer of {buffer}");
        drop(fars);
        runtime.block_on(async {
            for task in tasks {
                bounded(task).await.expect("no panic");
            }
        });
        assert_eq!(in_flight(runtime), 0);
    }
}

#[test]
fn a_thousand_silent_peers_cost_their_buffers() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        check_crowd(
            &runtime,
            4096,
            || true,
            |mut near| async move {
                let (read, buffer) = near.read(Vec::with_capacity(4096)).await;
                assert_eq!((read.expect("an end"), buffer.capacity()), (0, 4096));
            },
        );
    });
}

#[test]
fn a_thousand_silent_peers_cost_no_buffers_of_a_pool() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        let pool = runtime.enter(|| BufferPool::new(8, 4096)).expect("a pool");
        let has_all = || pool.handed_out() == 0;
        check_crowd(&runtime, 0, has_all, |near| {
            let pool = pool.clone();
            async move { assert!(near.recv_stream(&pool).next().await.is_none()) }
        });
    });
}

#[test]
fn reads_of_a_silent_peer_time_out_without_cost() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        let (mut near, mut far) = connection();
        runtime.block_on(async {
            let patience = Duration::from_millis(1);
            // The memory of the first rounds is reused.
            let mut usual = None;
            for round in 0..300 {
                let read = timeout(patience, near.read(vec![0; 10_000]));
                assert!(read.await.is_err());
                let (read, buffer) = cancel_after(patience, near.read(vec![0; 10_000])).await;
                assert!(is_cancelled(&read.unwrap_err()));
                assert_eq!(buffer.len(), 10_000);
                drop(buffer);
                if round == 20 {
                    usual = Some(LiveBytes::now());
                }
            }
            let grown = LiveBytes::now() - usual.expect("more rounds");
            assert!(grown < 50_000, "{grown} bytes are left of cancelled reads");
            check_exchange(&mut near, &mut far).await;
        });
        wait_until(&runtime, || in_flight(&runtime) == 0);
    });
}

/// Writes until the peer's buffer and our own are full: then a write waits.
async fn fill(near: &mut TcpStream) -> usize {
    let mut sent = 0;
    loop {
        let write = cancel_after(Duration::from_millis(50), near.write(vec![7; 100_000]));
        match write.await.0 {
            Ok(written) => sent += written,
            Err(error) => {
                assert!(is_cancelled(&error));
                return sent;
            }
        }
    }
}

#[test]
fn writes_to_a_peer_that_never_reads_wait_and_can_be_cancelled() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        let (mut near, mut far) = connection();
        runtime.block_on(async {
            let mut sent = fill(&mut near).await;
            let patience = Duration::from_millis(1);
            let mut usual = None;
            for round in 0..300 {
                // A write may succeed before its cancel.
                match cancel_after(patience, near.write(vec![7; 10_000])).await {
                    (Ok(written), _) => sent += written,
                    (Err(error), buffer) => {
                        assert!(is_cancelled(&error));
                        assert_eq!(buffer.len(), 10_000);
                    }
                }
                if round == 20 {
                    usual = Some(LiveBytes::now());
                }
            }
            let grown = LiveBytes::now() - usual.expect("more rounds");
            assert!(grown < 50_000, "{grown} bytes are left of cancelled writes");
            // The peer reads exactly the bytes that the writes reported.
            let reader = std::thread::spawn(move || {
                let mut came = Vec::new();
                far.read_to_end(&mut came).expect("an end");
                came.len()
            });
            bounded(near.shutdown()).await.expect("no error");
            assert_eq!(reader.join().expect("no panic"), sent);
        });
        wait_until(&runtime, || in_flight(&runtime) == 0);
    });
}

#[test]
fn writes_to_a_peer_that_never_reads_can_be_dropped() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        let (mut near, far) = connection();
        runtime.block_on(async {
            fill(&mut near).await;
            let mut usual = None;
            for round in 0..300 {
                drop(timeout(Duration::from_millis(1), near.write(vec![7; 10_000])).await);
                if round == 20 {
                    usual = Some(LiveBytes::now());
                }
            }
            let grown = LiveBytes::now() - usual.expect("more rounds");
            assert!(grown < 50_000, "{grown} bytes are left of dropped writes");
        });
        wait_until(&runtime, || in_flight(&runtime) == 0);
        drop(far);
    });
}

#[test]
fn a_thousand_peers_that_never_read_cost_one_buffer_each() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        check_crowd(
            &runtime,
            100_000,
            || true,
            |near| async move {
                near.set_send_buffer_size(4096).expect("an option");
                let mut near = near;
                let mut buffer = vec![7; 100_000];
                loop {
                    let written;
                    (written, buffer) = near.write(buffer).await;
                    if written.is_err() {
                        break;
                    }
                }
            },
        );
    });
}

/// The buffers on loan hold at most the bytes that fit into the kernel's buffers: after that a send
/// waits.
#[test]
fn loans_to_a_peer_that_never_reads_are_bounded_and_come_back() {
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        let (near, far) = connection();
        let far_options = socket2::SockRef::from(&far);
        far_options
            .set_recv_buffer_size(100_000)
            .expect("an option");
        runtime.block_on(async {
            near.set_send_buffer_size(100_000).expect("an option");
            let mut loans = Vec::new();
            let mut sent = 0;
            loop {
                let send = near.send_zero_copy(vec![7; 50_000]);
                let Ok((written, loan)) = timeout(Duration::from_millis(50), send).await else {
                    break;
                };
                sent += written.expect("no error");
                loans.push(loan);
            }
            // The buffers of both sides, which Linux doubles, and some slack.
            assert!(sent < 1_000_000, "{sent} unread bytes");
            drop(far);
            drop(near);
            for loan in loans {
                assert_eq!(bounded(loan).await.len(), 50_000);
            }
        });
        wait_until(&runtime, || in_flight(&runtime) == 0);
    });
}
