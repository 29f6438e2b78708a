//! Descriptors in blocking mode never block the driver's thread.

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpListener,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use compio_driver::{
    AsFd, AsRawFd, Driver, SharedFd, SockAddr,
    op::{Accept, Connect, Open, Position, ReadAt, Recv, Send, Splice, WriteAt, WriteVectoredAt},
};

use crate::support::{
    begin, check_error, drain, each_backend, pipe, poll_once, readiness, run, share, start, tcp,
    unblocked,
};

fn is_nonblocking(fd: &impl AsRawFd) -> bool {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    assert!(mode >= 0);
    mode & libc::O_NONBLOCK != 0
}

fn duplicate(fd: &SharedFd) -> fs::File {
    fs::File::from(fd.as_fd().try_clone_to_owned().unwrap())
}

/// Writes to the end that is tested, at the cursor, much more than it has room for.
fn check_full(writer: SharedFd, mut reader: impl Read) {
    let driver = readiness();
    let mut written = 0;
    // The first ones may find room.
    let mut waiting = loop {
        let bytes = vec![7_u8; 1 << 20];
        let mut write = driver.submit(WriteAt::at_cursor(writer.clone(), bytes));
        match start(&driver, &mut write) {
            Some((len, _)) => written += len.unwrap(),
            None => break write,
        }
    };
    for _ in 0..10 {
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        if let Some((len, _)) = start(&driver, &mut waiting) {
            written += len.unwrap();
            waiting = driver.submit(WriteAt::at_cursor(writer.clone(), vec![7_u8; 1 << 20]));
        }
    }
    assert!(!is_nonblocking(&writer));
    // The thread was here all the time. Now there is room.
    let mut begun = start(&driver, &mut waiting);
    let mut seen = 0;
    while begun.is_none() {
        seen += reader.read(&mut vec![0; 1 << 16]).unwrap();
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        begun = start(&driver, &mut waiting);
    }
    written += begun.unwrap().0.unwrap();
    while seen < written {
        seen += reader.read(&mut vec![0; 1 << 16]).unwrap();
    }
    assert_eq!(seen, written);
}

#[test]
fn a_full_pipe() {
    unblocked(|| {
        let (reader, writer) = io::pipe().unwrap();
        check_full(share(writer), reader);
    });
}

/// Pipes with a name: Linux does not know there how not to wait.
fn fifo() -> (fs::File, fs::File) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    // Whoever has both ends waits for nobody.
    let both = fs::OpenOptions::new().read(true).write(true).open(&path);
    let reader = fs::File::open(&path).unwrap();
    let writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
    drop(both);
    (reader, writer)
}

#[test]
fn a_full_fifo() {
    unblocked(|| {
        let (reader, writer) = fifo();
        check_full(share(writer), reader);
    });
}

#[test]
fn a_full_socket() {
    unblocked(|| {
        let (near, far) = UnixStream::pair().unwrap();
        check_full(share(near), far);
        let (near, far) = tcp();
        check_full(share(near), far);
    });
}

#[test]
fn a_vectored_write_to_a_full_fifo() {
    unblocked(|| {
        let driver = readiness();
        let (mut reader, writer) = fifo();
        let writer = share(writer);
        let mut written = 0;
        loop {
            let bytes = [vec![7_u8; 5000], vec![7_u8; 5000]];
            let mut write = driver.submit(WriteVectoredAt::at_cursor(writer.clone(), bytes));
            match start(&driver, &mut write) {
                Some((len, _)) => written += len.unwrap(),
                None => break,
            }
        }
        drain(&driver);
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), written);
    });
}

#[test]
fn an_empty_pipe_or_fifo() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, writer) = io::pipe().unwrap();
            let pipe = (OwnedFd::from(reader), OwnedFd::from(writer));
            let (reader, writer) = fifo();
            for (reader, writer) in [pipe, (reader.into(), writer.into())] {
                let reader = share(reader);
                let mut read = driver.submit(ReadAt::at_cursor(reader.clone(), vec![0; 8]));
                begin(&driver, &mut read);
                driver.turn(Some(Duration::from_millis(1))).unwrap();
                begin(&driver, &mut read);
                let mut writer = fs::File::from(writer);
                writer.write_all(b"x").unwrap();
                assert_eq!(run(&driver, read).1, b"x");
                assert!(!is_nonblocking(&reader));
                drop(writer);
                let end = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
                assert_eq!(run(&driver, end).0.unwrap(), 0);
            }
        }
    });
}

