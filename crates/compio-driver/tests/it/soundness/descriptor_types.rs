//! 37, 38 and 44: no type of descriptor blocks the driver's thread, and a splice leaves its pipe
//! usable.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::UdpSocket,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{
            net::{UnixDatagram, UnixStream},
            process::CommandExt,
        },
    },
    process::{Command, Stdio},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    Driver, SharedFd,
    op::{Position, ReadAt, Splice, WriteAt},
};
use compio_testkit::process::this_test;

use crate::{
    support::{
        LONG, begin, check_blocks, check_code, code, drain, driver, each_backend, file, run, share,
        start, tcp, unblocked,
    },
    unix::{
        fifos::fifo,
        terminals::{self, terminal},
    },
};

/// Shorter than the time for which a thread stays blocked, and long enough for everything else.
const SOON: Duration = Duration::from_secs(15);

/// Turns a few times, which returns only if nothing blocks the thread.
fn turn_a_little(driver: &Driver) {
    for _ in 0..10 {
        driver.turn(Some(Duration::from_millis(1))).unwrap();
    }
}

/// Drops a driver whose operations have been dropped, and checks that this ends soon.
#[track_caller]
fn check_end(driver: Driver) {
    turn_a_little(&driver);
    let began = Instant::now();
    drain(&driver);
    drop(driver);
    assert!(began.elapsed() < SOON, "the end takes too long");
}

fn new(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the caller has just made it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn pipe_ends() -> (fs::File, fs::File) {
    let (reader, writer) = io::pipe().unwrap();
    (OwnedFd::from(reader).into(), OwnedFd::from(writer).into())
}

/// Returns as many bytes as the pipe has room for.
fn fill(writer: &fs::File) -> usize {
    let room = set_pipe_size(writer, 1 << 18);
    (&*writer).write_all(&vec![7; room]).unwrap();
    room
}

fn set_pipe_size(pipe: &fs::File, size: i32) -> usize {
    // SAFETY: no pointers are passed.
    let size = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, size) };
    usize::try_from(size).unwrap()
}

fn splice(from: &SharedFd, to: &SharedFd, len: usize) -> Splice {
    let cursor = Position::Cursor;
    Splice::new(from.clone(), cursor, to.clone(), cursor, len)
}

/// Blocking sockets, each with its peer.
fn sockets() -> [(OwnedFd, fs::File); 2] {
    let (tcp_near, tcp_far) = tcp();
    let (unix_near, unix_far) = UnixStream::pair().unwrap();
    [
        (tcp_near.into(), OwnedFd::from(tcp_far).into()),
        (unix_near.into(), OwnedFd::from(unix_far).into()),
    ]
}

#[test]
fn s37_splice_from_idle_socket_dropped_leaves_pipe_usable() {
    unblocked(|| {
        for driver in each_backend() {
            for (near, _far) in sockets() {
                let (mut reader, writer) = pipe_ends();
                let near = share(near);
                let to = share(writer.try_clone().unwrap());
                let mut waiting = driver.submit(splice(&near, &to, 100));
                begin(&driver, &mut waiting);
                turn_a_little(&driver);
                thread::sleep(Duration::from_millis(5));
                (&writer).write_all(b"x").unwrap();
                reader.read_exact(&mut [0]).unwrap();
                drop(waiting);
                drop((reader, writer));
                check_blocks(&near);
            }
            check_end(driver);
        }
    });
}

