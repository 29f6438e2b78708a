//! Operations by plain calls: the results are the same as with any backend.

use std::{
    ffi::CString,
    fs, io,
    net::{TcpListener, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use compio_io::buf::BufResult;

use super::{call, call_in_thread};
use crate::{
    SharedFd, SockAddr, op,
    op::{Position, Readiness},
    operation::Operation,
    request::{NOT_READY, Request},
};

/// Whether this build has splices: only Linux has them.
const HAS_SPLICES: bool = cfg!(all(target_os = "linux", not(compio_portable)));

/// Executes the operation at once.
fn done<O: Operation>(operation: O) -> O::Output {
    let mut operation = Box::new(operation);
    let request = operation.request();
    // SAFETY: the operation stays in its box until the call has returned.
    let answer = unsafe { call(&request) };
    let answer = answer.map(|value| value as usize);
    // SAFETY: this is the result of the call.
    unsafe { operation.finish(answer.map_err(io::Error::from_raw_os_error)) }
}

fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

fn pipe() -> (SharedFd, SharedFd) {
    let (reader, writer) = io::pipe().unwrap();
    (share(reader), share(writer))
}

#[track_caller]
fn check<B: PartialEq + std::fmt::Debug>(result: BufResult<usize, B>, len: usize, buffer: B) {
    assert_eq!((result.0.unwrap(), result.1), (len, buffer));
}

#[track_caller]
fn check_error<T: std::fmt::Debug>(result: io::Result<T>, code: i32) {
    assert_eq!(result.unwrap_err().raw_os_error(), Some(code));
}

fn room(len: usize) -> Vec<u8> {
    Vec::with_capacity(len)
}

#[test]
fn files() {
    let fd = share(tempfile::tempfile().unwrap());
    check(done(op::WriteAt::new(fd.clone(), 2, "cd")), 2, "cd");
    check(done(op::WriteAt::at_cursor(fd.clone(), "ab")), 2, "ab");
    let parts = ["e", "f"];
    check(
        done(op::WriteVectoredAt::new(fd.clone(), 4, parts)),
        2,
        parts,
    );
    check(
        done(op::ReadAt::new(fd.clone(), 1, room(3))),
        3,
        b"bcd".to_vec(),
    );
    check(
        done(op::ReadAt::at_cursor(fd.clone(), room(9))),
        4,
        b"cdef".to_vec(),
    );
    check(
        done(op::ReadAt::at_cursor(fd.clone(), room(9))),
        0,
        Vec::new(),
    );
    let read = done(op::ReadVectoredAt::new(fd.clone(), 0, [room(1), room(9)]));
    check(read, 6, [b"a".to_vec(), b"bcdef".to_vec()]);
    check_error(
        done(op::ReadAt::new(fd.clone(), u64::MAX, room(3))).0,
        libc::EINVAL,
    );
    done(op::Sync::all(fd.clone())).unwrap();
    done(op::Sync::data(fd.clone())).unwrap();
    assert_eq!(done(op::StatFd::new(fd)).unwrap().size(), 6);
}

#[test]
fn names() {
    let name = CString::new("/dev/null").unwrap();
    let fd = done(op::Open::new(name.clone(), libc::O_RDONLY, 0)).unwrap();
    done(op::Close::new(fd)).unwrap();
    let mode = done(op::Stat::new(name, true)).unwrap().mode();
    assert_eq!(mode as libc::mode_t & libc::S_IFMT, libc::S_IFCHR);
    let absent = CString::new("/dev/null/absent").unwrap();
    check_error(
        done(op::Open::new(absent.clone(), libc::O_RDONLY, 0)),
        libc::ENOTDIR,
    );
    check_error(done(op::Stat::new(absent, false)), libc::ENOTDIR);
}

#[test]
fn directories() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| {
        let path = dir.path().join(name).into_os_string().into_encoded_bytes();
        CString::new(path).unwrap()
    };
    let names = || {
        let entries = dir.path().read_dir().unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
    };
    done(op::MakeDir::new(path("a"), 0o700)).unwrap();
    done(op::Rename::new(path("a"), path("b"))).unwrap();
    done(op::Link::symbolic(path("b"), path("c"))).unwrap();
    done(op::Link::hard(path("c"), path("d"))).unwrap();
    assert_eq!(names(), ["b", "c", "d"]);
    assert_eq!(
        dir.path().join("d").read_link().unwrap(),
        dir.path().join("b")
    );
    check_error(done(op::Remove::file(path("a"))), libc::ENOENT);
    check_error(done(op::Remove::dir(path("c"))), libc::ENOTDIR);
    done(op::Remove::file(path("c"))).unwrap();
    done(op::Remove::file(path("d"))).unwrap();
    done(op::Remove::dir(path("b"))).unwrap();
    check_error(done(op::MakeDir::new(path("a/b"), 0o700)), libc::ENOENT);
    assert!(names().is_empty());
}

#[test]
fn connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SockAddr::from(listener.local_addr().unwrap());
    let socket = done(op::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)).unwrap();
    let client = SharedFd::from(socket);
    done(op::Connect::new(client.clone(), address)).unwrap();
    let (server, peer) = done(op::Accept::new(share(listener))).unwrap();
    assert!(peer.as_socket().unwrap().ip().is_loopback());
    check(done(op::Send::new(client.clone(), "abc", 0)), 3, "abc");
    let server = SharedFd::from(server);
    check(
        done(op::Recv::new(server.clone(), room(8), 0)),
        3,
        b"abc".to_vec(),
    );
    done(op::Shutdown::new(client, std::net::Shutdown::Write)).unwrap();
    check(done(op::Recv::new(server, room(8), 0)), 0, Vec::new());
}

