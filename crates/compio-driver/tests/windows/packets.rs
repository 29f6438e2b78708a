//! Pitfalls of completion ports: unknown packets, calls that complete at once, the target of a
//! cancel, and lifetimes.

use std::{
    ffi::{OsStr, c_void},
    fs::File,
    future::Future,
    io::{self, Read, Write},
    mem,
    net::{Shutdown as Direction, TcpListener, TcpStream, UdpSocket},
    os::windows::{
        ffi::OsStrExt,
        fs::OpenOptionsExt,
        io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle},
    },
    pin::Pin,
    process::{Command, Stdio},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    AsRawFd, Driver, DriverBuilder, Operation, Owned, OwnedFd, Poller, RawFd, SharedFd, SockAddr,
    SpinPolicy, Submit,
    op::{
        Accept, Connect, Nop, PollOnce, ReadAt, ReadVectoredAt, Readiness, Recv, RecvFrom, RecvMsg,
        Send, SendTo, Shutdown, WriteAt, WriteVectoredAt,
    },
    os::windows::{Begun, RawEntry},
    request::Request,
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_MORE_DATA, ERROR_OPERATION_ABORTED, INVALID_HANDLE_VALUE, WAIT_OBJECT_0, WAIT_TIMEOUT,
    },
    Networking::WinSock::{MSG_TRUNC, WSAECONNREFUSED, WSAEMSGSIZE},
    Storage::FileSystem::{
        FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX, ReadFile,
    },
    System::{
        IO::OVERLAPPED,
        Pipes::{
            CreateNamedPipeW, PIPE_READMODE_MESSAGE, PIPE_TYPE_BYTE, PIPE_TYPE_MESSAGE, PIPE_WAIT,
        },
        Threading::{CreateEventW, SetEvent, WaitForSingleObject},
    },
};

use crate::support::{Bell, LONG, begin, drain, driver, name, poll_once, run, share, tcp};

/// Longer than an immediate event takes.
const SHORT: Duration = Duration::from_millis(100);

/// Turns for a while, and checks that the future stays pending.
#[track_caller]
fn check_waits<O: Operation>(driver: &Driver, future: &mut Submit<O>) {
    let began = Instant::now();
    while began.elapsed() < SHORT {
        driver.turn(Some(Duration::from_millis(10))).unwrap();
        assert!(poll_once(driver, future).is_pending(), "it should wait");
    }
}

#[track_caller]
fn check_cancelled<T>(result: io::Result<T>) {
    match result {
        Err(error) => assert_eq!(
            error.raw_os_error(),
            Some(ERROR_OPERATION_ABORTED as i32),
            "{error}"
        ),
        Ok(_) => panic!("it should be cancelled"),
    }
}

/// Two UDP sockets, connected to each other.
fn udp() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    one.connect(other.local_addr().unwrap()).unwrap();
    other.connect(one.local_addr().unwrap()).unwrap();
    (one, other)
}

/// Both ends of a named pipe: the first is for overlapped calls, the second is not.
fn pipe(mode: u32) -> (OwnedHandle, File) {
    let name = name();
    let wide: Vec<u16> = OsStr::new(&name).encode_wide().chain([0]).collect();
    // SAFETY: the name outlives the call; the handle is new, and ours.
    let server = unsafe {
        let server = CreateNamedPipeW(
            wide.as_ptr(),
            PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            mode | PIPE_WAIT,
            1,
            4096,
            4096,
            0,
            ptr::null(),
        );
        assert_ne!(server, INVALID_HANDLE_VALUE);
        OwnedHandle::from_raw_handle(server)
    };
    let client = File::options().read(true).write(true).open(&name).unwrap();
    (server, client)
}

fn byte_pipe() -> (OwnedHandle, File) {
    pipe(PIPE_TYPE_BYTE)
}

fn message_pipe() -> (OwnedHandle, File) {
    pipe(PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE)
}

/// A manual-reset event that is not set.
fn event() -> OwnedHandle {
    // SAFETY: no pointers are passed but null; the handle is new, and ours.
    unsafe { OwnedHandle::from_raw_handle(CreateEventW(ptr::null(), 1, 0, ptr::null())) }
}

fn signal(event: &OwnedHandle) {
    // SAFETY: an open handle.
    assert_ne!(unsafe { SetEvent(event.as_raw_handle()) }, 0);
}

/// A new file with this content, for overlapped calls.
fn file(content: &[u8]) -> (tempfile::TempDir, File) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, content).unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(path)
        .unwrap();
    (dir, file)
}

