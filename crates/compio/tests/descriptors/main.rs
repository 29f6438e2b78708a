//! No descriptor is lost, in a process that has no others.
//!
//! The tests run one after the other: they count all descriptors of the process.

#[cfg(unix)]
mod passed;
#[cfg(unix)]
mod scarcity;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;
#[path = "../support/tcp.rs"]
mod tcp;

use std::{
    env,
    future::poll_fn,
    mem,
    path::PathBuf,
    pin::{Pin, pin},
    sync::{Mutex, PoisonError, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use compio::{
    fs::File,
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UdpSocket, UnixStream},
    runtime::Runtime,
    task::{block_on, spawn, yield_now},
    time::{sleep, timeout},
};

use system::{OF_A_DRIVER, is_count, open_now};
use tcp::tcp_pair;

/// The intentional leaks, by name of the test. A leak detector calls this function.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:a_forgotten_read".as_ptr()
}

/// A limit that only a hang exceeds.
const LONG: Duration = Duration::from_secs(20);

fn take_turn() -> impl Sized {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the scenario on a thread of its own, and counts around it.
fn check(scenario: impl FnOnce() + Send + 'static) {
    let _turn = take_turn();
    warm_up();
    let before = open_now();
    let with_warm_thread = move || {
        block_on(use_all());
        scenario();
    };
    thread::spawn(with_warm_thread).join().expect("no panic");
    // The thread's own runtime is gone, too. A pool thread that has just completed its work holds
    // the notifier for a moment.
    let began = Instant::now();
    while !is_count(open_now(), before) && began.elapsed() < LONG {
        thread::yield_now();
    }
    check_count(before);
}

/// Some systems open a descriptor at the first use by a process or a thread.
async fn use_all() {
    let (one, other) = tcp_pair().await;
    let [mut one, mut one_again] = twice(one);
    drop(timeout(Duration::from_millis(1), one.read([0; 1])).await);
    drop(timeout(Duration::from_millis(1), one_again.read([0; 1])).await);
    drop((one, one_again, other));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    drop(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    drop(listener.accept().unwrap());
    drop(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    File::open_async(program()).await.unwrap();
    compio::task::spawn_blocking(|| {}).await.unwrap();
    TcpStream::connect("localhost:1").await.unwrap_err();
}

fn warm_up() {
    thread::spawn(|| block_on(use_all()))
        .join()
        .expect("no panic");
    // See `check`.
    loop {
        let count = open_now();
        thread::sleep(Duration::from_millis(5));
        if open_now() == count {
            return;
        }
    }
}

/// Two handles of the same socket.
fn twice(stream: TcpStream) -> [TcpStream; 2] {
    let one = stream.into_std().expect("no operation holds it");
    let other = one.try_clone().expect("another handle");
    [one, other].map(|stream| TcpStream::from_std(stream).expect("a stream"))
}

/// A file that can be opened.
fn program() -> PathBuf {
    env::current_exe().expect("a program")
}

#[track_caller]
fn check_count(expected: usize) {
    let now = open_now();
    assert!(is_count(now, expected), "{now} instead of {expected}");
}

/// Waits until the kernel has completed the dropped operations.
async fn settle(expected: usize) {
    let began = Instant::now();
    while !is_count(open_now(), expected) && began.elapsed() < LONG {
        sleep(Duration::from_millis(1)).await;
    }
    check_count(expected);
}

/// Begins the operation by a single poll.
fn begin<F: Future>(future: F) -> Pin<Box<F>> {
    match try_begin(future) {
        Ok(_) => panic!("it should wait"),
        Err(future) => future,
    }
}

/// Begins the operation. Returns its output, or its future if it waits.
fn try_begin<F: Future>(future: F) -> Result<F::Output, Pin<Box<F>>> {
    let mut future = Box::pin(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(future),
    }
}

#[test]
fn s01_accepts_cancelled_before_a_connection_came() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let before = open_now();
            for _ in 0..100 {
                assert!(timeout(Duration::ZERO, listener.accept()).await.is_err());
            }
            settle(before).await;
        });
    });
}

#[test]
fn s01_accepts_cancelled_while_connections_come() {
    check(|| {
        block_on(async {
            // Its queue is long enough for all.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let clients = thread::spawn(move || {
                for _ in 0..300 {
                    drop(std::net::TcpStream::connect(address).unwrap());
                }
            });
            while !clients.is_finished() {
                let accept = timeout(Duration::from_micros(50), listener.accept());
                drop(accept.await.map(Result::unwrap));
            }
            clients.join().unwrap();
        });
    });
}

