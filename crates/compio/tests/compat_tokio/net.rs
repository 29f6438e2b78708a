//! Sockets of tokio on compio's thread and on the reactor's.

use std::io;

use compio::{
    compat::tokio::{Compat, run as on_tokio, spawn as spawn_on_tokio},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::run;

/// Echoes connections by compio.
async fn echo(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        task::spawn(async move {
            loop {
                let (read, byte) = stream.read_exact([0; 1]).await;
                if read.is_err() {
                    return;
                }
                stream.write_all(byte).await.0.unwrap();
            }
        });
    }
}

async fn exchange(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
    stream.write_u8(byte).await?;
    stream.read_u8().await
}

#[test]
fn sockets_of_tokio_talk_to_compio_of_the_same_thread() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        task::spawn(echo(listener));
        let on_reactor = on_tokio(async move {
            let mut stream = TcpStream::connect(address).await?;
            for byte in 0..=u8::MAX {
                assert_eq!(exchange(&mut stream, byte).await?, byte);
            }
            io::Result::Ok(stream)
        });
        // Its reactor goes with it.
        let mut stream = on_reactor.await.unwrap();
        assert_eq!(exchange(&mut stream, 7).await.unwrap(), 7);
        let here = Compat::new(async {
            let mut stream = TcpStream::connect(address).await?;
            for byte in 0..=u8::MAX {
                assert_eq!(exchange(&mut stream, byte).await?, byte);
            }
            io::Result::Ok(())
        });
        here.await.unwrap();
    });
}

#[test]
fn cancelled_request_closes_its_socket() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut request = on_tokio(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_u8(1).await?;
            stream.read_u8().await
        });
        compio_testkit::future::begin(&mut request).await;
        let (mut peer, _) = listener.accept().await.unwrap();
        assert_eq!(peer.read_exact([0; 1]).await.1, [1]);
        drop(request);
        // EOF.
        let (rest, _) = peer.read_to_end(Vec::new()).await;
        assert_eq!(rest.unwrap(), 0);
    });
}

/// The sockets work after the runtime of their first user has ended.
#[test]
fn socket_survives_runtime_of_compio() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
    });
    let connect =
        move || run(async { Compat::new(async move { TcpStream::connect(address).await }).await });
    let mut stream = crate::support::on_thread(connect).unwrap();
    run(async {
        assert_eq!(exchange(&mut stream, 1).await.unwrap(), 1);
        let exchanged = spawn_on_tokio(async move { exchange(&mut stream, 2).await });
        assert_eq!(exchanged.await.unwrap().unwrap(), 2);
    });
    server.join().unwrap();
}
