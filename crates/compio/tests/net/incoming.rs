//! Streams of incoming connections.

use std::time::Duration;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::is_cancelled,
    task::spawn,
    time::{cancel_after, timeout},
};

use crate::support::{begin, listener, run};

#[test]
fn connections_come_in_their_order() {
    run(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        for _ in 0..3 {
            let mut clients = Vec::new();
            for _ in 0..5 {
                clients.push(TcpStream::connect(address).await.unwrap());
            }
            for client in &mut clients {
                let mut server = incoming.next().await.unwrap().unwrap();
                assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
                server.write_all("hello").await.0.unwrap();
                client.read_exact([0; 5]).await.0.unwrap();
            }
        }
    });
}

#[test]
fn a_server_in_a_task_takes_connections_until_it_is_dropped() {
    run(async {
        let (listener, address) = listener().await;
        let server = spawn(async move {
            let mut incoming = listener.incoming();
            while let Some(stream) = incoming.next().await {
                let mut stream = stream.unwrap();
                spawn(async move { stream.write_all("hello").await.0 });
            }
        });
        for _ in 0..10 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.read_exact([0; 5]).await.0.unwrap();
        }
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        // The port is free again.
        compio::net::TcpListener::bind(address).await.unwrap();
    });
}

#[test]
fn a_dropped_next_loses_nothing() {
    run(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        for _ in 0..20 {
            begin(incoming.next()).await;
            let client = TcpStream::connect(address).await.unwrap();
            let server = incoming.next().await.unwrap().unwrap();
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
        }
    });
}

#[test]
fn connections_that_were_not_taken_are_closed() {
    run(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        begin(incoming.next()).await;
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        drop(incoming.next().await.unwrap().unwrap());
        drop((incoming, listener));
        for mut client in clients {
            // EOF or a reset.
            assert!(!matches!(client.read([0; 1]).await.0, Ok(1..)));
        }
    });
}

#[test]
fn a_listener_accepts_again_after_its_stream_is_dropped() {
    run(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        begin(incoming.next()).await;
        drop(incoming);
        // A connection that arrives before the cancel completes may be closed.
        loop {
            let client = TcpStream::connect(address).await.unwrap();
            if let Ok(accepted) = timeout(Duration::from_millis(500), listener.accept()).await {
                assert_eq!(accepted.unwrap().1, client.local_addr().unwrap());
                break;
            }
        }
    });
}

#[cfg(feature = "stream")]
#[test]
fn connections_are_a_stream() {
    use std::{future::poll_fn, pin::pin};

    use futures_core::Stream;

    run(async {
        let (listener, address) = listener().await;
        let mut incoming = pin!(listener.incoming());
        let client = TcpStream::connect(address).await.unwrap();
        let server = poll_fn(|cx| incoming.as_mut().poll_next(cx)).await;
        let server = server.unwrap().unwrap();
        assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
    });
}

/// It ends with the error of the cancel, not with the end of the stream.
#[test]
fn s51_next_in_cancel_after_ends_with_error_of_cancel() {
    run(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        for patience in [Duration::ZERO, Duration::from_millis(5)] {
            let next = cancel_after(patience, incoming.next()).await;
            let error = next.expect("a stream that goes on").unwrap_err();
            assert!(is_cancelled(&error), "{error}");
        }
        let client = TcpStream::connect(address).await.unwrap();
        let server = incoming.next().await.unwrap().unwrap();
        assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
    });
}