#[test]
fn s37_splice_to_full_socket_leaves_pipe_usable() {
    unblocked(|| {
        for driver in each_backend() {
            for (near, far) in sockets() {
                let (reader, writer) = pipe_ends();
                let (from, near) = (share(reader), share(near));
                let mut moved = 0;
                // The peer does not read, so one of these splices waits.
                let mut waiting = loop {
                    let filled = fill_up(&writer);
                    let mut waiting = driver.submit(splice(&from, &near, 1 << 20));
                    let mut outcome = start(&driver, &mut waiting);
                    let began = Instant::now();
                    while outcome.is_none() && began.elapsed() < Duration::from_millis(100) {
                        driver.turn(Some(Duration::from_millis(5))).unwrap();
                        outcome = start(&driver, &mut waiting);
                    }
                    match outcome {
                        Some(len) => moved += len.unwrap(),
                        None => break waiting,
                    }
                    assert!(moved < 1 << 26, "{filled}");
                };
                // The writing end stays usable.
                fill_up(&writer);
                check_blocks(&near);
                let reading = thread::spawn(move || {
                    let mut all = vec![0; 1 << 16];
                    let mut count = 0;
                    let mut far = far;
                    loop {
                        match far.read(&mut all).unwrap() {
                            0 => return count,
                            len => count += len,
                        }
                    }
                });
                moved += run(&driver, &mut waiting).unwrap();
                drop(waiting);
                shut(&near);
                drop(near);
                assert_eq!(reading.join().unwrap(), moved);
            }
            check_end(driver);
        }
    });
}

/// Writes until the pipe is full, through a separate open file description.
fn fill_up(writer: &fs::File) -> usize {
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut own = {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = fs::OpenOptions::new();
        options.write(true).custom_flags(libc::O_NONBLOCK);
        options.open(path).unwrap()
    };
    let mut count = 0;
    while let Ok(len) = own.write(&[7; 4096]) {
        count += len;
    }
    count
}

fn shut(socket: &SharedFd) {
    // SAFETY: no pointers are passed.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

#[test]
fn s37_splice_of_socket_leaves_its_mode() {
    unblocked(|| {
        for driver in each_backend() {
            for (near, mut far) in sockets() {
                let (reader, writer) = pipe_ends();
                let (near, from, to) = (share(near), share(reader), share(writer));
                far.write_all(b"hello").unwrap();
                assert_eq!(
                    run(&driver, driver.submit(splice(&near, &to, 64))).unwrap(),
                    5
                );
                check_blocks(&near);
                assert_eq!(
                    run(&driver, driver.submit(splice(&from, &near, 64))).unwrap(),
                    5
                );
                check_blocks(&near);
                let mut bytes = [0; 5];
                far.read_exact(&mut bytes).unwrap();
                assert_eq!(&bytes, b"hello");
                // EOF of a stream that has ended.
                drop(far);
                let end = run(&driver, driver.submit(splice(&near, &to, 64)));
                assert_eq!(end.unwrap(), 0);
            }
            check_end(driver);
        }
    });
}

/// Both ends at once: bytes through a pipe from one socket to another.
#[test]
fn s37_splices_between_slow_sockets_lose_no_byte() {
    const LEN: usize = 3_000_000;
    unblocked(|| {
        for driver in each_backend() {
            for ((near, mut far), (out, mut reads)) in sockets().into_iter().zip(sockets()) {
                let (reader, writer) = pipe_ends();
                let (near, out) = (share(near), share(out));
                let (from, to) = (share(reader), share(writer));
                let writes = thread::spawn(move || {
                    let bytes: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
                    far.write_all(&bytes).unwrap();
                });
                let reads = thread::spawn(move || {
                    let mut bytes = Vec::new();
                    reads.read_to_end(&mut bytes).unwrap();
                    bytes
                });
                let mut moved = 0;
                loop {
                    match run(&driver, driver.submit(splice(&near, &to, 1 << 16))).unwrap() {
                        0 => break,
                        mut left => {
                            while left > 0 {
                                let splice = splice(&from, &out, left);
                                let len = run(&driver, driver.submit(splice)).unwrap();
                                assert!(len > 0);
                                left -= len;
                                moved += len;
                            }
                        }
                    }
                }
                assert_eq!(moved, LEN);
                drop(out);
                writes.join().unwrap();
                let bytes = reads.join().unwrap();
                assert!(
                    bytes
                        .iter()
                        .enumerate()
                        .all(|(at, byte)| *byte == (at % 251) as u8)
                );
                assert_eq!(bytes.len(), LEN);
            }
            check_end(driver);
        }
    });
}

/// 1 MB for a terminal that has no reader, at an offset and at the cursor, from either side.
#[test]
fn s38_write_to_unread_terminal_does_not_block() {
    unblocked(|| {
        for backend in 0..each_backend().count() {
            for (inside_writes, at_cursor) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let driver = each_backend().nth(backend).unwrap();
                let (outside, inside) = terminal();
                let (writer, mut reader) = match inside_writes {
                    true => (inside, outside),
                    false => (outside, inside),
                };
                let writer = share(writer);
                let bytes = vec![b'x'; 1 << 20];
                let write = match at_cursor {
                    true => WriteAt::at_cursor(writer.clone(), bytes),
                    false => WriteAt::new(writer.clone(), 0, bytes),
                };
                let mut write = driver.submit(write);
                let mut written = start(&driver, &mut write);
                turn_a_little(&driver);
                check_blocks(&writer);
                let done = Arc::new(AtomicBool::new(false));
                let reading = thread::spawn({
                    let done = Arc::clone(&done);
                    move || {
                        let mut count = 0;
                        let mut bytes = vec![0; 1 << 16];
                        while !done.load(Relaxed) || terminals::is_readable(&reader) {
                            if terminals::is_readable(&reader) {
                                count += reader.read(&mut bytes).unwrap();
                            }
                        }
                        count
                    }
                });
                let len = match written.take() {
                    Some((len, _)) => len.unwrap(),
                    None => run(&driver, &mut write).0.unwrap(),
                };
                done.store(true, Relaxed);
                assert_eq!(reading.join().unwrap(), len);
                check_end(driver);
            }
        }
    });
}