/// The two sides of a terminal.
fn terminal() -> (fs::File, fs::File) {
    let (mut outside, mut inside) = (0, 0);
    let (name, settings, size) = (
        std::ptr::null_mut(),
        std::ptr::null_mut::<libc::termios>(),
        std::ptr::null_mut::<libc::winsize>(),
    );
    // SAFETY: both numbers outlive the call; the rest is not wanted. The descriptors are new.
    unsafe {
        let opened = libc::openpty(&raw mut outside, &raw mut inside, name, settings, size);
        assert_eq!(opened, 0);
        let mut settings = std::mem::zeroed();
        libc::tcgetattr(inside, &raw mut settings);
        libc::cfmakeraw(&raw mut settings);
        libc::tcsetattr(inside, libc::TCSANOW, &raw const settings);
        (
            fs::File::from_raw_fd(outside),
            fs::File::from_raw_fd(inside),
        )
    }
}

#[test]
fn an_empty_terminal() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut outside, inside) = terminal();
            let inside = share(inside);
            let mut read = driver.submit(ReadAt::at_cursor(inside.clone(), vec![0; 8]));
            begin(&driver, &mut read);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            read.cancel();
            check_error(run(&driver, read).0, libc::ECANCELED);
            let mut read = driver.submit(ReadAt::at_cursor(inside.clone(), vec![0; 8]));
            begin(&driver, &mut read);
            outside.write_all(b"x").unwrap();
            assert_eq!(run(&driver, read).1, b"x");
            assert!(!is_nonblocking(&inside));
        }
    });
}

/// It says that it is ready for a write and blocks in the midst of it.
#[test]
fn a_full_terminal() {
    unblocked(|| {
        let driver = readiness();
        let (outside, inside) = terminal();
        let inside = share(inside);
        let mut writes: Vec<_> = (0..20)
            .map(|_| driver.submit(WriteAt::at_cursor(inside.clone(), vec![b'x'; 3000])))
            .collect();
        for write in &mut writes {
            start(&driver, write);
        }
        driver.turn(Some(Duration::from_millis(5))).unwrap();
        // The thread was here all the time.
        drop(outside);
        drain(&driver);
    });
}

/// Splices until it has to wait, and tells how many bytes were moved.
fn splice_all(driver: &Driver, from: &SharedFd, to: &SharedFd, len: usize) -> usize {
    let mut moved = 0;
    for _ in 0..1000 {
        let cursor = Position::Cursor;
        let splice = Splice::new(from.clone(), cursor, to.clone(), cursor, len);
        let mut splice = driver.submit(splice);
        match start(driver, &mut splice) {
            Some(Ok(0)) => return moved,
            Some(Ok(len)) => moved += len,
            Some(Err(error)) => panic!("{error}"),
            None => {
                for _ in 0..20 {
                    driver.turn(Some(Duration::ZERO)).unwrap();
                }
                let before = driver.enters();
                driver.turn(Some(Duration::from_millis(2))).unwrap();
                driver.turn(Some(Duration::from_millis(2))).unwrap();
                assert!(driver.enters() - before <= 2, "it waits busily");
                match start(driver, &mut splice) {
                    Some(len) => moved += len.unwrap(),
                    None => return moved,
                }
            }
        }
    }
    panic!("it does not come to its end");
}

#[test]
fn a_splice_from_nothing_waits_and_comes_through() {
    unblocked(|| {
        for driver in each_backend() {
            let (from, writer) = pipe();
            let (mut reader, to) = io::pipe().unwrap();
            let (tcp_near, mut tcp_far) = tcp();
            let mut writer = duplicate(&writer);
            let to = share(to);
            let cursor = Position::Cursor;
            let mut splice = driver.submit(Splice::new(from, cursor, to.clone(), cursor, 64));
            begin(&driver, &mut splice);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut splice);
            writer.write_all(b"pipe").unwrap();
            assert_eq!(run(&driver, splice).unwrap(), 4);

            let splice = Splice::new(share(tcp_near), cursor, to, cursor, 64);
            let mut splice = driver.submit(splice);
            begin(&driver, &mut splice);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut splice);
            tcp_far.write_all(b"socket").unwrap();
            assert_eq!(run(&driver, splice).unwrap(), 6);
            let mut bytes = [0; 10];
            reader.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"pipesocket");
        }
    });
}

