//! Descriptors as Linux lists them.

use std::{fs, process::Command};

use compio::{
    fs::File,
    io::AsyncRead,
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    runtime::Runtime,
    task::{block_on, yield_now},
};

use crate::check;

/// The ring and the eventfd, or epoll and the eventfd.
pub(super) const OF_A_DRIVER: usize = 2;

pub(super) fn open_now() -> usize {
    fs::read_dir("/proc/self/fd").expect("the list").count()
}

/// Whether no descriptor was leaked, and no foreign one was closed.
pub(super) fn is_count(now: usize, expected: usize) -> bool {
    now == expected
}

/// The descriptors that a child has, as `ls` lists them.
fn inherited() -> String {
    let mut command = Command::new("ls");
    let child = command.args(["-l", "/proc/self/fd"]).output().unwrap();
    String::from_utf8(child.stdout).unwrap()
}

fn count(list: &str) -> usize {
    list.lines().filter(|line| line.contains(" -> ")).count()
}

#[test]
fn s03_children_inherit_nothing() {
    check(|| {
        block_on(async {
            let without = count(&inherited());
            let dir = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let accepted = listener.accept().await.unwrap();
            let mut incoming = listener.incoming();
            let other = TcpStream::connect(address).await.unwrap();
            let streamed = incoming.next().await.unwrap().unwrap();
            let path = dir.path().join("socket");
            let unix = UnixListener::bind(&path).unwrap();
            let unix_client = UnixStream::connect(&path).await.unwrap();
            let unix_accepted = unix.accept().await.unwrap();
            let kept = (
                File::open("/dev/null").unwrap(),
                File::open_async("/dev/null").await.unwrap(),
                UdpSocket::bind("127.0.0.1:0").await.unwrap(),
                UnixStream::pair().unwrap(),
                compio::pipe::pipe().unwrap(),
            );
            let list = inherited();
            for inherited in ["socket:", "io_uring", "eventfd", "eventpoll"] {
                assert!(!list.contains(inherited), "{list}");
            }
            // The child has its standard streams, and reads the list.
            assert_eq!(count(&list), without);
            drop((client, accepted, other, streamed, incoming));
            drop((unix, unix_client, unix_accepted, kept));
        });
    });
}

#[test]
fn s09_a_runtime_that_ends_with_reads_of_a_pipe_in_flight() {
    check(|| {
        for _ in 0..10 {
            let runtime = Runtime::new().unwrap();
            let (mut reader, writer) = compio::pipe::pipe().unwrap();
            drop(runtime.spawn(async move { reader.read([0; 8]).await.0 }));
            runtime.block_on(yield_now());
            drop(runtime);
            drop(writer);
        }
    });
}
