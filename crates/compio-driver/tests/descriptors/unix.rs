//! The open descriptors as Linux lists them.

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs,
    future::Future,
    io::Write,
    net::TcpStream,
    os::unix::net::UnixStream,
    pin::Pin,
    process::Command,
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio_driver::{
    Acceptor, AsRawFd, Driver, OwnedFd, SharedFd,
    ancillary::SocketAncillary,
    op::{Accept, Open, Recv, RecvAncillary, SendMsg},
    request::{NativePath, OpenFlags},
};

use super::{LONG, check, drain, listener, poll, run, silent, tcp_socket};

/// The numbers of all open descriptors, including the descriptor of the listing.
pub(super) type Descriptors = BTreeSet<String>;

pub(super) fn open_now() -> Descriptors {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Whether no descriptor has been leaked, and none has been closed twice.
pub(super) fn is_as_before(now: &Descriptors, before: &Descriptors) -> bool {
    now == before
}

/// A path that can always be opened, and its flags.
pub(super) fn null() -> (NativePath, OpenFlags) {
    (CString::new("/dev/null").unwrap(), libc::O_RDONLY)
}

/// A close frees the number for reuse. It must not happen while the kernel may still use the
/// number.
#[test]
fn s11_a_number_is_not_reused_during_an_operation() {
    check(|driver| {
        for is_submitted in [false, true] {
            let (reader, _writer) = silent();
            let number = reader.as_raw_fd();
            let mut read = driver.submit(Recv::new(reader, vec![0; 8], 0));
            assert!(poll(&mut read).is_pending());
            if is_submitted {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            drop(read);
            let others: Vec<_> = (0..8)
                .map(|_| fs::File::open("/dev/null").unwrap())
                .collect();
            assert!(others.iter().all(|other| other.as_raw_fd() != number));
            drain(driver);
            assert_eq!(fs::File::open("/dev/null").unwrap().as_raw_fd(), number);
        }
    });
}

/// The same number is opened again as early as possible, for another socket.
#[test]
fn s11_a_reused_number_belongs_to_the_new_descriptor_alone() {
    check(|driver| {
        for round in 0..20 {
            let (near, mut far) = UnixStream::pair().unwrap();
            let number = near.as_raw_fd();
            let near = SharedFd::from(OwnedFd::from(near));
            let mut old = driver.submit(Recv::new(near, vec![0; 8], 0));
            assert!(poll(&mut old).is_pending());
            if round % 2 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            if round % 4 < 2 {
                far.write_all(b"old").unwrap();
            }
            drop(old);
            drain(driver);
            let (near, mut new_far) = UnixStream::pair().unwrap();
            assert_eq!(near.as_raw_fd(), number);
            let near = SharedFd::from(OwnedFd::from(near));
            let mut new = driver.submit(Recv::new(near, Vec::with_capacity(8), 0));
            assert!(poll(&mut new).is_pending());
            far.write_all(b"old").unwrap_err();
            new_far.write_all(b"new").unwrap();
            assert_eq!(run(driver, new).1, b"new");
        }
    });
}

/// The descriptors that a child inherits.
fn inherited() -> String {
    let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Three accepted connections: from a stream, from an acceptor, and from an accept that was
/// dropped.
fn accepted(driver: &Driver) -> [OwnedFd; 3] {
    let (fd, listener) = listener();
    let address = listener.local_addr().unwrap();
    let _clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
    let acceptor = Acceptor::new();
    let mut given_up = acceptor.accept(driver, &fd);
    drop(Pin::new(&mut given_up).poll(&mut Context::from_waker(Waker::noop())));
    drain(driver);
    drop(given_up);
    let mut next = acceptor.accept(driver, &fd);
    let (kept, _) = await_now(driver, |context| Pin::new(&mut next).poll(context)).unwrap();
    let mut stream = driver.accept_stream(fd.clone());
    let streamed = await_now(driver, |context| stream.poll_next(context)).unwrap();
    drop(stream);
    drain(driver);
    let _client = TcpStream::connect(address).unwrap();
    let (plain, _) = run(driver, driver.submit(Accept::new(fd))).unwrap();
    [kept, streamed, plain]
}

fn await_now<T>(driver: &Driver, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    loop {
        if let Poll::Ready(output) = poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        driver.turn(Some(LONG)).unwrap();
    }
}

/// A descriptor that arrived with a message.
fn passed(driver: &Driver) -> Vec<OwnedFd> {
    let (near, far) = UnixStream::pair().unwrap();
    let [near, far] = [near, far].map(|end| SharedFd::from(OwnedFd::from(end)));
    let mut ancillary = SocketAncillary::new();
    let null = fs::File::open("/dev/null").unwrap();
    ancillary.add_descriptors([OwnedFd::from(null)]).unwrap();
    let send = SendMsg::new(near, [b"x".to_vec()], ancillary, None, 0);
    run(driver, driver.submit(send)).0.unwrap();
    let room = SocketAncillary::with_capacity(SocketAncillary::space(16));
    let receive = RecvAncillary::new(far, [vec![0; 1]], room, 0);
    let (_, (_, mut came)) = run(driver, driver.submit(receive));
    came.take_descriptors()
}

#[test]
fn s03_a_child_inherits_nothing() {
    let mut without = String::new();
    check(|driver| {
        if without.is_empty() {
            without = inherited();
        }
        let (name, flags) = null();
        let _opened = run(driver, driver.submit(Open::new(name, flags, 0))).unwrap();
        let _socket = run(driver, driver.submit(tcp_socket())).unwrap();
        let _accepted = accepted(driver);
        let passed = passed(driver);
        assert_eq!(passed.len(), 1);
        assert_eq!(inherited(), without);
    });
}