#[test]
fn a_splice_to_what_is_full_waits() {
    unblocked(|| {
        let driver = readiness();
        let (from, writer) = pipe();
        let (reader, to) = pipe();
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(to.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
        duplicate(&writer).write_all(&[7; 60_000]).unwrap();
        let moved = splice_all(&driver, &from, &to, 8192);
        assert!((1..60_000).contains(&moved), "{moved}");
        drop(reader);
    });
}

#[test]
fn a_splice_to_a_full_socket_waits_and_comes_through() {
    unblocked(|| {
        let driver = readiness();
        for (near, mut far) in [
            {
                let (near, far) = UnixStream::pair().unwrap();
                (OwnedFd::from(near), fs::File::from(OwnedFd::from(far)))
            },
            {
                let (near, far) = tcp();
                (OwnedFd::from(near), fs::File::from(OwnedFd::from(far)))
            },
        ] {
            let (from, writer) = pipe();
            let mut writer = duplicate(&writer);
            let near = share(near);
            let mut sent = 0;
            let mut waiting = loop {
                writer.write_all(&[7; 60_000]).unwrap();
                let cursor = Position::Cursor;
                let splice = Splice::new(from.clone(), cursor, near.clone(), cursor, 60_000);
                let mut splice = driver.submit(splice);
                match start(&driver, &mut splice) {
                    Some(len) if len.as_ref().is_ok_and(|len| *len == 60_000) => sent += 60_000,
                    Some(len) => {
                        sent += len.unwrap();
                        let splice =
                            Splice::new(from.clone(), cursor, near.clone(), cursor, 60_000);
                        let mut splice = driver.submit(splice);
                        if let Some(len) = start(&driver, &mut splice) {
                            sent += len.unwrap();
                            continue;
                        }
                        break splice;
                    }
                    None => break splice,
                }
                assert!(sent < 1 << 26);
            };
            let mut seen = 0;
            let rest = loop {
                driver.turn(Some(Duration::from_millis(1))).unwrap();
                if let Some(len) = start(&driver, &mut waiting) {
                    break len.unwrap();
                }
                seen += far.read(&mut vec![0; 1 << 16]).unwrap();
            };
            assert!(rest > 0);
            while seen < sent + rest {
                seen += far.read(&mut vec![0; 1 << 16]).unwrap();
            }
            assert_eq!(seen, sent + rest);
        }
    });
}

#[test]
fn a_splice_from_a_file_comes_to_its_end() {
    unblocked(|| {
        for driver in each_backend() {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[7; 10_000]).unwrap();
            let (mut reader, to) = io::pipe().unwrap();
            let (file, to) = (share(file), share(to));
            let mut moved = 0;
            loop {
                let splice = Splice::new(
                    file.clone(),
                    Position::At(moved as u64),
                    to.clone(),
                    Position::Cursor,
                    6000,
                );
                match run(&driver, driver.submit(splice)).unwrap() {
                    0 => break,
                    len => moved += len,
                }
            }
            assert_eq!(moved, 10_000);
            drop(to);
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            assert_eq!(all, [7; 10_000]);
        }
    });
}

#[test]
fn a_listener() {
    unblocked(|| {
        for driver in each_backend() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let listener = share(listener);
            let mut accept = driver.submit(Accept::new(listener.clone()));
            begin(&driver, &mut accept);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut accept);
            let client = std::net::TcpStream::connect(address).unwrap();
            let (accepted, peer) = run(&driver, accept).unwrap();
            assert_eq!(peer.as_socket(), client.local_addr().ok());
            assert!(!is_nonblocking(&accepted));
        }
    });
}

fn socket(domain: socket2::Domain) -> SharedFd {
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None);
    share(OwnedFd::from(socket.unwrap()))
}

#[test]
fn a_connect_leaves_the_mode_as_it_was() {
    unblocked(|| {
        for driver in each_backend() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = SockAddr::from(listener.local_addr().unwrap());
            let fd = socket(socket2::Domain::IPV4);
            let connect = Connect::new(fd.clone(), address.clone());
            run(&driver, driver.submit(connect)).unwrap();
            assert!(!is_nonblocking(&fd));
            // Connected already.
            let again = Connect::new(fd.clone(), address);
            check_error(run(&driver, driver.submit(again)), libc::EISCONN);
            let (mut far, _) = listener.accept().unwrap();
            run(&driver, driver.submit(Send::new(fd, "x", 0)))
                .0
                .unwrap();
            far.read_exact(&mut [0; 1]).unwrap();
        }
    });
}

#[test]
fn a_connect_to_nobody_is_refused() {
    for driver in each_backend() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = SockAddr::from(listener.local_addr().unwrap());
        drop(listener);
        let fd = socket(socket2::Domain::IPV4);
        let connect = Connect::new(fd.clone(), address.clone());
        check_error(run(&driver, driver.submit(connect)), libc::ECONNREFUSED);
        let again = Connect::new(fd, address);
        check_error(run(&driver, driver.submit(again)), libc::ECONNREFUSED);
    }
}