#[test]
fn s01_accepts_that_completed_and_were_never_polled_again() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let before = open_now();
            for _ in 0..50 {
                // An accept that finds the connection of an earlier, dropped one takes it.
                let accept = try_begin(listener.accept()).err();
                yield_now().await;
                let client = TcpStream::connect(address).await.unwrap();
                // The accept has completed, and is not polled again.
                sleep(Duration::from_micros(100)).await;
                drop(accept);
                // The next accept takes the connection.
                let (server, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
                drop((client, server));
            }
            settle(before).await;
        });
    });
}

#[test]
fn s01_accepts_dropped_with_their_connection_already_there() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..50 {
                // An accept that finds the connection of an earlier, dropped one takes it.
                let accept = try_begin(listener.accept()).err();
                yield_now().await;
                // Connected behind the runtime's back: the completion is not seen before the drop.
                let client = std::net::TcpStream::connect(address).unwrap();
                drop(accept);
                drop(client);
            }
            // Connections that no accept took are still in the queue.
            while timeout(Duration::from_millis(1), listener.accept())
                .await
                .is_ok()
            {}
        });
    });
}

#[test]
fn s01_accept_and_a_timer_in_a_select_in_a_loop() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let before = open_now();
            for round in 0..200 {
                let mut accept = Box::pin(listener.accept());
                let mut nap = Box::pin(sleep(Duration::from_micros(round % 4 * 30)));
                let mut client = None;
                // The first of both wins. The connection comes at the first poll, or at a later one.
                let accepted = poll_fn(|cx| {
                    if let Poll::Ready(accepted) = accept.as_mut().poll(cx) {
                        return Poll::Ready(Some(accepted.unwrap()));
                    }
                    if round % 3 == 0 && client.is_none() {
                        client = Some(std::net::TcpStream::connect(address).unwrap());
                    }
                    nap.as_mut().poll(cx).map(|()| None)
                });
                drop(accepted.await);
                drop(accept);
                drop(client);
            }
            // The connections of dropped accepts go to the next ones.
            while timeout(Duration::from_millis(1), listener.accept())
                .await
                .is_ok()
            {}
            settle(before).await;
        });
    });
}

#[test]
fn s02_sockets_cancelled_at_any_moment() {
    check(|| {
        block_on(async {
            let before = open_now();
            for round in 0..200 {
                let bind = Box::pin(UdpSocket::bind("127.0.0.1:0"));
                let listen = Box::pin(TcpListener::bind("127.0.0.1:0"));
                // An operation that completes at once is closed by its drop.
                let begun = (round % 3 > 0).then(|| (try_begin(bind), try_begin(listen)));
                if round % 3 > 1 {
                    yield_now().await;
                }
                drop(begun);
            }
            settle(before).await;
        });
    });
}

/// pipe(2) is a plain call, which cannot be cancelled. The operations of the pipe can.
#[test]
fn s02_operations_of_a_pipe_cancelled_at_any_moment() {
    check(|| {
        block_on(async {
            let before = open_now();
            for round in 0..30 {
                let (mut reader, mut writer) = compio::pipe::pipe().unwrap();
                let read = begin(reader.read([0; 8]));
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                drop(read);
                // Where a pool thread reads, this write ends its read.
                writer.write("x").await.0.unwrap();
                drop((reader, writer));
            }
            settle(before).await;
        });
    });
}

#[test]
fn s02_a_dropped_incoming_with_connections_still_queued() {
    check(|| {
        block_on(async {
            for round in 0..30 {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let mut incoming = listener.incoming();
                let first = begin(incoming.next());
                yield_now().await;
                drop(first);
                let connect = |_| std::net::TcpStream::connect(address).unwrap();
                let seen: Vec<_> = (0..round % 4).map(connect).collect();
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                let unseen: Vec<_> = (0..3).map(connect).collect();
                drop(incoming);
                drop((seen, unseen));
            }
        });
    });
}

#[test]
fn s02_opens_cancelled_at_any_moment() {
    check(|| {
        block_on(async {
            let before = open_now();
            for round in 0..200 {
                let open = begin(File::open_async(program()));
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                drop(open);
            }
            settle(before).await;
        });
    });
}

#[test]
fn s02_connects_cancelled_at_any_moment() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let before = open_now();
            for round in 0..200 {
                let connect = begin(TcpStream::connect(address));
                for _ in 0..round % 3 {
                    yield_now().await;
                }
                drop(connect);
            }
            settle(before).await;
        });
    });
}

#[test]
fn s10_a_cancelled_close_still_closes() {
    check(|| {
        block_on(async {
            let before = open_now();
            for round in 0..100 {
                let file = File::open(program()).unwrap();
                let close = file.close();
                if round % 3 > 0 {
                    let close = begin(close);
                    if round % 3 > 1 {
                        yield_now().await;
                    }
                    drop(close);
                }
            }
            settle(before).await;
        });
    });
}

