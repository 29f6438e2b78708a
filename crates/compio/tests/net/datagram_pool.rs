//! Datagrams into buffers of a pool, and datagrams without a copy.

#[cfg(unix)]
use std::io::ErrorKind;

use compio::{
    net::{BufferPool, UdpSocket},
    runtime::is_cancelled,
    task::{spawn, yield_now},
    time::{cancel_after, timeout},
};

use crate::support::{LONG, begin, run};

async fn connected() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    one.connect(other.local_addr().unwrap()).await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    (one, other)
}

#[test]
fn datagrams_come_whole_and_empty_ones_are_no_eof() {
    run(async {
        let (client, server) = connected().await;
        let pool = BufferPool::new(4, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        for round in 0..20 {
            if round % 2 == 0 {
                // The request waits already when the datagrams arrive.
                begin(stream.next()).await;
            }
            for datagram in ["first", "", "", "fourth", ""] {
                client.send(datagram).await.0.unwrap();
            }
            for datagram in ["first", "", "", "fourth", ""] {
                let received = stream.next().await.expect("no EOF").unwrap();
                assert_eq!(*received, *datagram.as_bytes());
            }
        }
        assert_eq!(pool.handed_out(), 0);
    });
}

#[test]
fn more_datagrams_than_buffers_come_in_order() {
    run(async {
        const COUNT: u32 = 200;
        let (client, server) = connected().await;
        let pool = BufferPool::new(2, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        for number in 0..COUNT {
            client.send(number.to_be_bytes()).await.0.unwrap();
        }
        for number in 0..COUNT {
            let received = stream.next().await.expect("no EOF").unwrap();
            assert_eq!(*received, number.to_be_bytes());
            if number % 7 == 0 {
                yield_now().await;
            }
        }
    });
}

#[test]
fn long_datagram_is_cut_to_its_buffer() {
    run(async {
        let (client, server) = connected().await;
        let pool = BufferPool::new(4, 8).unwrap();
        let mut stream = server.recv_stream(&pool);
        client.send("0123456789").await.0.unwrap();
        client.send("next").await.0.unwrap();
        assert_eq!(*stream.next().await.unwrap().unwrap(), *b"01234567");
        assert_eq!(*stream.next().await.unwrap().unwrap(), *b"next");
    });
}

#[test]
fn cancelled_stream_returns_received_datagrams_and_ends() {
    run(async {
        let (client, server) = connected().await;
        let pool = BufferPool::new(4, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        begin(stream.next()).await;
        client.send("hello").await.0.unwrap();
        assert_eq!(*stream.next().await.unwrap().unwrap(), *b"hello");
        stream.cancel();
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none());
        client.send("later").await.0.unwrap();
        assert_eq!(server.recv([0; 5]).await.1, *b"later");
    });
}

#[test]
fn dropped_stream_leaves_datagrams_to_the_next_receive() {
    run(async {
        let (client, server) = connected().await;
        let pool = BufferPool::new(8, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        begin(stream.next()).await;
        for datagram in ["one", "two", "three"] {
            client.send(datagram).await.0.unwrap();
        }
        drop(stream);
        let mut again = server.recv_stream(&pool);
        for datagram in ["one", "two", "three"] {
            let received = again.next().await.expect("no EOF").unwrap();
            assert_eq!(*received, *datagram.as_bytes());
        }
    });
}

#[test]
fn empty_datagram_of_a_dropped_receive_is_an_item() {
    run(async {
        let (client, server) = connected().await;
        let pool = BufferPool::new(8, 64).unwrap();
        begin(server.recv(vec![0; 8])).await;
        client.send("").await.0.unwrap();
        client.send("next").await.0.unwrap();
        let mut stream = server.recv_stream(&pool);
        assert_eq!(*stream.next().await.unwrap().unwrap(), *b"");
        assert_eq!(*stream.next().await.unwrap().unwrap(), *b"next");
    });
}

// Wine does not report it.
#[cfg(unix)]
#[test]
fn error_of_the_socket_does_not_end_the_stream() {
    run(async {
        let (client, server) = connected().await;
        let (pool, address) = (
            BufferPool::new(4, 64).unwrap(),
            client.local_addr().unwrap(),
        );
        let mut stream = server.recv_stream(&pool);
        begin(stream.next()).await;
        drop(client);
        // The port may be open until the kernel has completed everything of the socket.
        let error = loop {
            let _ = server.send("to nobody").await.0;
            match timeout(std::time::Duration::from_millis(10), stream.next()).await {
                Ok(item) => match item.expect("no EOF") {
                    Ok(_) => continue,
                    Err(error) => break error,
                },
                Err(_) => continue,
            }
        };
        let kinds = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        let client = UdpSocket::bind(address).await.unwrap();
        client.connect(server.local_addr().unwrap()).await.unwrap();
        client.send("again").await.0.unwrap();
        loop {
            match stream.next().await.expect("no EOF") {
                Ok(datagram) if *datagram == *b"again" => break,
                Ok(_) | Err(_) => {}
            }
        }
    });
}

#[test]
fn token_cancels_a_wait_for_a_datagram() {
    run(async {
        let (client, server) = connected().await;
        let pool = BufferPool::new(4, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        let limit = std::time::Duration::from_millis(5);
        let item = cancel_after(limit, stream.next()).await;
        assert!(is_cancelled(&item.unwrap().unwrap_err()));
        client.send("hello").await.0.unwrap();
        assert_eq!(*stream.next().await.unwrap().unwrap(), *b"hello");
    });
}

#[test]
fn zero_copy_datagrams_arrive_whole_and_their_buffers_come_back() {
    run(async {
        let (client, server) = connected().await;
        let reader = spawn(async move {
            for len in [0, 1, 9000, 60_000] {
                let (received, buffer) = server.recv(Vec::with_capacity(65_536)).await;
                assert_eq!(received.unwrap(), len);
                assert_eq!(buffer, vec![7; len]);
            }
        });
        for len in [0, 1, 9000, 60_000] {
            let (sent, loan) = client.send_zero_copy(vec![7; len]).await;
            assert_eq!(sent.unwrap(), len);
            assert_eq!(loan.await.len(), len);
        }
        timeout(LONG, reader).await.unwrap().unwrap();
        // Longer than any datagram: nothing is sent.
        let (sent, loan) = client.send_zero_copy(vec![7; 70_000]).await;
        sent.unwrap_err();
        assert_eq!(loan.await.len(), 70_000);
    });
}

#[cfg(unix)]
#[test]
fn unix_datagrams_come_whole_and_empty_ones_are_no_eof() {
    use compio::net::UnixDatagram;

    run(async {
        let (client, server) = UnixDatagram::pair().unwrap();
        let pool = BufferPool::new(4, 64).unwrap();
        let mut stream = server.recv_stream(&pool);
        for datagram in ["first", "", "third"] {
            client.send(datagram).await.0.unwrap();
        }
        for datagram in ["first", "", "third"] {
            let received = stream.next().await.expect("no EOF").unwrap();
            assert_eq!(*received, *datagram.as_bytes());
        }
        begin(stream.next()).await;
    });
}