#[test]
fn s38_write_to_stopped_terminal_dropped_ends_with_driver() {
    unblocked(|| {
        for driver in each_backend() {
            let (_outside, inside) = terminal();
            // As Ctrl-S does.
            // SAFETY: no pointers are passed.
            assert_eq!(unsafe { libc::tcflow(inside.as_raw_fd(), libc::TCOOFF) }, 0);
            let inside = share(inside);
            let write = WriteAt::at_cursor(inside, vec![b'x'; 1 << 20]);
            let mut write = driver.submit(write);
            assert!(start(&driver, &mut write).is_none());
            turn_a_little(&driver);
            drop(write);
            check_end(driver);
        }
    });
}

#[test]
fn s38_splice_to_unread_terminal_does_not_block() {
    unblocked(|| {
        for backend in 0..each_backend().count() {
            for inside_writes in [true, false] {
                let driver = each_backend().nth(backend).unwrap();
                let (outside, inside) = terminal();
                let (to, _other) = match inside_writes {
                    true => (inside, outside),
                    false => (outside, inside),
                };
                let (reader, writer) = pipe_ends();
                fill(&writer);
                let (from, to) = (share(reader), share(to));
                let mut moved = 0;
                // A master accepts one byte at a time.
                for _ in 0..50 {
                    let mut waiting = driver.submit(splice(&from, &to, 1 << 20));
                    let mut outcome = start(&driver, &mut waiting);
                    if outcome.is_none() {
                        turn_a_little(&driver);
                        outcome = start(&driver, &mut waiting);
                    }
                    match outcome {
                        Some(len) => moved += len.unwrap(),
                        None => break,
                    }
                }
                assert!(moved > 0);
                check_blocks(&to);
                drop(writer);
                check_end(driver);
            }
        }
    });
}

#[test]
fn s38_splice_from_idle_terminal_leaves_pipe_usable() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut outside, inside) = terminal();
            let (mut reader, writer) = pipe_ends();
            let (from, to) = (share(inside), share(writer.try_clone().unwrap()));
            let mut waiting = driver.submit(splice(&from, &to, 100));
            begin(&driver, &mut waiting);
            turn_a_little(&driver);
            (&writer).write_all(b"x").unwrap();
            reader.read_exact(&mut [0]).unwrap();
            outside.write_all(b"hello").unwrap();
            assert_eq!(run(&driver, waiting).unwrap(), 5);
            reader.read_exact(&mut [0; 5]).unwrap();
            check_end(driver);
        }
    });
}

/// One type of descriptor, which has nothing to read at first.
struct Kind {
    name: &'static str,
    fd: OwnedFd,
    /// Makes it readable for one read.
    feed: Box<dyn FnMut()>,
    /// The length that a read needs.
    len: usize,
}

