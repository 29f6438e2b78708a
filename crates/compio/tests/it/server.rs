//! Servers over several cores.

use std::{
    future::pending,
    io::{self, Read, Write},
    net,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use compio::{
    cores::{self, AtLimit, Dispatcher, DispatcherBuilder, RunningServer, Server},
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task,
    time::{sleep, timeout},
};

use crate::support::{LONG, run};

fn workers(workers: usize) -> DispatcherBuilder {
    Dispatcher::builder().workers(workers)
}

fn bind() -> Server<TcpListener> {
    task::block_on(Server::bind("127.0.0.1:0")).unwrap()
}

/// Sends the index of its worker, and then an echo of each byte until EOF.
async fn greet_and_echo(mut stream: TcpStream) {
    let index = cores::worker_index().unwrap() as u8;
    if stream.write_all([index]).await.0.is_err() {
        return;
    }
    let mut byte = [0];
    loop {
        let (read, received) = stream.read(byte).await;
        match read {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let (written, sent) = stream.write_all(received).await;
        if written.is_err() {
            return;
        }
        byte = sent;
    }
}

fn echo_server(count: usize) -> RunningServer<TcpListener> {
    echo_server_on(bind(), count)
}

fn echo_server_on(server: Server<TcpListener>, count: usize) -> RunningServer<TcpListener> {
    server
        .dispatcher(workers(count))
        .start(greet_and_echo)
        .unwrap()
}

/// A client of std, and the index of the worker that serves it.
fn connect(server: &RunningServer<TcpListener>) -> (net::TcpStream, usize) {
    let mut client = net::TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    let mut index = [0];
    client.read_exact(&mut index).unwrap();
    (client, index[0].into())
}

fn check_echo(client: &mut net::TcpStream) {
    client.write_all(b"x").unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn few_long_connections_leave_no_worker_idle() {
    let server = echo_server(4);
    let mut clients: Vec<_> = (0..8).map(|_| connect(&server)).collect();
    let connections = server.connections();
    assert_eq!(connections.iter().sum::<usize>(), 8);
    // The difference that is not worth a hand-off.
    assert!(
        connections.iter().all(|count| (1..=3).contains(count)),
        "{connections:?}"
    );
    for (client, _) in &mut clients {
        check_echo(client);
    }
    let mut found = vec![0; 4];
    for (_, worker) in &clients {
        found[*worker] += 1;
    }
    assert_eq!(found, connections);
}

#[test]
fn many_long_connections_are_balanced() {
    let server = echo_server(4);
    let clients: Vec<_> = (0..400).map(|_| connect(&server)).collect();
    let connections = server.connections();
    let (min, max) = (
        connections.iter().min().unwrap(),
        connections.iter().max().unwrap(),
    );
    assert!(max - min <= 12, "{connections:?}");
    drop(clients);
    while server.connections().iter().sum::<usize>() > 0 {
        thread::yield_now();
    }
}

#[test]
fn address_in_use_is_error_of_bind() {
    let server = echo_server(2);
    let error = run(Server::bind(server.local_addr())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    // It was not disturbed.
    check_echo(&mut connect(&server).0);
}

#[test]
fn failed_start_serves_nothing() {
    let server = bind();
    let error = server.connections_max(0).start(greet_and_echo).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let server = bind();
    let error = server
        .dispatcher(workers(0))
        .start(greet_and_echo)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn connections_above_limit_wait() {
    let server = bind();
    let server = server.dispatcher(workers(2)).connections_max(3);
    let server = server.start(greet_and_echo).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| connect(&server)).collect();
    let mut late: Vec<_> = (0..8)
        .map(|_| {
            let client = net::TcpStream::connect(server.local_addr()).unwrap();
            client.set_read_timeout(Some(LONG)).unwrap();
            client
        })
        .collect();
    for _ in 0..8 {
        assert!(server.connections().iter().sum::<usize>() <= 3);
        drop(clients.remove(0));
        // One of the waiting ones is served, whichever listener has it.
        let served = loop {
            let ready = late.iter().position(|client| {
                client.set_nonblocking(true).unwrap();
                let ready = client.peek(&mut [0]).is_ok();
                client.set_nonblocking(false).unwrap();
                ready
            });
            match ready {
                Some(ready) => break ready,
                None => thread::yield_now(),
            }
        };
        let mut client = late.remove(served);
        client.read_exact(&mut [0]).unwrap();
        check_echo(&mut client);
        clients.push((client, 0));
    }
}

#[test]
fn connections_above_limit_are_refused() {
    let server = bind();
    let server = server
        .dispatcher(workers(2))
        .connections_max(2)
        .at_limit(AtLimit::Refuse);
    let server = server.start(greet_and_echo).unwrap();
    let clients = [connect(&server), connect(&server)];
    let mut refused = net::TcpStream::connect(server.local_addr()).unwrap();
    refused.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0);
    drop(clients);
    while server.connections().iter().sum::<usize>() > 0 {
        thread::yield_now();
    }
    check_echo(&mut connect(&server).0);
}

#[test]
fn shutdown_serves_queued_connections_and_waits_for_running_ones() {
    run(async {
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let server = server
            .dispatcher(workers(2))
            .start(async move |mut stream: TcpStream| {
                sleep(Duration::from_millis(5)).await;
                stream.write_all("done").await.0.unwrap();
                count.fetch_add(1, SeqCst);
            });
        let server = server.unwrap();
        let clients: Vec<_> = (0..50)
            .map(|_| net::TcpStream::connect(server.local_addr()).unwrap())
            .collect();
        server.shutdown().await.unwrap();
        assert_eq!(served.load(SeqCst), 50);
        for mut client in clients {
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text, "done");
        }
        let late = net::TcpStream::connect(server.local_addr());
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn draining_tells_idle_connections() {
    run(async {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let server = server
            .dispatcher(workers(2))
            .start(async |mut stream: TcpStream| {
                stream.write_all("hello").await.0.unwrap();
                cores::draining().await;
                stream.write_all("bye").await.0.unwrap();
            });
        let server = server.unwrap();
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(server.local_addr()).await.unwrap();
            client.read_exact([0; 5]).await.0.unwrap();
            clients.push(client);
        }
        server.shutdown().await.unwrap();
        for mut client in clients {
            let (read, text) = client.read_exact([0; 3]).await;
            read.unwrap();
            assert_eq!(&text, b"bye");
        }
    });
}

#[test]
fn shutdown_timeout_closes_idle_connections() {
    run(async {
        let server = echo_server_on(Server::bind("127.0.0.1:0").await.unwrap(), 2);
        let (mut client, _) = connect(&server);
        let limit = Duration::from_millis(20);
        let error = server.shutdown_timeout(limit).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn panic_of_handler_ends_its_connection_only() {
    let server = bind();
    let server = server
        .dispatcher(workers(2))
        .start(async |mut stream: TcpStream| {
            let (_, byte) = stream.read_exact([0]).await;
            assert_eq!(&byte, b"x", "refused");
            stream.write_all("y").await.0.unwrap();
        });
    let server = server.unwrap();
    let ask = |byte: &[u8]| {
        let mut client = net::TcpStream::connect(server.local_addr()).unwrap();
        client.write_all(byte).unwrap();
        client.read(&mut [0]).unwrap_or(0)
    };
    for _ in 0..8 {
        assert_eq!((ask(b"!"), ask(b"x")), (0, 1));
    }
    while server.connections().iter().sum::<usize>() > 0 {
        thread::yield_now();
    }
}

#[test]
fn dropped_server_closes_connections_and_listeners() {
    let server = bind();
    let server = server
        .dispatcher(workers(2))
        .start(async |mut stream: TcpStream| {
            stream.write_all("x").await.0.unwrap();
            pending::<()>().await;
        });
    let server = server.unwrap();
    let address = server.local_addr();
    let mut client = net::TcpStream::connect(address).unwrap();
    client.read_exact(&mut [0]).unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    let late = net::TcpStream::connect(address);
    assert_eq!(late.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn listener_that_fails_for_good_occupies_no_core() {
    let parks = Arc::new(AtomicUsize::new(0));
    let count = parks.clone();
    let runtime = Runtime::builder().on_park(move || {
        count.fetch_add(1, SeqCst);
    });
    // Bound, but not listening: each accept fails at once.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address: net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&address.into()).unwrap();
    let listener = TcpListener::from_std(socket.into()).unwrap();
    let server = Server::from_listener(listener).dispatcher(workers(1).runtime(runtime));
    let server = server.start(greet_and_echo).unwrap();
    let began = Instant::now();
    run(sleep(Duration::from_millis(50)));
    // One wait for each pause of 10 ms, and few more; without a pause there are tens of thousands.
    let pauses = began.elapsed().as_millis() as usize / 10;
    let parks = parks.load(SeqCst);
    assert!(parks <= 4 * pauses + 20, "{parks} waits in {pauses} pauses");
    drop(server);
}

#[test]
fn serve_on_cores_runs_until_dropped() {
    run(async {
        let probe = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        let serve = cores::serve_on_cores(address, greet_and_echo);
        let client = async {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.read_exact([0]).await.0.unwrap();
        };
        // The first poll binds the address, so the client finds the server.
        let mut serve = pin!(serve);
        assert!(timeout(Duration::ZERO, &mut serve).await.is_err());
        client.await;
    });
}

#[cfg(unix)]
#[test]
fn unix_connections_are_balanced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let server = Server::bind_unix(&path).unwrap();
    let server =
        server
            .dispatcher(workers(4))
            .start(async |mut stream: compio::net::UnixStream| {
                stream.write_all("x").await.0.unwrap();
                let _ = stream.read([0]).await;
            });
    let server = server.unwrap();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
            client.read_exact(&mut [0]).unwrap();
            client
        })
        .collect();
    let connections = server.connections();
    let (min, max) = (
        connections.iter().min().unwrap(),
        connections.iter().max().unwrap(),
    );
    assert!(max - min <= 3, "{connections:?}");
    drop(clients);
}
