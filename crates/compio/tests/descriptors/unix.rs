//! Descriptors as Linux lists them.

use std::{fs, process::Command};

use compio::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    task::block_on,
};

use crate::check;

/// The ring and the event, or epoll and the event.
pub(super) const OF_A_DRIVER: usize = 2;

pub(super) fn open_now() -> usize {
    fs::read_dir("/proc/self/fd").expect("the list").count()
}

#[test]
fn children_inherit_nothing() {
    check(|| {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let accepted = listener.accept().await.unwrap();
            let unix = UnixListener::bind(dir.path().join("socket")).unwrap();
            let kept = (
                File::open("/dev/null").unwrap(),
                File::open_async("/dev/null").await.unwrap(),
                UdpSocket::bind("127.0.0.1:0").await.unwrap(),
                UnixStream::pair().unwrap(),
            );
            let child = Command::new("ls")
                .args(["-l", "/proc/self/fd"])
                .output()
                .unwrap();
            let list = String::from_utf8(child.stdout).unwrap();
            for inherited in ["socket:", "io_uring", "eventfd"] {
                assert!(!list.contains(inherited), "{list}");
            }
            drop((client, accepted, unix, kept));
        });
    });
}
