//! Decisions about requests that may have been executed.

use std::{
    ffi::CString,
    io,
    net::UdpSocket,
    os::fd::{FromRawFd, OwnedFd},
    path::Path,
};

use super::{may_be_repeated, resubmit};
use crate::{
    SharedFd, op,
    op::Position,
    operation::Operation,
    request::{NativePath, Request, Splice},
    sys::Resubmit,
};

fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

fn resubmit_of<O: Operation>(mut operation: O) -> Resubmit {
    resubmit(&operation.request())
}

/// Whether a thread repeats the operation.
fn is_repeated<O: Operation>(mut operation: O) -> bool {
    let request = operation.request();
    assert!(matches!(resubmit(&request), Resubmit::ThreadPool(_)));
    // SAFETY: the operation outlives the call.
    unsafe { may_be_repeated(&request) }
}

fn path(path: &str) -> NativePath {
    CString::new(path).unwrap()
}

#[test]
fn wait_for_a_peer_is_not_repeated_by_a_thread() {
    let (source, sink) = io::pipe().unwrap();
    let (source, sink) = (share(source), share(sink));
    let file = share(tempfile::tempfile().unwrap());
    let read = op::ReadAt::at_cursor(source.clone(), Vec::with_capacity(8));
    assert!(matches!(resubmit_of(read), Resubmit::Kernel));
    let splice = || {
        op::Splice::new(
            source.clone(),
            Position::Cursor,
            file.clone(),
            Position::At(0),
            1 << 20,
        )
    };
    assert!(matches!(resubmit_of(splice()), Resubmit::Kernel));

    let sync = op::Sync::all(file.clone());
    assert!(matches!(
        resubmit_of(sync),
        Resubmit::ThreadPool(Request::FileOp(_))
    ));
    let read = op::ReadAt::new(file.clone(), 0, Vec::with_capacity(8));
    assert!(matches!(
        resubmit_of(read),
        Resubmit::ThreadPool(Request::Transfer(_))
    ));
    let mut write = op::WriteAt::at_cursor(sink, b"!");
    // SAFETY: the operation outlives the call.
    assert_eq!(unsafe { crate::sys::unix::call(&write.request()) }, Ok(1));
    // The pipe may have no room for all bytes.
    let Resubmit::ThreadPool(Request::Splice(Splice { len, .. })) = resubmit_of(splice()) else {
        panic!("the splice must go to the pool");
    };
    assert_eq!(len as usize, libc::PIPE_BUF);
}

#[test]
fn descriptor_that_may_answer_cancelled_itself_is_believed() {
    // SAFETY: numbers are passed; the new descriptors have no other owner.
    let [timer, packet] = unsafe {
        let timer = libc::timerfd_create(libc::CLOCK_REALTIME, libc::TFD_CLOEXEC);
        let packet = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(timer >= 0 && packet >= 0);
        [timer, packet].map(|fd| OwnedFd::from_raw_fd(fd))
    };
    let read = op::ReadAt::at_cursor(timer, [0; 8]);
    assert!(matches!(resubmit_of(read), Resubmit::Not));
    let receive = op::Recv::new(share(packet), [0; 8], 0);
    assert!(matches!(resubmit_of(receive), Resubmit::Not));
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let receive = op::Recv::new(share(datagrams), [0; 8], 0);
    assert!(matches!(resubmit_of(receive), Resubmit::Kernel));
}

#[test]
fn file_of_a_local_file_system_is_repeated() {
    let file = share(tempfile::tempfile().unwrap());
    assert!(is_repeated(op::Sync::all(file.clone())));
    assert!(is_repeated(op::WriteAt::new(file.clone(), 0, "x")));
    assert!(is_repeated(op::WriteAt::at_cursor(file, "x")));
    let exclusive = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let here = std::env::temp_dir().join("new");
    let here = path(here.to_str().unwrap());
    assert!(is_repeated(op::Open::new(here.clone(), exclusive, 0o600)));
    assert!(is_repeated(op::MakeDir::new(here, 0o700)));
}

#[test]
fn change_of_an_unknown_file_system_is_not_repeated() {
    let exclusive = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let create = op::Open::new(path("/proc/new"), exclusive, 0o600);
    assert!(!is_repeated(create));
    assert!(is_repeated(op::Open::new(path("/proc/stat"), 0, 0)));
    assert!(!is_repeated(op::MakeDir::new(path("/proc/new"), 0o700)));
    assert!(!is_repeated(op::Remove::file(path("/proc/self/new"))));
    assert!(!is_repeated(op::Rename::new(
        path("/tmp/a"),
        path("/proc/a")
    )));
    assert!(!is_repeated(op::Link::symbolic(
        path("/tmp"),
        path("/proc/a")
    )));
    let file = share(std::fs::File::open("/proc/self/comm").unwrap());
    assert!(!is_repeated(op::Sync::all(file.clone())));
    assert!(!is_repeated(op::WriteAt::at_cursor(file.clone(), "x")));
    // The same bytes at the same position.
    assert!(is_repeated(op::WriteAt::new(file.clone(), 0, "x")));
    assert!(is_repeated(op::StatFd::new(file)));
}

#[test]
fn open_of_device_with_unknown_driver_is_not_repeated() {
    let open = |name: &str| op::Open::new(path(name), libc::O_RDONLY, 0);
    assert!(is_repeated(open("/dev/null")));
    let foreign = ["/dev/fuse", "/dev/autofs", "/dev/loop-control"];
    match foreign.iter().find(|name| Path::new(name).exists()) {
        Some(name) => assert!(!is_repeated(open(name)), "{name}"),
        None => eprintln!("not tested here: no such device"),
    }
}