#[test]
fn datagrams() {
    let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = [&one, &other].map(|socket| socket.local_addr().unwrap());
    let (one, other) = (share(one), share(other));
    let address = SockAddr::from(addresses[1]);
    check(
        done(op::SendTo::new(one.clone(), "abc", address.clone(), 0)),
        3,
        "abc",
    );
    let (received, buffer) = done(op::RecvFrom::new(other.clone(), room(8), 0));
    let (len, sender) = received.unwrap();
    assert_eq!((len, &buffer[..]), (3, &b"abc"[..]));
    assert_eq!(sender.unwrap().as_socket(), Some(addresses[0]));

    let parts = ["ab", "c"];
    let (sent, _) = done(op::SendMsg::new(one, parts, [0; 0], Some(address), 0));
    assert_eq!(sent.unwrap(), 3);
    let (received, (buffers, _)) = done(op::RecvMsg::new(other, [room(1), room(1)], [0; 0], 0));
    let received = received.unwrap();
    assert_eq!(buffers, [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(
        (received.len, received.flags & libc::MSG_TRUNC),
        (2, libc::MSG_TRUNC)
    );
}

#[test]
fn a_send_to_a_closed_peer_is_no_signal() {
    let (one, other) = UnixStream::pair().unwrap();
    drop(other);
    let one = share(one);
    check_error(done(op::Send::new(one.clone(), "x", 0)).0, libc::EPIPE);
    check_error(
        done(op::SendMsg::new(one, ["x"], [0; 0], None, 0)).0,
        libc::EPIPE,
    );
}

#[test]
fn splices() {
    if !HAS_SPLICES {
        return;
    }
    let file = share(tempfile::tempfile().unwrap());
    let (reader, writer) = pipe();
    check(
        done(op::WriteAt::new(file.clone(), 0, "abcdef")),
        6,
        "abcdef",
    );
    let cursor = Position::Cursor;
    let fill = op::Splice::new(file.clone(), Position::At(4), writer, cursor, 9);
    assert_eq!(done(fill).unwrap(), 2);
    let empty = op::Splice::new(reader, cursor, file.clone(), Position::At(0), 9);
    assert_eq!(done(empty).unwrap(), 2);
    check(
        done(op::ReadAt::new(file, 0, room(9))),
        6,
        b"efcdef".to_vec(),
    );
}

#[test]
fn readiness_nothing_and_work() {
    let (reader, writer) = pipe();
    let ready = done(op::PollOnce::new(writer, Readiness::WRITABLE)).unwrap();
    assert!(ready.contains(Readiness::WRITABLE));
    let ready = done(op::PollOnce::new(reader, Readiness::READABLE)).unwrap();
    assert!(ready.contains(Readiness::HANG_UP));
    assert_eq!(done(op::Nop::new()).unwrap(), 0);
    assert_eq!(done(op::Blocking::new(|| 7)).unwrap().unwrap(), 7);
    // SAFETY: the call does not read the entry.
    let raw = unsafe { call(&Request::Raw(std::ptr::null())) };
    assert_eq!(raw, Err(libc::EOPNOTSUPP));
}

#[test]
fn pool_thread_does_not_begin_a_transfer_that_is_not_ready() {
    if !HAS_SPLICES {
        return;
    }
    let (reader, writer) = pipe();
    let ask = |request: Request| {
        // SAFETY: the buffers outlive the call.
        unsafe { call_in_thread(&request) }
    };
    let mut read = op::ReadAt::at_cursor(reader.clone(), room(8));
    assert_eq!(ask(read.request()), Err(NOT_READY));
    let null = share(std::fs::File::create("/dev/null").unwrap());
    let cursor = Position::Cursor;
    let mut splice = op::Splice::new(reader, cursor, null, cursor, 8);
    assert_eq!(ask(splice.request()), Err(NOT_READY));
    check(done(op::WriteAt::at_cursor(writer, "ab")), 2, "ab");
    let mut read = op::ReadAt::at_cursor(share(std::fs::File::open("/dev/zero").unwrap()), room(8));
    assert_eq!(ask(read.request()), Ok(8));
    assert_eq!(ask(splice.request()), Ok(2));
}
