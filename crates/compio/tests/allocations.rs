//! In the steady state no operation allocates.

#[path = "support/tcp.rs"]
mod tcp;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use compio::{
    driver::ThreadPool,
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    runtime::Runtime,
    task::{block_on, spawn, yield_now},
    time::{interval, sleep, timeout},
};
use compio_testkit::allocator::{Counting, OfThread};

use tcp::tcp_pair;

#[global_allocator]
static ALLOCATOR: Counting<OfThread> = Counting(OfThread);

const WARM_UP: usize = 200;
const ROUNDS: usize = 2_000;

/// Repeats the round, and counts allocations after a warm-up.
async fn check(round: impl AsyncFnMut()) {
    check_rounds(ROUNDS, round).await;
}

async fn check_rounds(rounds: usize, mut round: impl AsyncFnMut()) {
    for _ in 0..WARM_UP {
        round().await;
    }
    let before = OfThread::allocations();
    for _ in 0..rounds {
        round().await;
    }
    assert_eq!(
        OfThread::allocations() - before,
        0,
        "allocations in {rounds} rounds"
    );
}

/// As `block_on`, with a thread pool that no other test shares: starting another thread would
/// allocate.
fn block_on_alone<F: Future>(body: F) -> F::Output {
    let runtime = Runtime::builder().pool(ThreadPool::new(1)).build().unwrap();
    runtime.block_on(body)
}

/// Sends all bytes back, until EOF.
async fn echo(mut server: TcpStream) {
    let mut buffer = Vec::with_capacity(64);
    loop {
        let read;
        (read, buffer) = server.read(buffer).await;
        if read.unwrap() == 0 {
            return;
        }
        let written;
        (written, buffer) = server.write_all(buffer).await;
        written.unwrap();
    }
}

/// Keeps a buffer between the rounds.
fn kept<B>(buffer: B) -> impl Fn(Option<B>) -> Option<B> {
    let place = RefCell::new(Some(buffer));
    move |back| std::mem::replace(&mut *place.borrow_mut(), back)
}

#[test]
fn an_echo_over_tcp() {
    block_on(async {
        let (mut client, server) = tcp_pair().await;
        let server = spawn(echo(server));
        let buffer = kept(b"hello".to_vec());
        check(async || {
            let (written, bytes) = client.write_all(buffer(None).unwrap()).await;
            written.unwrap();
            let (read, bytes) = client.read_exact(bytes).await;
            read.unwrap();
            buffer(Some(bytes));
        })
        .await;
        drop(client);
        server.await.unwrap();
    });
}

#[test]
fn an_echo_over_owned_halves() {
    block_on(async {
        let (client, server) = tcp_pair().await;
        let server = spawn(echo(server));
        let (mut reader, mut writer) = client.into_split();
        let buffer = kept(b"hello".to_vec());
        check(async || {
            let (written, bytes) = writer.write_all(buffer(None).unwrap()).await;
            written.unwrap();
            let (read, bytes) = reader.read_exact(bytes).await;
            read.unwrap();
            buffer(Some(bytes));
        })
        .await;
        drop((reader, writer));
        server.await.unwrap();
    });
}

#[test]
fn datagrams() {
    block_on(async {
        let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        other.connect(one.local_addr().unwrap()).await.unwrap();
        let address = other.local_addr().unwrap();
        let buffer = kept(b"hello".to_vec());
        check(async || {
            let (sent, bytes) = one.send_to(buffer(None).unwrap(), address).await;
            sent.unwrap();
            let (received, bytes) = other.recv_from(bytes).await;
            assert_eq!(received.unwrap().0, 5);
            let (sent, bytes) = other.send(bytes).await;
            sent.unwrap();
            let (received, bytes) = one.recv(bytes).await;
            assert_eq!(received.unwrap(), 5);
            buffer(Some(bytes));
        })
        .await;
    });
}

#[test]
fn vectored_reads_and_writes_of_a_stream() {
    block_on(async {
        let (mut one, mut other) = tcp_pair().await;
        let buffers = kept([b"hello".to_vec(), b"world".to_vec()]);
        check(async || {
            let (written, bytes) = one.write_vectored(buffers(None).unwrap()).await;
            written.unwrap();
            let (read, bytes) = other.read_vectored(bytes).await;
            read.unwrap();
            buffers(Some(bytes));
        })
        .await;
    });
}

#[test]
fn reads_and_writes_of_a_file() {
    block_on_alone(async {
        let file = File::from_std(tempfile::tempfile().unwrap());
        let buffer = kept(vec![7; 4096]);
        check(async || {
            let (written, bytes) = file.write_at(buffer(None).unwrap(), 0).await;
            written.unwrap();
            let (read, bytes) = file.read_at(bytes, 0).await;
            read.unwrap();
            buffer(Some(bytes));
        })
        .await;
    });
}

#[test]
fn attributes_and_syncs_of_a_file() {
    block_on_alone(async {
        let file = File::from_std(tempfile::tempfile().unwrap());
        check(async || {
            file.metadata().await.unwrap();
            file.sync_data().await.unwrap();
        })
        .await;
    });
}

#[test]
fn sleeps_and_timeouts() {
    block_on(async {
        let mut ticks = interval(Duration::from_micros(20));
        // Some systems sleep for a millisecond at least.
        check_rounds(ROUNDS / 10, async || {
            sleep(Duration::from_micros(10)).await;
            ticks.tick().await;
            timeout(Duration::from_secs(60), yield_now()).await.unwrap();
            let never = timeout(Duration::from_micros(10), std::future::pending::<()>());
            never.await.unwrap_err();
        })
        .await;
    });
}

#[test]
fn cancelled_reads() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (one, _other) = tcp_pair().await;
        check_rounds(ROUNDS / 10, async || {
            let mut reader = &one;
            let read = timeout(Duration::ZERO, reader.read([0; 16]));
            assert!(read.await.is_err());
            // Waits for the completion: the next read would have to do so, and the cells of the dropped
            // reads would pile up.
            while !has_landed(&runtime) {
                sleep(Duration::from_micros(20)).await;
            }
        })
        .await;
    });
}

/// Whether no operation is in flight. The allocations of this check are not counted.
fn has_landed(runtime: &Runtime) -> bool {
    let text = OfThread::uncounted(|| format!("{runtime:?}"));
    text.ends_with("in_flight: 0 }")
}

#[test]
fn wakes_of_tasks_by_each_other() {
    /// Which task has the turn, and the waker of the waiting one.
    #[derive(Default)]
    struct Turn(Cell<bool>, RefCell<Option<Waker>>);
    impl Turn {
        async fn taken(&self, whose: bool) {
            poll_fn(|cx| {
                if self.0.get() == whose {
                    return Poll::Ready(());
                }
                self.1.replace(Some(cx.waker().clone()));
                Poll::Pending
            })
            .await;
            self.0.set(!whose);
            if let Some(waker) = self.1.take() {
                waker.wake();
            }
        }
    }
    block_on(async {
        let turn = Rc::new(Turn::default());
        let there = turn.clone();
        let other = spawn(async move {
            loop {
                there.taken(true).await;
            }
        });
        check(async || turn.taken(false).await).await;
        other.abort();
    });
}