fn kind(name: &'static str, fd: impl Into<OwnedFd>, feed: impl FnMut() + 'static) -> Kind {
    Kind {
        name,
        fd: fd.into(),
        feed: Box::new(feed),
        len: 1,
    }
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    let (mut outside, inside) = terminal();
    kinds.push(kind("terminal", inside, move || {
        outside.write_all(b"x").unwrap()
    }));
    let (outside, mut inside) = terminal();
    kinds.push(kind("master", outside, move || {
        inside.write_all(b"x").unwrap()
    }));
    let (reader, mut writer) = fifo();
    kinds.push(kind("FIFO", reader, move || {
        writer.write_all(b"x").unwrap()
    }));
    let (reader, mut writer) = pipe_ends();
    kinds.push(kind("pipe", reader, move || {
        writer.write_all(b"x").unwrap()
    }));
    for (near, mut far) in sockets() {
        kinds.push(kind("stream", near, move || far.write_all(b"x").unwrap()));
    }
    let (near, far) = UnixDatagram::pair().unwrap();
    kinds.push(kind("datagram", near, move || {
        far.send(b"x").unwrap();
    }));
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = near.local_addr().unwrap();
    kinds.push(kind("UDP", near, move || {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.send_to(b"x", address).unwrap();
    }));
    // SAFETY: no pointers are passed.
    let event = new(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) });
    let other = fs::File::from(event.try_clone().unwrap());
    kinds.push(Kind {
        len: 8,
        ..kind("eventfd", event, move || {
            (&other).write_all(&1_u64.to_ne_bytes()).unwrap()
        })
    });
    // SAFETY: no pointers are passed.
    let timer = new(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) });
    let other = timer.try_clone().unwrap();
    kinds.push(Kind {
        len: 8,
        ..kind("timerfd", timer, move || {
            let none = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let soon = libc::itimerspec {
                it_interval: none,
                it_value: libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 1,
                },
            };
            // SAFETY: the time outlives the call.
            let set = unsafe {
                libc::timerfd_settime(other.as_raw_fd(), 0, &raw const soon, ptr::null_mut())
            };
            assert_eq!(set, 0);
        })
    });
    // SAFETY: the set is plain data, and outlives the calls; this thread alone blocks the signal.
    let signals = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGRTMAX() - 1);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        new(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC))
    };
    kinds.push(Kind {
        len: 128,
        ..kind("signalfd", signals, || {
            // SAFETY: the signal goes to this thread, which has blocked it.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGRTMAX() - 1) };
        })
    });
    let folder = tempfile::tempdir().unwrap();
    // SAFETY: the path is a C string, and outlives the call.
    let inotify = unsafe {
        let inotify = new(libc::inotify_init1(libc::IN_CLOEXEC));
        let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
        let watch = libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), libc::IN_CREATE);
        assert!(watch >= 0);
        inotify
    };
    let mut count = 0;
    kinds.push(Kind {
        len: 4096,
        ..kind("inotify", inotify, move || {
            count += 1;
            fs::write(folder.path().join(count.to_string()), "").unwrap();
        })
    });
    kinds
}

/// Two reads wait, and data arrives for one of them. The other one keeps waiting, and does not
/// block the thread.
#[test]
fn s38_reads_of_each_type_wait_without_blocking() {
    unblocked(|| {
        for backend in 0..each_backend().count() {
            for Kind {
                name,
                fd,
                mut feed,
                len,
            } in kinds()
            {
                let driver = each_backend().nth(backend).unwrap();
                eprintln!("{name} on {}", driver.backend().kind());
                let fd = share(fd);
                let read = || driver.submit(ReadAt::at_cursor(fd.clone(), Vec::with_capacity(len)));
                let (mut one, mut other) = (read(), read());
                begin(&driver, &mut one);
                begin(&driver, &mut other);
                turn_a_little(&driver);
                feed();
                let began = Instant::now();
                let mut first = None;
                while first.is_none() {
                    driver.turn(Some(Duration::from_millis(5))).unwrap();
                    first = start(&driver, &mut one).or_else(|| start(&driver, &mut other));
                    assert!(began.elapsed() < LONG, "no read ends");
                }
                let read = first.unwrap().0;
                assert!(
                    read.as_ref().is_ok_and(|read| *read > 0),
                    "{name}: {read:?}"
                );
                turn_a_little(&driver);
                check_blocks(&fd);
                drop((one, other));
                check_end(driver);
            }
        }
    });
}