/// It must be asked for although somebody waits for the same direction.
#[test]
fn a_connect_beside_others_connects() {
    unblocked(|| {
        for driver in each_backend() {
            // It takes no more connections, and so the next one takes its time.
            let listener =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
            listener.bind(&address.into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap();
            let others: Vec<_> = (0..4).map(|_| socket(socket2::Domain::IPV4)).collect();
            let mut slow = Vec::new();
            for other in &others {
                let mut connect = driver.submit(Connect::new(other.clone(), address.clone()));
                if poll_once(&driver, &mut connect).is_ready() {
                    continue;
                }
                driver.turn(Some(Duration::from_millis(1))).unwrap();
                if poll_once(&driver, &mut connect).is_pending() {
                    slow.push((other.clone(), connect));
                }
            }
            let (fd, connect) = slow.pop().expect("one of them has to wait");
            let again = driver.submit(Connect::new(fd, address.clone()));
            check_error(run(&driver, again), libc::EALREADY);
            drop((connect, slow));
            drain(&driver);
        }
    });
}

#[test]
fn a_unix_listener_without_room_is_waited_for() {
    unblocked(|| {
        let driver = readiness();
        let folder = tempfile::tempdir().unwrap();
        let address = socket2::SockAddr::unix(folder.path().join("socket")).unwrap();
        let listener =
            socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let connect =
            || driver.submit(Connect::new(socket(socket2::Domain::UNIX), address.clone()));
        run(&driver, connect()).unwrap();

        let mut given_up = connect();
        begin(&driver, &mut given_up);
        let mut waits = connect();
        begin(&driver, &mut waits);
        driver.turn(Some(Duration::from_millis(5))).unwrap();
        begin(&driver, &mut waits);
        given_up.cancel();
        assert_eq!(
            run(&driver, given_up).unwrap_err().raw_os_error(),
            Some(libc::ECANCELED)
        );
        drop(listener.accept().unwrap());
        run(&driver, waits).unwrap();
    });
}

#[test]
fn nobody_reads_from_a_socket_at_its_cursor_too_early() {
    unblocked(|| {
        for driver in each_backend() {
            let (near, mut far) = tcp();
            let near = share(near);
            let mut read = driver.submit(ReadAt::at_cursor(near.clone(), vec![0; 8]));
            begin(&driver, &mut read);
            let mut recv = driver.submit(Recv::new(near, vec![0; 8], 0));
            begin(&driver, &mut recv);
            far.write_all(b"one").unwrap();
            assert_eq!(run(&driver, read).1, b"one");
            far.write_all(b"two").unwrap();
            assert_eq!(run(&driver, recv).1, b"two");
        }
    });
}

/// A stream has no positions: those that are named are passed over.
#[test]
fn positions_of_a_stream_are_nothing() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, writer) = pipe();
            let mut read = driver.submit(ReadAt::new(reader, 77, Vec::with_capacity(8)));
            begin(&driver, &mut read);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut read);
            let write = driver.submit(WriteAt::new(writer, 99, "hello"));
            assert_eq!(run(&driver, write).0.unwrap(), 5);
            assert_eq!(run(&driver, read).1, b"hello");

            let (mut outside, inside) = terminal();
            let inside = share(inside);
            let write = driver.submit(WriteAt::new(inside.clone(), 99, "hello"));
            assert_eq!(run(&driver, write).0.unwrap(), 5);
            outside.read_exact(&mut [0; 5]).unwrap();
            outside.write_all(b"hello").unwrap();
            let read = driver.submit(ReadAt::new(inside, 77, Vec::with_capacity(8)));
            assert_eq!(run(&driver, read).1, b"hello");
        }
    });
}

#[test]
fn a_fifo_is_opened_without_its_other_end() {
    unblocked(|| {
        for driver in each_backend() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("fifo");
            let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
            // SAFETY: a string that ends.
            assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            let writer = Open::new(name.clone(), libc::O_WRONLY, 0);
            check_error(run(&driver, driver.submit(writer)), libc::ENXIO);
            let reader = driver.submit(Open::new(name.clone(), libc::O_RDONLY, 0));
            let reader = run(&driver, reader).unwrap();
            assert!(!is_nonblocking(&reader));
            let append = libc::O_WRONLY | libc::O_APPEND;
            let writer = driver.submit(Open::new(name, append, 0));
            let writer = run(&driver, writer).unwrap();
            assert!(!is_nonblocking(&writer));
            fs::File::from(writer).write_all(b"x").unwrap();
            let mut text = String::new();
            fs::File::from(reader).read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
    });
}