#[test]
fn s10_closes_that_are_pending_when_the_runtime_ends_are_done() {
    check(|| {
        let before = open_now();
        for turns in 0..3 {
            let runtime = Runtime::new().unwrap();
            let mut closes = Vec::new();
            runtime.block_on(async {
                for index in 0..20 {
                    let close = File::open(program()).unwrap().close();
                    // Some closes are never polled.
                    closes.push(if index % 4 > 0 {
                        try_begin(close).err()
                    } else {
                        Some(Box::pin(close))
                    });
                }
                for _ in 0..turns {
                    yield_now().await;
                }
            });
            closes.truncate(15);
            drop(runtime);
            drop(closes);
        }
        let began = Instant::now();
        while !is_count(open_now(), before) && began.elapsed() < LONG {
            thread::yield_now();
        }
        check_count(before);
    });
}

#[test]
fn s09_a_runtime_that_ends_with_everything_in_flight() {
    check(|| {
        for _ in 0..10 {
            let (begun, begins) = mpsc::channel();
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let other_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = other_listener.local_addr().unwrap();
                let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let (mut one, other) = tcp_pair().await;
                drop(spawn(async move { listener.accept().await.map(drop) }));
                drop(spawn(async move {
                    let mut incoming = other_listener.incoming();
                    // No task takes the connections behind the first.
                    let first = incoming.next().await;
                    sleep(LONG).await;
                    drop((first, incoming));
                }));
                drop(spawn(async move { drop(udp.recv_from([0; 64]).await) }));
                drop(spawn(async move { one.read([0; 64]).await.0 }));
                drop(spawn(async { sleep(LONG).await }));
                drop(compio::task::spawn_blocking(move || {
                    begun.send(()).unwrap();
                    thread::sleep(Duration::from_millis(1));
                }));
                drop(spawn(File::open_async(program())));
                let clients = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
                yield_now().await;
                yield_now().await;
                drop(spawn(async move {
                    sleep(LONG).await;
                    drop((clients, other));
                }));
            });
            begins.recv_timeout(LONG).unwrap();
            drop(runtime);
        }
    });
}

#[test]
fn streams_halves_and_clones() {
    check(|| {
        block_on(async {
            let before = open_now();
            for _ in 0..20 {
                let (one, other) = tcp_pair().await;
                let (reader, writer) = one.into_split();
                let (other_reader, other_writer) = other.into_split();
                drop(reader);
                writer.forget();
                drop(other_reader.reunite(other_writer).unwrap());
                let file = File::open(program()).unwrap();
                drop((file.clone(), file));
                drop(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                UnixStream::connect("/nowhere").await.unwrap_err();
                TcpStream::connect("127.0.0.1").await.unwrap_err();
                TcpListener::bind("192.0.2.1:0").await.unwrap_err();
            }
            check_count(before);
        });
    });
}

#[test]
fn s09_runtimes_that_come_and_go_with_operations_in_flight() {
    check(|| {
        let before = open_now();
        for _ in 0..20 {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let (mut one, _other) = tcp_pair().await;
                drop(spawn(async move { listener.accept().await.map(drop) }));
                drop(spawn(async move { one.read([0; 64]).await.0 }));
                yield_now().await;
            });
            // Announces a sleep in an outer loop, too.
            runtime.current_timeout();
            drop(runtime);
            check_count(before);
        }
    });
}

#[test]
fn s07_a_forgotten_read_keeps_its_descriptor_and_its_driver() {
    let _turn = take_turn();
    warm_up();
    let before = open_now();
    thread::spawn(|| {
        block_on(async {
            let (one, other) = tcp_pair().await;
            let [mut one, mut one_again] = twice(one);
            mem::forget(begin(async move { one.read([0; 8]).await.0 }));
            yield_now().await;
            drop(other);
            // The forgotten read has seen the EOF, which every later read sees, too.
            assert_eq!(one_again.read([0; 8]).await.0.unwrap(), 0);
        });
    })
    .join()
    .unwrap();
    // The socket, and the descriptors of the driver that the forgotten future holds.
    check_count(before + 1 + OF_A_DRIVER);
}

#[test]
fn timers_and_blocking_work_need_none() {
    check(|| {
        block_on(async {
            sleep(Duration::from_millis(1)).await;
            let before = open_now();
            let mut naps: Vec<_> = (0..100).map(|_| sleep(LONG)).collect();
            let mut cx = Context::from_waker(Waker::noop());
            for nap in &mut naps {
                assert!(pin!(nap).poll(&mut cx).is_pending());
            }
            compio::task::spawn_blocking(|| {}).await.unwrap();
            check_count(before);
        });
    });
}
