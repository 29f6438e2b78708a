//! No descriptors are left. That errors are clear and connections come later is tested in
//! `tests/descriptors/scarcity.rs`; here is what a server does meanwhile.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream as StdStream},
    os::{linux::net::SocketAddrExt, unix::net::UnixStream as StdUnixStream},
    time::{Duration, Instant},
};

use compio::{
    driver::BackendKind,
    net::UnixListener,
    runtime::{AsyncFd, RuntimeBuilder},
    task::{block_on, spawn, yield_now},
    time::timeout,
};

use crate::support::{
    Scarcity, alone, bounded, check_exchange, connection, descriptors, limit, listener,
};

/// How many peers want to be accepted, and how many can be.
const PEERS: usize = 20;
const ROOM: usize = 7;

/// For how long nobody frees a descriptor.
const MEANWHILE: Duration = Duration::from_millis(200);

/// What the documentation says about the time between two errors.
const PAUSE: Duration = Duration::from_millis(10);

/// A server that goes on after every error sees few of them, and accepts everybody in the end.
/// `accept` is asked again and again.
async fn check_server<S>(mut accept: impl AsyncFnMut() -> io::Result<S>) {
    // What a runtime opens at its first use.
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

    // One that leaves makes room for one.
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
            check_server(async || incoming.next().await.expect("there is always one")).await;
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

/// The pause goes on from one future to the next, and so ends.
#[test]
fn a_server_that_drops_its_accepts_accepts_in_the_end() {
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
fn whoever_is_connected_is_served_meanwhile() {
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
fn nothing_is_lost_by_errors_again_and_again() {
    alone(|| {
        block_on(async {
            let (listener, address) = listener().await;
            let peers = peers(address);
            let open = descriptors();
            let mut incoming = listener.incoming();
            for _ in 0..10 {
                let scarcity = Scarcity::leave(0);
                for _ in 0..2 {
                    let next = incoming.next().await.expect("there is always one");
                    assert_eq!(next.unwrap_err().raw_os_error(), Some(libc::EMFILE));
                    assert!(listener.accept().await.is_err());
                }
                drop(scarcity);
                assert_eq!(descriptors(), open);
            }
            for _ in 0..PEERS {
                let next = bounded(incoming.next()).await.expect("there is always one");
                drop(next.expect("a connection"));
            }
            drop(peers);
        });
    });
}

/// With the limit at 0, poll(2) answers EINVAL even for one descriptor (Linux 6.18): a sandbox that
/// wants no further descriptors sets it so.
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
