//! Sends to a peer that has gone, in a program where SIGPIPE has its default action: the end of the program.
//!
//! std ignores the signal before `main`. A library in a program of another language, and a child of
//! `Command` with its own `main`, may run without that.

use std::{
    env, io,
    os::unix::{net, process::ExitStatusExt},
    process,
};

use compio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::{SocketAncillary, TcpStream, UnixDatagram, UnixStream},
};
use compio_testkit::process::this_test;

use crate::support::run;

/// Set in the environment of the child.
const CHILD: &str = "COMPIO_TEST_SIGPIPE";

#[test]
fn send_to_closed_peer_raises_no_signal() {
    if env::var_os(CHILD).is_some() {
        // SAFETY: no other thread changes the action of this signal.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert_eq!(before, libc::SIG_IGN);
        run(sends());
        process::exit(0);
    }
    let child = this_test("unix::sigpipe::send_to_closed_peer_raises_no_signal")
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert_eq!(child.status.signal(), None, "{child:?}");
    assert!(child.status.success(), "{child:?}");
}

/// A stream of std whose peer has gone.
fn unix() -> net::UnixStream {
    net::UnixStream::pair().unwrap().0
}

fn stream() -> UnixStream {
    UnixStream::from_std(unix()).unwrap()
}

fn datagram() -> UnixDatagram {
    UnixDatagram::from_std(net::UnixDatagram::pair().unwrap().0).unwrap()
}

#[track_caller]
fn check<T>(way: &str, result: io::Result<T>) {
    let Err(error) = result else {
        panic!("{way}: the peer has gone");
    };
    let kind = error.kind();
    let expected = [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::NotConnected,
    ];
    assert!(expected.contains(&kind), "{way}: {error}");
}

async fn sends() {
    check("write", stream().write("x").await.0);
    let two = [*b"x", *b"y"];
    check("write_vectored", stream().write_vectored(two).await.0);
    check("write_all", stream().write_all(vec![0; 1 << 20]).await.0);
    check("send_zero_copy", stream().send_zero_copy("x").await.0);
    let ancillary = SocketAncillary::with_capacity(0);
    check("send_msg", stream().send_msg(["x"], ancillary).await.0);
    let (_reader, mut writer) = stream().into_split();
    check("half", writer.write("x").await.0);
    check("datagram", datagram().send("x").await.0);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    let mut client = TcpStream::from_std(client).unwrap();
    let ended = loop {
        // The first send makes the peer reset the connection.
        if let (Err(error), _) = client.write("x").await {
            break Err::<(), _>(error);
        }
    };
    check("tcp", ended);
    check("tcp after shutdown", client.write("x").await.0);
}