#[test]
fn s38_devices_that_never_wait_are_read_and_written() {
    unblocked(|| {
        for driver in each_backend() {
            for (path, len) in [
                ("/dev/null", 0),
                ("/dev/zero", 64),
                ("/dev/full", 64),
                ("/dev/random", 64),
                ("/dev/urandom", 64),
            ] {
                let mut options = fs::OpenOptions::new();
                let device = share(options.read(true).write(true).open(path).unwrap());
                let read = ReadAt::at_cursor(device.clone(), Vec::with_capacity(64));
                assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), len, "{path}");
                let read = ReadAt::new(device.clone(), 5, Vec::with_capacity(64));
                assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), len, "{path}");
                let write = run(
                    &driver,
                    driver.submit(WriteAt::at_cursor(device.clone(), "x")),
                );
                if path == "/dev/full" {
                    check_code(write.0, libc::ENOSPC);
                } else {
                    assert_eq!(write.0.unwrap(), 1, "{path}");
                }
                let (reader, writer) = pipe_ends();
                let (from, to) = (share(reader), share(writer));
                if len > 0 {
                    let moved = run(&driver, driver.submit(splice(&device, &to, 64)));
                    assert_eq!(moved.unwrap(), 64, "{path}");
                    let into = share(
                        fs::OpenOptions::new()
                            .write(true)
                            .open("/dev/null")
                            .unwrap(),
                    );
                    let moved = run(&driver, driver.submit(splice(&from, &into, 100)));
                    assert_eq!(moved.unwrap(), 64);
                }
            }
            let (_, regular) = file(b"regular");
            let read = ReadAt::at_cursor(regular, Vec::with_capacity(64));
            assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 7);
            check_end(driver);
        }
    });
}

/// With VMIN and VTIME a blocking read waits up to 25 s between two bytes.
#[test]
fn s44_read_of_terminal_with_vtime_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut outside, inside) = terminal();
            terminals::set_min_and_time(&inside, 10, 255);
            let inside = share(inside);
            let mut read = driver.submit(ReadAt::at_cursor(inside.clone(), vec![0; 64]));
            begin(&driver, &mut read);
            turn_a_little(&driver);
            let began = Instant::now();
            outside.write_all(b"x").unwrap();
            turn_a_little(&driver);
            drop(read);
            check_end(driver);
            assert!(began.elapsed() < SOON, "the thread was blocked");
        }
    });
}

/// Other readers take the same bytes: a read that finds none waits, and does not block its thread.
fn race_for(driver: Driver, near: fs::File, mut far: fs::File) {
    let over = Arc::new(AtomicBool::new(false));
    let rivals: Vec<_> = (0..3)
        .map(|_| {
            let mut rival = near.try_clone().unwrap();
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    rival.read_exact(&mut [0]).unwrap();
                }
            })
        })
        .collect();
    let near = share(near);
    for _ in 0..300 {
        far.write_all(b"xx").unwrap();
        let mut read = driver.submit(ReadAt::at_cursor(near.clone(), vec![0; 1]));
        if start(&driver, &mut read).is_none() {
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
    }
    drop(near);
    check_end(driver);
    over.store(true, Relaxed);
    for _ in 0..10_000 {
        if rivals.iter().all(|rival| rival.is_finished()) {
            break;
        }
        far.write_all(b"x").unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    for rival in rivals {
        rival.join().unwrap();
    }
}

#[test]
fn s44_read_of_terminal_shared_with_other_readers_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let (outside, inside) = terminal();
            race_for(driver, inside, outside);
        }
    });
}

