//! Servers without free descriptors: the pace of their errors, and the service of open connections. The
//! errors themselves, and the recovery, are tested in `tests/descriptors/scarcity.rs`.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read, Write},
    iter,
    net::{SocketAddr, TcpStream as StdStream},
    os::{linux::net::SocketAddrExt, unix::net::UnixStream as StdUnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use compio::{
    cores::{Dispatcher, Server},
    driver::BackendKind,
    io::{AsyncRead, AsyncWriteExt},
    net::{TcpStream, UnixListener},
    runtime::{AsyncFd, RuntimeBuilder},
    task::{block_on, spawn, yield_now},
    time::{sleep, timeout},
};
use socket2::{Domain, Socket, Type};

use crate::support::{
    Scarcity, alone, bounded, check_exchange, connection, descriptors, highest_descriptor, limit,
    listener,
};

/// The number of waiting peers, and of those with a free descriptor.
const PEERS: usize = 20;
const ROOM: usize = 7;

/// The time during which no descriptor is freed.
const MEANWHILE: Duration = Duration::from_millis(200);

/// The documented time between two errors.
const PAUSE: Duration = Duration::from_millis(10);

/// Checks that a server that goes on after every error sees few errors, and finally accepts all peers.
/// It calls `accept` in a loop.
async fn check_server<S>(mut accept: impl AsyncFnMut() -> io::Result<S>) {
    // A runtime opens descriptors at its first use.
    yield_now().await;
    let scarcity = Scarcity::leave(ROOM);
    let mut served = Vec::new();
    let mut errors = 0;
    let began = Instant::now();
    while errors == 0 || began.elapsed() < MEANWHILE {
        match bounded(accept()).await {
            Ok(stream) => served.push(stream),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
                errors += 1;
            }
        }
    }
    let pauses = began.elapsed().as_nanos() / PAUSE.as_nanos();
    assert_eq!(served.len(), ROOM);
    assert!(errors <= pauses + 1, "{errors} errors in {pauses} pauses");

    // Closing a connection makes room for another.
    served.pop();
    let next = loop {
        if let Ok(stream) = bounded(accept()).await {
            break stream;
        }
    };
    served.push(next);
    drop(scarcity);
    while served.len() < PEERS - 1 {
        if let Ok(stream) = bounded(accept()).await {
            served.push(stream);
        }
    }
}

fn peers(address: SocketAddr) -> Vec<StdStream> {
    let connect = || StdStream::connect(address).expect("room in the queue");
    (0..PEERS).map(|_| connect()).collect()
}

#[test]
fn a_server_that_goes_on_after_every_error_does_not_spin() {
    alone(|| {
        block_on(async {
            let (listener, address) = listener().await;
            let peers = peers(address);
            check_server(async || Ok(listener.accept().await?.0)).await;
            drop(peers);
        });
    });
}

#[test]
fn a_server_of_incoming_connections_does_not_spin() {
    alone(|| {
        block_on(async {
            let (listener, address) = listener().await;
            let peers = peers(address);
            let mut incoming = listener.incoming();
            check_server(async || incoming.next().await.expect("an endless stream")).await;
            drop(peers);
        });
    });
}

