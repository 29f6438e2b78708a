//! Bounds of read-ahead: connections and bytes that arrive before a task requests them.

use std::{
    future::poll_fn, io::Write, net::TcpStream as StdStream, pin::pin, task::Poll, time::Duration,
};

use compio::{
    runtime::{BufferPool, Runtime},
    task::yield_now,
    time::{sleep, timeout},
};
use compio_testkit::{allocator::LiveBytes, future::begin};

use crate::support::{
    alone, bounded, connection, descriptors, in_flight, listener, wait_until, want_descriptors,
};

/// "A few dozen": the bound, and the connections that the kernel accepts before it sees the cancel.
const DOZENS: usize = 64;

/// Gives background work time to proceed.
async fn let_it_go_on() {
    for _ in 0..10 {
        sleep(Duration::from_millis(1)).await;
        yield_now().await;
    }
}

#[test]
fn unrequested_connections_stay_in_the_kernels_queue() {
    const PEERS: usize = 300;
    alone(|| {
        want_descriptors(3 * PEERS as u64);
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (listener, address) = listener().await;
            let mut incoming = listener.incoming();
            begin(pin!(incoming.next())).await;
            let_it_go_on().await;
            let before = descriptors();
            let mut peers = Vec::new();
            for _ in 0..PEERS {
                peers.push(StdStream::connect(address).expect("room in the queue"));
                yield_now().await;
                sleep(Duration::from_micros(100)).await;
            }
            let_it_go_on().await;
            let accepted = descriptors() - before - PEERS;
            assert!(accepted <= DOZENS, "{accepted} unrequested connections");
            // All connections are available when they are requested.
            for _ in 0..PEERS {
                let next = bounded(incoming.next()).await.expect("an endless stream");
                drop(next.expect("a connection"));
            }
        });
    });
}

/// All connections that wait at the beginning may be accepted at once, but no later ones.
#[test]
fn waiting_connections_may_be_accepted_at_once_but_no_later_ones() {
    const WAITING: usize = 200;
    const LATER: usize = 300;
    alone(|| {
        want_descriptors(3 * (WAITING + LATER) as u64);
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (listener, address) = listener().await;
            let before = descriptors();
            let connect = || StdStream::connect(address).expect("room in the queue");
            let mut peers: Vec<_> = (0..WAITING).map(|_| connect()).collect();
            let mut incoming = listener.incoming();
            let mut served = vec![bounded(incoming.next()).await];
            let_it_go_on().await;
            for _ in 0..LATER {
                peers.push(connect());
                sleep(Duration::from_micros(100)).await;
            }
            let_it_go_on().await;
            let accepted = descriptors() - before - peers.len();
            assert!(accepted <= WAITING + DOZENS, "{accepted} were accepted");
            while served.len() < WAITING + LATER {
                served.push(bounded(incoming.next()).await);
            }
            assert!(served.iter().all(|next| matches!(next, Some(Ok(_)))));
        });
    });
}

/// A connection that was accepted for a dropped future is kept for the next one. There cannot be more
/// kept connections than there were futures.
#[test]
fn no_more_connections_are_kept_than_futures_were_dropped() {
    const FUTURES: usize = 20;
    const PEERS: usize = 100;
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (listener, address) = listener().await;
            let before = descriptors();
            let mut peers = Vec::new();
            for _ in 0..PEERS / FUTURES {
                let mut accepts: Vec<_> =
                    (0..FUTURES).map(|_| Box::pin(listener.accept())).collect();
                // An accept that finds a kept connection is ready.
                for accept in &mut accepts {
                    let polled = poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx)));
                    drop(polled.await);
                }
                let connect = |_| StdStream::connect(address).expect("room in the queue");
                peers.extend((0..FUTURES).map(connect));
                drop(accepts);
                let_it_go_on().await;
                let kept = descriptors() - before - peers.len();
                assert!(kept <= FUTURES, "{kept} connections are kept");
            }
            while timeout(Duration::from_millis(20), listener.accept())
                .await
                .is_ok()
            {}
            drop(peers);
        });
        wait_until(&runtime, || in_flight(&runtime) == 0);
    });
}

#[test]
fn unrequested_bytes_stay_in_their_socket() {
    const BUFFERS: u16 = 16;
    alone(|| {
        let runtime = Runtime::new().expect("a runtime");
        let (near, mut far) = connection();
        far.set_nonblocking(true).expect("a mode");
        runtime.block_on(async {
            let pool = BufferPool::new(BUFFERS, 4096).expect("a pool");
            let mut received = near.recv_stream(&pool);
            begin(pin!(received.next())).await;
            let_it_go_on().await;
            let before = LiveBytes::now();
            // The peer repeatedly sends until its socket is full.
            let mut sent = 0;
            for _ in 0..20 {
                while let Ok(written) = far.write(&[7; 10_000]) {
                    sent += written;
                }
                let_it_go_on().await;
            }
            let grown = LiveBytes::now() - before;
            assert!(grown < 16 * 1024, "{grown} bytes beside those of the pool");
            assert!(pool.handed_out() <= usize::from(BUFFERS));
            drop(far);
            let mut came = 0;
            while let Some(buffer) = bounded(received.next()).await {
                came += buffer.expect("no error").len();
            }
            assert_eq!(came, sent);
            assert_eq!(pool.handed_out(), 0);
        });
        wait_until(&runtime, || in_flight(&runtime) == 0);
    });
}
