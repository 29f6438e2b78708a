//! Second descriptors of sockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Runtime,
    time::sleep,
};

use crate::support::{begin, listener, run, tcp_pair};

#[test]
fn both_descriptors_read_and_write_one_connection() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        client.write_all("before").await.0.unwrap();
        let mut clone = client.try_clone().unwrap();
        clone.write_all(" after").await.0.unwrap();
        assert_eq!(server.read_exact([0; 12]).await.1, *b"before after");
        server.write_all("ab").await.0.unwrap();
        assert_eq!(client.read_exact([0; 1]).await.1, *b"a");
        assert_eq!(clone.read_exact([0; 1]).await.1, *b"b");
        // The connection outlives one of them.
        client.close().await.unwrap();
        clone.write_all("still").await.0.unwrap();
        assert_eq!(server.read_exact([0; 5]).await.1, *b"still");
        drop(clone);
        assert!(server.read_to_end(Vec::new()).await.1.is_empty());
    });
}

#[test]
fn shutdown_and_options_concern_both() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let mut clone = client.try_clone().unwrap();
        client.set_nodelay(true).unwrap();
        assert!(clone.nodelay().unwrap());
        client.shutdown().await.unwrap();
        assert!(server.read_to_end(Vec::new()).await.1.is_empty());
        clone.write_all("refused").await.0.unwrap_err();
    });
}

#[test]
fn clone_is_used_by_another_thread_and_runtime() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        // This runtime uses the socket as well.
        begin(client.peek([0; 1])).await;
        let clone = client.try_clone().unwrap();
        let clone = clone.into_std().expect("the only handle");
        let sender = thread::spawn(move || {
            Runtime::new().unwrap().block_on(async {
                let mut clone = TcpStream::from_std(clone).unwrap();
                clone.write_all("hello").await.0.unwrap();
                assert_eq!(clone.read_exact([0; 5]).await.1, *b"world");
            });
        });
        assert_eq!(server.read_exact([0; 5]).await.1, *b"hello");
        server.write_all("world").await.0.unwrap();
        // The other thread takes the bytes before this one reads.
        while !sender.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        sender.join().unwrap();
    });
}

#[test]
fn kept_data_stays_with_its_descriptor() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut receive = Box::pin(AsyncRead::read(&mut server, vec![0; 8]));
        let begun = receive.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(begun.is_pending());
        client.write_all("kept").await.0.unwrap();
        while !flag.0.load(Ordering::Acquire) {
            sleep(Duration::from_millis(1)).await;
        }
        drop(receive);
        assert!(server.settle().await);
        let clone = server.try_clone().unwrap();
        clone.into_std().expect("it keeps no data");
        assert_eq!(server.read_exact([0; 4]).await.1, *b"kept");
    });
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn each_connection_comes_out_of_one_listener() {
    run(async {
        let (one, address) = listener().await;
        let other: TcpListener = one.try_clone().unwrap();
        let first = TcpStream::connect(address).await.unwrap();
        let (accepted, peer) = other.accept().await.unwrap();
        assert_eq!(peer, first.local_addr().unwrap());
        drop(one);
        let second = TcpStream::connect(address).await.unwrap();
        let (_, peer) = other.accept().await.unwrap();
        assert_eq!(peer, second.local_addr().unwrap());
        drop(accepted);
    });
}

#[test]
fn each_datagram_comes_out_of_one_socket() {
    run(async {
        let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = one.try_clone().unwrap();
        let address = other.local_addr().unwrap();
        assert_eq!(one.local_addr().unwrap(), address);
        for datagram in ["a", "b"] {
            other.send_to(datagram, address).await.0.unwrap();
        }
        assert_eq!(one.recv([0; 1]).await.1, *b"a");
        assert_eq!(other.recv([0; 1]).await.1, *b"b");
    });
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_cloned_too() {
    use compio::net::{UnixDatagram, UnixListener, UnixStream};

    run(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let mut clone = other.try_clone().unwrap();
        one.write_all("x").await.0.unwrap();
        assert_eq!(clone.read_exact([0; 1]).await.1, *b"x");

        let (one, other) = UnixDatagram::pair().unwrap();
        let clone = other.try_clone().unwrap();
        one.send("y").await.0.unwrap();
        assert_eq!(clone.recv([0; 1]).await.1, *b"y");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap().try_clone().unwrap();
        let _client = UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
    });
}