fn recv(fd: &SharedFd, room: usize) -> Recv<Vec<u8>> {
    Recv::new(fd.clone(), Vec::with_capacity(room), 0)
}

fn read(fd: &SharedFd, room: usize) -> ReadAt<Vec<u8>> {
    ReadAt::at_cursor(fd.clone(), Vec::with_capacity(room))
}

// Calls that complete at once.

#[test]
fn a_pipe_whose_writer_is_gone_is_at_its_end() {
    let driver = driver();
    let (server, client) = byte_pipe();
    drop(client);
    let server = share(server);
    for _ in 0..2 {
        let (result, buffer) = run(&driver, driver.submit(read(&server, 8)));
        assert_eq!((result.unwrap(), buffer.len()), (0, 0));
    }
}

#[test]
fn a_pipe_whose_writer_goes_is_at_its_end() {
    let driver = driver();
    let (server, client) = byte_pipe();
    let mut reading = driver.submit(read(&share(server), 8));
    begin(&driver, &mut reading);
    drop(client);
    assert_eq!(run(&driver, reading).0.unwrap(), 0);
}

#[test]
fn a_file_is_read_to_its_end_and_not_beyond() {
    let driver = driver();
    let (_dir, file) = file(b"content");
    let file = share(file);
    for (offset, expected) in [(0, &b"content"[..]), (3, b"tent"), (7, b""), (1000, b"")] {
        let read = ReadAt::new(file.clone(), offset, Vec::with_capacity(64));
        let (result, buffer) = run(&driver, driver.submit(read));
        assert_eq!((result.unwrap(), &buffer[..]), (expected.len(), expected));
    }
}

#[test]
fn a_direction_that_this_side_has_shut_down_is_at_its_end() {
    let driver = driver();
    let (one, _other) = tcp();
    let one = share(one);
    let shutdown = Shutdown::new(one.clone(), Direction::Read);
    run(&driver, driver.submit(shutdown)).unwrap();
    let (result, _) = run(&driver, driver.submit(recv(&one, 8)));
    assert_eq!(result.unwrap(), 0);
}

/// The datagram is there already, or arrives later.
#[test]
fn a_datagram_that_is_too_long_is_cut() {
    let driver = driver();
    let (one, other) = udp();
    let other = share(other);
    for comes_later in [false, true] {
        let mut recv_plain = driver.submit(recv(&other, 4));
        if comes_later {
            begin(&driver, &mut recv_plain);
        }
        one.send(b"0123456789").unwrap();
        thread::sleep(SHORT);
        let (result, buffer) = run(&driver, recv_plain);
        assert_eq!((result.unwrap(), &buffer[..]), (4, &b"0123"[..]));

        let mut recv_from = driver.submit(RecvFrom::new(other.clone(), Vec::with_capacity(4), 0));
        if comes_later {
            begin(&driver, &mut recv_from);
        }
        one.send(b"0123456789").unwrap();
        thread::sleep(SHORT);
        let (result, buffer) = run(&driver, recv_from);
        let (len, address) = result.unwrap();
        assert_eq!((len, &buffer[..]), (4, &b"0123"[..]));
        assert_eq!(
            address.unwrap().as_socket(),
            Some(one.local_addr().unwrap())
        );

        let room = [Vec::with_capacity(3), Vec::with_capacity(1)];
        let mut recv_msg = driver.submit(RecvMsg::new(other.clone(), room, [], 0));
        if comes_later {
            begin(&driver, &mut recv_msg);
        }
        one.send(b"0123456789").unwrap();
        thread::sleep(SHORT);
        let (result, (buffers, _)) = run(&driver, recv_msg);
        let received = result.unwrap();
        assert_eq!(buffers, [b"012".to_vec(), b"3".to_vec()]);
        assert_eq!(received.len, 4);
        assert_ne!(received.flags & MSG_TRUNC as i32, 0, "no MSG_TRUNC");
    }
    // No packet is left over that would complete another operation.
    let mut later = driver.submit(recv(&other, 4));
    begin(&driver, &mut later);
    check_waits(&driver, &mut later);
    one.send(b"abc").unwrap();
    assert_eq!(run(&driver, later).1, b"abc");
}

#[test]
fn a_datagram_that_is_too_long_is_not_sent() {
    let driver = driver();
    let (one, _other) = udp();
    let send = Send::new(share(one), vec![0; 100_000], 0);
    let (result, buffer) = run(&driver, driver.submit(send));
    assert_eq!(result.unwrap_err().raw_os_error(), Some(WSAEMSGSIZE));
    assert_eq!(buffer.len(), 100_000);
}

