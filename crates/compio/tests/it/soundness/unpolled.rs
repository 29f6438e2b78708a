//! Futures that are never polled do nothing (scenario 18). The exceptions are documented: tasks, blocking
//! work, and child processes.

use std::{io::ErrorKind, time::Duration};

use compio::{
    fs::{self, OpenOptions},
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{sleep, timeout},
};

use crate::support::{pipe, run, tcp_pair};

/// Keeps the future for a while, and drops it.
async fn unpolled<T>(made: T) {
    sleep(Duration::from_millis(1)).await;
    drop(made);
}

#[test]
fn s18_unpolled_futures_make_remove_and_change_no_file() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        std::fs::write(&old, "old").unwrap();
        let mut options = OpenOptions::new();
        options.write(true).create(true);
        unpolled(options.open_async(&new)).await;
        unpolled(fs::write(&new, "new")).await;
        unpolled(fs::create_dir(&new)).await;
        unpolled(fs::create_dir_all(&new)).await;
        unpolled(fs::copy(&old, &new)).await;
        unpolled(fs::rename(&old, &new)).await;
        unpolled(fs::hard_link(&old, &new)).await;
        assert!(!new.exists());
        unpolled(fs::remove_file(&old)).await;
        unpolled(fs::write(&old, "new")).await;
        let file = OpenOptions::new().write(true).open(&old).unwrap();
        unpolled(file.write_at("new", 0)).await;
        unpolled(file.set_len(1)).await;
        assert_eq!(std::fs::read(&old).unwrap(), b"old");
    });
}

#[test]
fn s18_unpolled_futures_receive_and_send_no_byte() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        server.write_all("there").await.0.unwrap();
        unpolled(client.read(vec![0; 8])).await;
        unpolled(client.peek(vec![0; 8])).await;
        unpolled(client.write("x")).await;
        unpolled(client.write_all(vec![7; 100_000])).await;
        unpolled(client.shutdown()).await;
        unpolled(timeout(Duration::ZERO, client.read(vec![0; 8]))).await;
        assert_eq!(client.read(Vec::with_capacity(8)).await.1, b"there");
        drop(client);
        assert_eq!(server.read(vec![0; 8]).await.0.unwrap(), 0);

        let (one, other) = (
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        );
        let address = other.local_addr().unwrap();
        unpolled(one.send_to("never", address)).await;
        one.send_to("first", address).await.0.unwrap();
        assert_eq!(other.recv_from(Vec::with_capacity(8)).await.1, b"first");
    });
}

#[test]
fn s18_unpolled_futures_connect_and_accept_nothing() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        unpolled(TcpStream::connect(address)).await;
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let listener = TcpListener::from_std(listener).unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        unpolled(listener.accept()).await;
        unpolled(listener.incoming()).await;
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

/// The file is dropped with the future.
#[test]
fn s18_an_unpolled_close_still_closes() {
    run(async {
        let (reader, writer) = pipe();
        drop(writer.close());
        let (read, _) = reader.read_at(Vec::with_capacity(8), 0).await;
        assert_eq!(read.unwrap(), 0);
    });
}