#[test]
fn a_server_of_unix_sockets_does_not_spin() {
    alone(|| {
        block_on(async {
            let name = format!("compio-limits-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name);
            let address = address.expect("a name");
            let listener = UnixListener::bind_addr(&address).expect("a name of our own");
            let connect = || StdUnixStream::connect_addr(&address).expect("room in the queue");
            let peers: Vec<_> = (0..PEERS).map(|_| connect()).collect();
            check_server(async || Ok(listener.accept().await?.0)).await;
            drop(peers);
        });
    });
}

/// The pause continues from one future to the next, and so ends.
#[test]
fn a_server_that_drops_its_accepts_finally_accepts() {
    alone(|| {
        block_on(async {
            let (listener, address) = listener().await;
            let peers = peers(address);
            let accept = async || match timeout(PAUSE / 10, listener.accept()).await {
                Ok(accepted) => Ok(accepted?.0),
                Err(_) => Err(io::Error::from_raw_os_error(libc::EMFILE)),
            };
            let scarcity = Scarcity::leave(0);
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            drop(scarcity);
            let mut served = Vec::new();
            while served.len() < PEERS {
                served.extend(bounded(accept()).await);
            }
            drop(peers);
        });
    });
}

#[test]
fn open_connections_are_served_without_free_descriptors() {
    alone(|| {
        block_on(async {
            let (listener, address) = listener().await;
            let (mut near, mut far) = connection();
            let peers = peers(address);
            let _scarcity = Scarcity::leave(0);
            let accepting = spawn(async move {
                loop {
                    let accepted = listener.accept().await;
                    assert_eq!(accepted.unwrap_err().raw_os_error(), Some(libc::EMFILE));
                }
            });
            for _ in 0..200 {
                check_exchange(&mut near, &mut far).await;
            }
            accepting.abort();
            assert!(accepting.await.unwrap_err().is_cancelled());
            drop(peers);
        });
    });
}

#[test]
fn repeated_errors_lose_no_connection() {
    alone(|| {
        block_on(async {
            let (listener, address) = listener().await;
            let peers = peers(address);
            let open = descriptors();
            let mut incoming = listener.incoming();
            for _ in 0..10 {
                let scarcity = Scarcity::leave(0);
                for _ in 0..2 {
                    let next = incoming.next().await.expect("an endless stream");
                    assert_eq!(next.unwrap_err().raw_os_error(), Some(libc::EMFILE));
                    assert!(listener.accept().await.is_err());
                }
                drop(scarcity);
                assert_eq!(descriptors(), open);
            }
            for _ in 0..PEERS {
                let next = bounded(incoming.next()).await.expect("an endless stream");
                drop(next.expect("a connection"));
            }
            drop(peers);
        });
    });
}

/// With the limit at 0, poll(2) returns EINVAL even for one descriptor (Linux 6.18). Sandboxes that
/// forbid further descriptors set this limit.
#[test]
fn s47_readable_with_a_limit_of_no_descriptors_ends() {
    alone(|| {
        for kind in [BackendKind::Poll, BackendKind::IoUring] {
            let Ok(runtime) = RuntimeBuilder::new().backend(kind).build() else {
                eprintln!("not tested here: {kind:?}");
                continue;
            };
            runtime.block_on(async {
                let (mut near, mut far) = connection();
                let (watched, mut other) = StdUnixStream::pair().expect("a pair");
                let watched = AsyncFd::new(watched).expect("a descriptor");
                let before = limit(libc::RLIMIT_NOFILE, 0);
                check_exchange(&mut near, &mut far).await;
                other.write_all(b"ready").expect("room");
                if let Err(error) = bounded(watched.readable()).await {
                    assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
                }
                limit(libc::RLIMIT_NOFILE, before);
            });
        }
    });
}

/// Both workers run out of descriptors, while connections are queued at both listeners.
#[test]
fn a_server_on_cores_does_not_spin_and_accepts_again() {
    alone(|| {
        block_on(async {
            let parks = Arc::new(AtomicUsize::new(0));
            let count = parks.clone();
            let runtime = RuntimeBuilder::new().on_park(move || {
                count.fetch_add(1, Relaxed);
            });
            // A request of io_uring keeps the limit of the time of its submission, and a worker submits an accept
            // when it starts.
            let limit_before = limit(libc::RLIMIT_NOFILE, highest_descriptor() + 64);
            let served = Arc::new(AtomicUsize::new(0));
            let workers = Arc::new(Mutex::new(HashSet::new()));
            let (count, seen) = (served.clone(), workers.clone());
            let server = Server::bind("127.0.0.1:0").await.expect("a port");
            let server = server
                .dispatcher(Dispatcher::builder().workers(2).runtime(runtime))
                .start(async move |mut stream: TcpStream| {
                    let worker = thread::current().id();
                    seen.lock().expect("no panic").insert(worker);
                    count.fetch_add(1, Relaxed);
                    stream.write_all("x").await.0.expect("room");
                    // Until the client closes it.
                    let _ = stream.read([0; 1]).await;
                })
                .expect("a server");
            let address = server.local_addr();
            // A worker that starts opens and closes descriptors of its own. One that has served a connection
            // has started.
            let mut early = Vec::new();
            while workers.lock().expect("no panic").len() < 2 {
                let mut client = StdStream::connect(address).expect("a server");
                client.read_exact(&mut [0]).expect("a byte");
                early.push(client);
            }
            let early_count = early.len();

            // The clients have their descriptors before.
            let sockets = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
            let clients: Vec<_> = (0..PEERS).map(|_| sockets()).collect();
            let filler = || fs::File::open("/dev/null").ok();
            let mut fillers: Vec<_> = iter::from_fn(filler).collect();
            fillers.truncate(fillers.len() - ROOM);
            for client in &clients {
                client.connect(&address.into()).expect("room in the queue");
            }
            while served.load(Relaxed) < early_count + ROOM {
                sleep(PAUSE / 10).await;
            }
            let (before, began) = (parks.load(Relaxed), Instant::now());
            sleep(MEANWHILE).await;
            let pauses = began.elapsed().as_nanos() / PAUSE.as_nanos() + 1;
            let parks = parks.load(Relaxed) - before;
            assert_eq!(served.load(Relaxed), early_count + ROOM);
            // Each of two workers parks once in a pause, and seldom more; a busy loop parks thousands of times.
            assert!(
                parks as u128 <= 8 * pauses,
                "{parks} parks in {pauses} pauses"
            );

            // A closed connection makes room for another.
            drop(early.pop());
            while served.load(Relaxed) < early_count + 1 + ROOM {
                sleep(PAUSE / 10).await;
            }
            drop(fillers);
            while served.load(Relaxed) < early_count + PEERS {
                sleep(PAUSE / 10).await;
            }
            drop((early, clients));
            bounded(server.shutdown()).await.expect("no panic");
            limit(libc::RLIMIT_NOFILE, limit_before);
        });
    });
}