#[test]
fn the_rest_of_a_message_is_read_next() {
    let driver = driver();
    let (server, mut client) = message_pipe();
    let server = share(server);
    for comes_later in [false, true] {
        let mut reading = driver.submit(read(&server, 4));
        if comes_later {
            begin(&driver, &mut reading);
        }
        client.write_all(b"0123456").unwrap();
        assert_eq!(run(&driver, reading).1, b"0123");
        assert_eq!(run(&driver, driver.submit(read(&server, 8))).1, b"456");
    }
    let mut later = driver.submit(read(&server, 4));
    begin(&driver, &mut later);
    check_waits(&driver, &mut later);
    client.write_all(b"abc").unwrap();
    assert_eq!(run(&driver, later).1, b"abc");
}

/// Like `read` on unix.
#[test]
fn nothing_is_read_at_once() {
    let driver = driver();
    let (server, client) = byte_pipe();
    let (one, _other) = tcp();
    let (_dir, file) = file(b"content");
    for fd in [share(server), share(one), share(client), share(file)] {
        let at_cursor = ReadAt::new(fd.clone(), 0, Vec::new());
        assert_eq!(run(&driver, driver.submit(at_cursor)).0.unwrap(), 0);
        let vectored = ReadVectoredAt::new(fd, 0, [Vec::new(), Vec::new()]);
        assert_eq!(run(&driver, driver.submit(vectored)).0.unwrap(), 0);
    }
}

#[test]
fn an_empty_datagram_needs_no_room() {
    let driver = driver();
    let (one, other) = udp();
    let address = SockAddr::from(other.local_addr().unwrap());
    let (one_fd, other_fd) = (share(one.try_clone().unwrap()), share(other));
    assert_eq!(
        run(&driver, driver.submit(SendTo::new(one_fd, "", address, 0)))
            .0
            .unwrap(),
        0
    );
    let recv = RecvFrom::new(other_fd, Vec::new(), 0);
    let (len, address) = run(&driver, driver.submit(recv)).0.unwrap();
    assert_eq!(len, 0);
    assert_eq!(
        address.unwrap().as_socket(),
        Some(one.local_addr().unwrap())
    );
}

#[test]
fn empty_slices_first_are_passed_over() {
    let driver = driver();
    let (server, client) = byte_pipe();
    let (server, client) = (share(server), share(client));
    let write = WriteVectoredAt::at_cursor(server, ["", "", "abc", "def"]);
    let written = run(&driver, driver.submit(write)).0.unwrap();
    assert!(written == 3 || written == 6);
    let room = [Vec::new(), Vec::with_capacity(2), Vec::with_capacity(8)];
    let read = ReadVectoredAt::at_cursor(client, room);
    let (result, buffers) = run(&driver, driver.submit(read));
    let all = buffers.concat();
    assert_eq!(result.unwrap(), all.len());
    assert!(!all.is_empty() && b"abcdef".starts_with(&all[..]));
}

// Packets of other calls.

#[test]
fn a_vectored_datagram_is_whole() {
    let driver = driver();
    let (one, other) = udp();
    other.set_read_timeout(Some(LONG)).unwrap();
    let (one, parts) = (share(one), [b"he".to_vec(), Vec::new(), b"llo".to_vec()]);
    let write = WriteVectoredAt::new(one.clone(), 0, parts);
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 5);
    let mut datagram = [0; 10];
    let len = other.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..len], b"hello");
    other.send(b"world").unwrap();
    let rooms = [Vec::with_capacity(2), Vec::with_capacity(10)];
    let read = ReadVectoredAt::new(one, 0, rooms);
    let (len, parts) = run(&driver, driver.submit(read));
    assert_eq!(
        (len.unwrap(), parts),
        (5, [b"wo".to_vec(), b"rld".to_vec()])
    );
}

#[test]
fn a_bare_number_that_was_attached_by_hand_can_be_cancelled() {
    let driver = driver();
    let (server, _client) = byte_pipe();
    let fd = OwnedFd::from(server);
    driver.attach(fd.as_raw_fd()).unwrap();
    for number in 0..2 {
        let mut read = ReadAt::new(fd.as_raw_fd(), 0, Vec::<u8>::with_capacity(10));
        // SAFETY: it stays in place until its entry has come, and the handle stays open.
        unsafe { driver.push(&mut read, number).unwrap() };
        driver.cancel(number);
        let entry = driver.poll_one(Some(LONG)).unwrap();
        assert_eq!(entry.user_data(), number);
        check_cancelled(entry.into_result());
    }
}

