//! Connections accepted for a dropped future (scenarios 1 and 2).

use std::time::Duration;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{spawn, yield_now},
    time::{cancel_after, sleep, timeout},
};

use crate::support::{First, bounded, run, select};

/// Long enough for an operation to begin.
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn s01_accept_and_a_timer_in_a_select_lose_no_connection() {
    run(async {
        const CLIENTS: u8 = 60;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients = spawn(async move {
            for name in 0..CLIENTS {
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all([name]).await.0.unwrap();
                if name % 3 == 0 {
                    sleep(Duration::from_micros(150)).await;
                }
            }
        });
        let mut names = Vec::new();
        let mut patience = 0;
        while names.len() < usize::from(CLIENTS) {
            patience = (patience + 1) % 4;
            let timer = sleep(Duration::from_micros(50 * patience));
            if let First::Left(accepted) = select(listener.accept(), timer).await {
                let (mut server, _) = accepted.unwrap();
                let (read, name) = server.read_exact([0]).await;
                read.unwrap();
                names.extend(name);
            }
        }
        clients.await.unwrap();
        names.sort_unstable();
        assert!(names.into_iter().eq(0..CLIENTS));
    });
}

#[test]
fn s01_an_accept_cancelled_by_a_token_leaves_the_connection_to_the_next_one() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        cancel_after(MOMENT, listener.accept()).await.unwrap_err();
        let _client = TcpStream::connect(address).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn s01_accepts_dropped_by_a_timeout_leave_the_connection_to_the_next_one() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..20 {
            assert!(
                timeout(Duration::from_millis(1), listener.accept())
                    .await
                    .is_err()
            );
        }
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (_server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

/// Connections that were accepted and not taken are closed. The others go to the next accept.
#[test]
fn s02_a_dropped_incoming_leaves_no_client_waiting() {
    run(async {
        for round in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut incoming = listener.incoming();
            let mut clients = Vec::new();
            for number in 0..6 {
                clients.push(TcpStream::connect(address).await.unwrap());
                if number == round % 6 {
                    drop(incoming.next().await.unwrap().unwrap());
                }
            }
            for _ in 0..round % 3 {
                yield_now().await;
            }
            drop(incoming);
            while let Ok(accepted) = timeout(MOMENT, listener.accept()).await {
                drop(accepted.unwrap());
            }
            drop(listener);
            for mut client in clients {
                // EOF, or a reset.
                let (read, _) = bounded(client.read([0; 1])).await;
                assert!(matches!(read, Ok(0) | Err(_)));
            }
        }
    });
}