#[test]
fn s44_read_of_fifo_shared_with_other_readers_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, writer) = fifo();
            race_for(driver, reader, writer);
        }
    });
}

#[test]
fn s44_write_to_fifo_shared_with_other_writers_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut reader, writer) = fifo();
            let mut rival = writer.try_clone().unwrap();
            let writer = share(writer);
            // Without a reader all writes wait, and this thread does not block.
            let rivals = thread::spawn(move || while rival.write_all(&[7; 5000]).is_ok() {});
            for _ in 0..100 {
                let write = WriteAt::at_cursor(writer.clone(), vec![7; 4000]);
                let mut write = driver.submit(write);
                start(&driver, &mut write);
                turn_a_little(&driver);
                // This makes room for one write.
                reader.read_exact(&mut [0; 4096]).unwrap();
            }
            drop(writer);
            check_end(driver);
            drop(reader);
            rivals.join().unwrap();
        }
    });
}

#[test]
fn s44_cancelled_read_of_terminal_loses_no_byte() {
    unblocked(|| {
        for driver in each_backend() {
            let (mut outside, inside) = terminal();
            let inside = share(inside);
            for round in 0..20 {
                let mut read = driver.submit(ReadAt::at_cursor(inside.clone(), vec![0; 8]));
                begin(&driver, &mut read);
                if round % 2 == 0 {
                    driver.turn(Some(Duration::ZERO)).unwrap();
                }
                read.cancel();
                check_code(run(&driver, read).0, code::CANCELLED);
            }
            outside.write_all(b"hello").unwrap();
            let read = driver.submit(ReadAt::at_cursor(inside, Vec::with_capacity(8)));
            assert_eq!(run(&driver, read).1, b"hello");
            check_end(driver);
        }
    });
}

/// Names the role of a child in the background test.
const PART: &str = "COMPIO_TEST_PART";

/// A session with this terminal, and in it a background process group that reads.
#[test]
fn s44_read_of_terminal_from_background_stops_the_program() {
    for backend in each_backend().map(|driver| driver.backend().kind()) {
        let (_outside, inside) = terminal();
        let leader = part("leader", backend.to_string())
            .stdin(inside.try_clone().unwrap())
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8(leader.stdout).unwrap();
        assert!(said.contains("SAYS stopped"), "{backend}: {said}");
        drop(inside);
    }
}

fn part(part: &str, backend: String) -> Command {
    let name = "soundness::descriptor_types::plays_a_part_on_a_terminal";
    let mut command = this_test(name);
    command.env(PART, part).env("COMPIO_BACKEND", backend);
    command
}

#[test]
#[ignore = "a part of the test before, in a process of its own"]
fn plays_a_part_on_a_terminal() {
    match env::var(PART).as_deref() {
        Ok("leader") => lead(),
        Ok("reader") => {
            let driver = driver();
            let stdin = io::stdin();
            let fd = share(
                std::os::fd::AsFd::as_fd(&stdin)
                    .try_clone_to_owned()
                    .unwrap(),
            );
            let mut read = driver.submit(ReadAt::at_cursor(fd, vec![0; 8]));
            start(&driver, &mut read);
            let began = Instant::now();
            while began.elapsed() < SOON {
                driver.turn(Some(Duration::from_millis(5))).unwrap();
            }
            println!("it was not stopped");
        }
        Ok(_) | Err(_) => {}
    }
}

fn lead() {
    let backend = env::var("COMPIO_BACKEND").unwrap();
    // SAFETY: no pointers are passed. A child of the test is no group's leader.
    unsafe {
        assert!(libc::setsid() > 0);
        assert_eq!(libc::ioctl(0, libc::TIOCSCTTY, 0), 0);
    }
    let mut reader = part("reader", backend)
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let waited =
        unsafe { libc::waitpid(reader.id().cast_signed(), &raw mut status, libc::WUNTRACED) };
    assert_eq!(waited, reader.id().cast_signed());
    let stopped = libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTTIN;
    println!("SAYS {}", if stopped { "stopped" } else { "not stopped" });
    // A child that has ended is reaped already: that error is ignored.
    let _ = reader.kill();
    let _ = reader.wait();
}