/// std reads a child's output with overlapped calls of its own. A duplicate of that pipe's handle was
/// attached to a driver, whose port gets their packets.
#[test]
fn s23_packets_of_other_calls_are_ignored() {
    let driver = driver();
    let child = Command::new("cmd")
        .args(["/c", "echo one& echo two 1>&2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let theirs = child.stdout.as_ref().unwrap().as_handle();
    let ours = share(theirs.try_clone_to_owned().unwrap());
    // A write to the reading end fails, but attaches the handle.
    let write = WriteAt::at_cursor(ours.clone(), b"x".to_vec());
    run(&driver, driver.submit(write)).0.unwrap_err();
    let (one, other) = tcp();
    let mut waiting = driver.submit(recv(&share(one), 8));
    begin(&driver, &mut waiting);

    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.starts_with(b"one"), "{output:?}");
    check_waits(&driver, &mut waiting);
    (&other).write_all(b"ours").unwrap();
    assert_eq!(run(&driver, waiting).1, b"ours");
}

/// The same with a call that certainly posts a packet.
#[test]
fn s23_a_packet_with_an_unknown_overlapped_is_ignored() {
    let driver = driver();
    let (server, mut client) = byte_pipe();
    let theirs = server.try_clone().unwrap();
    let ours = share(server);
    let mut first = driver.submit(read(&ours, 4));
    begin(&driver, &mut first);
    client.write_all(b"1234").unwrap();
    assert_eq!(run(&driver, first).1, b"1234");

    let mut byte = [0_u8; 1];
    // SAFETY: a plain C struct for which all zeroes mean "nothing".
    let mut overlapped: Box<OVERLAPPED> = Box::new(unsafe { mem::zeroed() });
    // SAFETY: both stay until the packet has been taken, below.
    unsafe {
        ReadFile(
            theirs.as_raw_handle(),
            byte.as_mut_ptr(),
            1,
            ptr::null_mut(),
            &mut *overlapped,
        );
    }
    let mut waiting = driver.submit(read(&ours, 4));
    begin(&driver, &mut waiting);
    client.write_all(b"a").unwrap();
    check_waits(&driver, &mut waiting);
    assert_eq!(byte, *b"a");
    client.write_all(b"b").unwrap();
    assert_eq!(run(&driver, waiting).1, b"b");
    assert_eq!(driver.in_flight(), 0);
}

/// Two handles of one file share one port.
#[test]
fn duplicates_of_a_handle_serve_too() {
    let driver = driver();
    let (server, mut client) = byte_pipe();
    let copy = share(server.try_clone().unwrap());
    let server = share(server);
    let (one, other) = tcp();
    let one_copy = share(one.try_clone().unwrap());
    let one = share(one);
    for pipe in [&server, &copy, &server] {
        let mut reading = driver.submit(read(pipe, 8));
        begin(&driver, &mut reading);
        client.write_all(b"pipe").unwrap();
        assert_eq!(run(&driver, reading).1, b"pipe");
    }
    for socket in [&one, &one_copy, &one] {
        let mut receiving = driver.submit(recv(socket, 8));
        begin(&driver, &mut receiving);
        (&other).write_all(b"socket").unwrap();
        assert_eq!(run(&driver, receiving).1, b"socket");
        // This receive need not wait.
        (&other).write_all(b"again").unwrap();
        thread::sleep(SHORT);
        assert_eq!(run(&driver, driver.submit(recv(socket, 8))).1, b"again");
    }
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn a_socket_goes_from_driver_to_driver_and_back() {
    let (one, other) = tcp();
    let receive = |socket: SharedFd| {
        let driver = driver();
        let mut receiving = driver.submit(recv(&socket, 8));
        begin(&driver, &mut receiving);
        (&other).write_all(b"here").unwrap();
        assert_eq!(run(&driver, receiving).1, b"here");
        let poll = PollOnce::new(socket.clone(), Readiness::READABLE);
        let mut polling = driver.submit(poll);
        begin(&driver, &mut polling);
        (&other).write_all(b"ready").unwrap();
        run(&driver, polling).unwrap();
        assert_eq!(run(&driver, driver.submit(recv(&socket, 8))).1, b"ready");
        let mut cancelled = driver.submit(recv(&socket, 8));
        begin(&driver, &mut cancelled);
        cancelled.cancel();
        check_cancelled(run(&driver, cancelled).0);
        drop(driver);
        socket.try_unwrap().unwrap()
    };
    let back = receive(share(one));
    let again = receive(share(back));
    thread::scope(|scope| {
        scope.spawn(|| receive(share(again)));
    });
}

/// A number that is reused names another object.
#[test]
fn s23_a_number_that_is_used_again_is_attached_again() {
    let driver = driver();
    for round in 0..50 {
        let (one, other) = tcp();
        let one = share(one);
        let mut receiving = driver.submit(recv(&one, 8));
        begin(&driver, &mut receiving);
        (&other).write_all(b"abc").unwrap();
        assert_eq!(run(&driver, receiving).1, b"abc", "in round {round}");
        // As a bare number, without state in the driver.
        let socket = one.try_unwrap().unwrap();
        let mut receiving = driver.submit(Recv::new(socket, Vec::with_capacity(8), 0));
        begin(&driver, &mut receiving);
        (&other).write_all(b"abc").unwrap();
        assert_eq!(run(&driver, receiving).1, b"abc", "in round {round}");
    }
}

// The target of a cancel.

#[test]
fn s23_a_cancel_hits_its_own_operation_only() {
    let driver = driver();
    let (one, other) = tcp();
    let copy = share(one.try_clone().unwrap());
    let one = share(one);
    for fd in [one, copy] {
        let mut all: Vec<_> = (0..4).map(|_| driver.submit(recv(&fd, 1))).collect();
        for each in &mut all {
            begin(&driver, each);
        }
        let mut second = all.remove(1);
        second.cancel();
        second.cancel();
        check_cancelled(run(&driver, &mut second).0);
        for (each, byte) in all.into_iter().zip([b"a", b"b", b"c"]) {
            (&other).write_all(byte).unwrap();
            assert_eq!(run(&driver, each).1, byte);
        }
    }
}

/// The operations have completed, and the driver has not reported them.
#[test]
fn s23_a_cancel_of_a_completed_operation_has_no_effect() {
    let driver = driver();
    let (one, other) = tcp();
    let one = share(one);
    (&other).write_all(&[7; 200]).unwrap();
    thread::sleep(SHORT);
    let mut all: Vec<_> = (0..100).map(|_| driver.submit(recv(&one, 1))).collect();
    let mut done = 0;
    for each in &mut all {
        match poll_once(&driver, each) {
            Poll::Ready((result, _)) => {
                assert_eq!(result.unwrap(), 1);
                done += 1;
            }
            Poll::Pending => each.cancel(),
        }
    }
    drain(&driver);
    for mut each in all.drain(done..) {
        if let Poll::Ready((Ok(len), _)) = poll_once(&driver, &mut each) {
            assert_eq!(len, 1);
        }
    }
    assert_eq!(driver.in_flight(), 0);
    // The port still works.
    run(&driver, driver.submit(Nop::new())).unwrap();
}

#[test]
fn s23_a_cancelled_wait_races_with_its_signal() {
    let driver = driver();
    let mut signalled = 0;
    for round in 0..200_u32 {
        let event = event();
        let theirs = event.try_clone().unwrap();
        let fd = share(event);
        let mut waiting = driver.submit(PollOnce::new(fd.clone(), Readiness::READABLE));
        begin(&driver, &mut waiting);
        let thread = thread::spawn(move || {
            for _ in 0..round % 50 {
                std::hint::spin_loop();
            }
            signal(&theirs);
        });
        if round % 3 == 0 {
            thread::yield_now();
        }
        if round % 4 == 0 {
            drop(waiting);
        } else {
            waiting.cancel();
            waiting.cancel();
            match run(&driver, waiting) {
                Ok(_) => signalled += 1,
                Err(error) => check_cancelled::<()>(Err(error)),
            }
        }
        thread.join().unwrap();
        // A new wait in the same cell does not see the earlier one's packet.
        let quiet = share(self::event());
        let mut waiting = driver.submit(PollOnce::new(quiet, Readiness::READABLE));
        begin(&driver, &mut waiting);
        driver.turn(Some(Duration::ZERO)).unwrap();
        driver.turn(Some(Duration::ZERO)).unwrap();
        assert!(poll_once(&driver, &mut waiting).is_pending());
        drop(waiting);
        drain(&driver);
    }
    eprintln!("{signalled} signals came first");
}

#[test]
fn s23_a_cancelled_accept_leaves_the_listener_usable() {
    let driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = share(listener);
    for _ in 0..20 {
        let mut accepting = driver.submit(Accept::new(listener.clone()));
        begin(&driver, &mut accepting);
        drop(accepting);
        let mut accepting = driver.submit(Accept::new(listener.clone()));
        begin(&driver, &mut accepting);
        let client = TcpStream::connect(address).unwrap();
        let (server, peer) = run(&driver, accepting).unwrap();
        assert_eq!(peer.as_socket(), Some(client.local_addr().unwrap()));
        let server = TcpStream::from(server);
        assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
        assert_eq!(server.local_addr().unwrap(), address);
    }
    drain(&driver);
}

// Lifetimes.

/// The driver's memory and its operations are leaked, and late packets reach no other operation.
#[test]
fn s23_past_its_timeout_a_driver_leaks() {
    let (server, mut client) = byte_pipe();
    let builder = DriverBuilder::new().shutdown_timeout(Duration::ZERO);
    for _ in 0..20 {
        let driver = builder.clone().build().unwrap();
        let event = event();
        let mut waiting = driver.submit(PollOnce::new(
            share(event.try_clone().unwrap()),
            Readiness::READABLE,
        ));
        begin(&driver, &mut waiting);
        let mut reading = driver.submit(read(&share(server.try_clone().unwrap()), 4));
        begin(&driver, &mut reading);
        mem::forget(reading);
        mem::forget(waiting);
        drop(driver);
        signal(&event);
        let _ = client.write(b"late");
    }
    thread::sleep(SHORT);
}

#[test]
fn s23_a_forgotten_future_is_reaped_at_the_end() {
    let (one, _other) = tcp();
    let began = Instant::now();
    let driver = driver();
    let mut receiving = driver.submit(recv(&share(one), 8));
    begin(&driver, &mut receiving);
    mem::forget(receiving);
    drop(driver);
    assert!(began.elapsed() < Duration::from_secs(3), "not cancelled");
}

// Sleeping and waking.

fn is_signalled(driver: &Driver) -> bool {
    let RawFd::Handle(port) = driver.as_raw_fd() else {
        panic!("a port");
    };
    // SAFETY: the driver's port is open.
    match unsafe { WaitForSingleObject(port, 0) } {
        WAIT_OBJECT_0 => true,
        WAIT_TIMEOUT => false,
        other => panic!("{other}"),
    }
}

/// An outer loop polls with a timeout of zero. The event that has woken it must not wake it again.
#[test]
fn a_wake_from_outside_wakes_once() {
    let driver = driver();
    driver.turn(Some(Duration::ZERO)).unwrap();
    for _ in 0..3 {
        assert!(driver.prepare_to_sleep());
        assert!(!is_signalled(&driver));
        driver.waker().wake();
        assert!(is_signalled(&driver));
        driver.turn(Some(Duration::ZERO)).unwrap();
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
    assert!(driver.prepare_to_sleep());
    assert!(!is_signalled(&driver), "it would be woken endlessly");
}

#[test]
fn turn_without_completion_ends_at_timeout() {
    let driver = DriverBuilder::new().spin(SpinPolicy::Off).build().unwrap();
    let (one, _other) = tcp();
    let mut receiving = driver.submit(recv(&share(one), 8));
    begin(&driver, &mut receiving);
    for timeout in [1, 900_000, 1_100_000, 30_000_000] {
        let timeout = Duration::from_nanos(timeout);
        let (began, enters) = (Instant::now(), driver.enters());
        // A wait may end within a tick of the clock before its timeout.
        while let Some(rest) = timeout.checked_sub(began.elapsed()) {
            driver.turn(Some(rest)).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{timeout:?}");
        let enters = driver.enters() - enters;
        assert!(enters < 50, "{enters} for {timeout:?}");
    }
    let waker = driver.waker();
    let thread = thread::spawn(move || {
        thread::sleep(SHORT);
        waker.wake();
    });
    // Longer than the system's maximum.
    driver.turn(Some(Duration::MAX)).unwrap();
    thread.join().unwrap();
}

/// Many operations that need not wait: the other tasks have their turn, and each operation
/// completes once.
#[test]
fn s23_instant_answers_past_the_limit_come_with_the_next_turn() {
    let driver = driver();
    let (one, _other) = udp();
    let one = share(one);
    let (bell, waker) = Bell::new();
    let mut all: Vec<_> = (0..200)
        .map(|_| driver.submit(Shutdown::new(one.clone(), Direction::Write)))
        .collect();
    let mut waiting = 0;
    for each in &mut all {
        if Pin::new(each)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            waiting += 1;
        }
    }
    assert!(waiting > 0);
    for each in &all {
        each.cancel();
    }
    driver.turn(None).unwrap();
    assert_eq!((bell.rings(), driver.in_flight()), (waiting, 0));
}

// Connections.

#[test]
fn a_refused_connection_is_refused() {
    let driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let connect = Connect::new(share(socket), SockAddr::from(address));
    let error = run(&driver, driver.submit(connect)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(WSAECONNREFUSED), "{error}");
}

#[test]
fn a_bound_socket_keeps_its_address_when_it_connects() {
    let driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let local: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&local.into()).unwrap();
    let bound = socket.local_addr().unwrap();
    let socket = share(socket);
    let connect = Connect::new(socket.clone(), SockAddr::from(address));
    run(&driver, driver.submit(connect)).unwrap();
    let (mut server, peer) = listener.accept().unwrap();
    assert_eq!(Some(peer), bound.as_socket());
    // The socket is fully connected: its peer is known, and it can be shut down.
    let connected = TcpStream::from(socket.try_unwrap().unwrap());
    assert_eq!(connected.peer_addr().unwrap(), address);
    connected.shutdown(Direction::Write).unwrap();
    assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_connection_reset_before_its_accept_blocks_no_other() {
    let driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = socket2::Socket::from(TcpStream::connect(address).unwrap());
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let live = TcpStream::connect(address).unwrap();
    let listener = share(listener);
    let local = live.local_addr().unwrap();
    for _ in 0..2 {
        match run(&driver, driver.submit(Accept::new(listener.clone()))) {
            Ok((_, peer)) if peer.as_socket() == Some(local) => return,
            Ok(_) | Err(_) => {}
        }
    }
    panic!("the second connection was not accepted");
}

// Raw calls.

/// Reads from a pipe by a raw call.
struct RawRead {
    fd: SharedFd,
    buffer: Vec<u8>,
    entry: Option<RawEntry>,
}

impl RawRead {
    fn new(fd: &SharedFd, room: usize) -> Self {
        Self {
            fd: fd.clone(),
            buffer: vec![0; room],
            entry: None,
        }
    }

    unsafe fn begin(fd: RawFd, overlapped: *mut c_void, this: *mut ()) -> Begun {
        let RawFd::Handle(handle) = fd else {
            panic!("a handle");
        };
        // SAFETY: the operation stays in place until the call is over.
        unsafe {
            let buffer = &mut (*this.cast::<Self>()).buffer;
            Begun::new(
                ReadFile(
                    handle,
                    buffer.as_mut_ptr(),
                    buffer.len() as u32,
                    ptr::null_mut(),
                    overlapped.cast(),
                ) != 0,
            )
        }
    }
}

// SAFETY: the request points to the entry, and it to the operation.
unsafe impl Operation for RawRead {
    type Output = (io::Result<usize>, Vec<u8>);

    fn request(&mut self) -> Request {
        let this: *mut Self = self;
        // SAFETY: `begin` makes one call, and says how it returned.
        let entry = unsafe { RawEntry::new(self.fd.as_raw_fd(), Self::begin, this.cast()) };
        Request::Raw(self.entry.insert(entry))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffer)
    }
}

// SAFETY: the operation shares the ownership of the descriptor.
unsafe impl Owned for RawRead {}

/// Its error is a warning, and the system posts a packet nevertheless.
#[test]
fn s23_a_raw_call_that_returns_with_a_warning_is_answered_once() {
    let driver = driver();
    let (server, mut client) = message_pipe();
    let copy = share(server.try_clone().unwrap());
    let server = share(server);
    for fd in [&server, &copy] {
        for _ in 0..5 {
            client.write_all(b"0123456").unwrap();
            thread::sleep(Duration::from_millis(5));
            let (result, buffer) = run(&driver, driver.submit(RawRead::new(fd, 4)));
            assert_eq!(
                result.unwrap_err().raw_os_error(),
                Some(ERROR_MORE_DATA as i32)
            );
            assert_eq!(buffer, b"0123");
            let (result, buffer) = run(&driver, driver.submit(RawRead::new(fd, 3)));
            assert_eq!((result.unwrap(), &buffer[..]), (3, &b"456"[..]));
            // In the same cell: the warning's packet must not complete it.
            let mut next = driver.submit(RawRead::new(fd, 3));
            begin(&driver, &mut next);
            check_waits(&driver, &mut next);
            client.write_all(b"abc").unwrap();
            let (result, buffer) = run(&driver, next);
            assert_eq!((result.unwrap(), &buffer[..]), (3, &b"abc"[..]));
        }
    }
    drain(&driver);
}

// Random programs.

/// The next of a sequence of pseudo-random numbers.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// The number of unread bytes, received by another driver.
fn count_to_the_end(fd: &SharedFd) -> u64 {
    let driver = driver();
    let mut count = 0;
    loop {
        let (result, _) = run(&driver, driver.submit(recv(fd, 1)));
        match result.unwrap() {
            0 => return count,
            len => count += len as u64,
        }
    }
}

/// A socket with two handles, datagrams and an event: operations are begun, cancelled, dropped and
/// awaited in any order. Each byte that was sent arrives once, or was lost with a dropped receive.
#[test]
fn s23_any_order_of_beginnings_and_ends_works() {
    for seed in 1..=8_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let driver = driver();
        let (one, other) = tcp();
        let fds = [share(one.try_clone().unwrap()), share(one)];
        let (udp_one, udp_other) = udp();
        let datagrams = share(udp_other);
        let event = event();
        let waited = share(event.try_clone().unwrap());
        let mut receiving = Vec::new();
        let mut cutting = Vec::new();
        let mut waiting = Vec::new();
        let mut sent = 0_u64;
        let mut received = 0_u64;
        let mut dropped = 0_u64;
        for _ in 0..300 {
            match next(&mut state) % 12 {
                0..=2 => {
                    let fd = &fds[(next(&mut state) % 2) as usize];
                    let mut each = driver.submit(recv(fd, 1));
                    match poll_once(&driver, &mut each) {
                        Poll::Ready((result, _)) => received += result.unwrap() as u64,
                        Poll::Pending => receiving.push(each),
                    }
                }
                3 | 4 => {
                    (&other).write_all(b"x").unwrap();
                    sent += 1;
                }
                5 => {
                    let mut each = driver.submit(recv(&datagrams, 2));
                    if poll_once(&driver, &mut each).is_pending() {
                        cutting.push(each);
                    }
                }
                6 => drop(udp_one.send(b"long").unwrap()),
                7 => {
                    let poll = PollOnce::new(waited.clone(), Readiness::READABLE);
                    let mut each = driver.submit(poll);
                    if poll_once(&driver, &mut each).is_pending() {
                        waiting.push(each);
                    }
                }
                8 if !receiving.is_empty() => {
                    let place = next(&mut state) as usize % receiving.len();
                    receiving[place].cancel();
                }
                9 if !receiving.is_empty() => {
                    let place = next(&mut state) as usize % receiving.len();
                    drop(receiving.swap_remove(place));
                    dropped += 1;
                }
                10 => {
                    waiting.truncate(waiting.len() / 2);
                    cutting.truncate(cutting.len() / 2);
                }
                _ => driver.turn(Some(Duration::from_millis(1))).unwrap(),
            }
            let mut still = Vec::new();
            for mut each in receiving {
                match poll_once(&driver, &mut each) {
                    Poll::Ready((Ok(len), _)) => received += len as u64,
                    Poll::Ready((Err(error), _)) => check_cancelled::<()>(Err(error)),
                    Poll::Pending => still.push(each),
                }
            }
            receiving = still;
            cutting.retain_mut(|each| match poll_once(&driver, each) {
                Poll::Ready((result, buffer)) => {
                    assert_eq!((result.unwrap(), &buffer[..]), (2, &b"lo"[..]));
                    false
                }
                Poll::Pending => true,
            });
        }
        assert!(received <= sent, "with seed {seed}");
        signal(&event);
        for each in waiting.drain(..) {
            run(&driver, each).unwrap();
        }
        for each in &receiving {
            each.cancel();
        }
        for each in receiving.drain(..) {
            if let (Ok(len), _) = run(&driver, each) {
                received += len as u64;
            }
        }
        drop(cutting);
        drain(&driver);
        drop(driver);
        other.shutdown(Direction::Write).unwrap();
        received += count_to_the_end(&fds[0]);
        assert!(
            received <= sent && sent - received <= dropped,
            "with seed {seed}: {sent} sent, {received} received, {dropped} dropped"
        );
    }
}

/// Another thread wakes the driver while packets of all kinds arrive, and no wake is lost.
#[test]
fn no_wake_is_lost_among_packets() {
    let driver = driver();
    let (one, other) = tcp();
    let one = share(one);
    let wakes = Arc::new(AtomicUsize::new(0));
    let waker = driver.waker();
    let thread = thread::spawn({
        let wakes = Arc::clone(&wakes);
        move || {
            for round in 0..300_u64 {
                wakes.fetch_add(1, Relaxed);
                waker.wake_by_ref();
                if round % 3 == 0 {
                    (&other).write_all(b"x").unwrap();
                }
                if round % 7 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    });
    let began = Instant::now();
    let mut receiving = driver.submit(recv(&one, 1));
    let mut bytes = 0;
    while wakes.load(Relaxed) < 300 || bytes < 100 {
        if let Poll::Ready((result, _)) = poll_once(&driver, &mut receiving) {
            bytes += result.unwrap();
            receiving = driver.submit(recv(&one, 1));
            continue;
        }
        driver.turn(Some(LONG)).unwrap();
        assert!(began.elapsed() < LONG, "it was not woken");
    }
    thread.join().unwrap();
}
