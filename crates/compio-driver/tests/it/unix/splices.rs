//! Splices, which Windows does not have.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use compio_driver::{
    AsRawFd, Driver, SharedFd,
    op::{Position, ReadAt, Splice},
};

use crate::{
    support::{
        begin, check_code, drain, driver, each_backend, file, pipe, pipe_in, pipe_out, readiness,
        run, share, start, tcp, turn_until, unblocked,
    },
    unix::is_done_without,
};

#[test]
fn a_splice_moves_bytes_from_a_file_to_a_file() {
    let driver = driver();
    let (_, from) = file(b"0123456789");
    let (mut into, to) = file(b"----------");
    let (read, write) = pipe();
    let fill = Splice::new(from, Position::At(2), write, Position::Cursor, 5);
    assert_eq!(run(&driver, driver.submit(fill)).unwrap(), 5);
    let empty = Splice::new(read, Position::Cursor, to, Position::At(3), 100);
    assert_eq!(run(&driver, driver.submit(empty)).unwrap(), 5);
    let mut text = String::new();
    into.seek(SeekFrom::Start(0)).unwrap();
    into.read_to_string(&mut text).unwrap();
    assert_eq!(text, "---23456--");
}

#[test]
fn a_splice_at_eof_returns_zero() {
    let driver = driver();
    let (_, from) = file(b"abc");
    let (_read, write) = pipe();
    let splice = Splice::new(from, Position::At(3), write, Position::Cursor, 5);
    assert_eq!(run(&driver, driver.submit(splice)).unwrap(), 0);
}

#[test]
fn a_splice_of_nothing_moves_nothing() {
    let driver = driver();
    let (_, from) = file(b"abc");
    let (_read, write) = pipe();
    let splice = Splice::new(from, Position::At(0), write, Position::Cursor, 0);
    assert_eq!(run(&driver, driver.submit(splice)).unwrap(), 0);
}

#[test]
fn a_splice_without_a_pipe_fails() {
    let driver = driver();
    let ((_, from), (_, to)) = (file(b"abc"), file(b""));
    let splice = Splice::new(from, Position::At(0), to, Position::At(0), 3);
    check_code(run(&driver, driver.submit(splice)), libc::EINVAL);
}

#[test]
fn a_splice_at_a_pipes_offset_fails() {
    let driver = driver();
    let ((_, from), (read, write)) = (file(b"abc"), pipe());
    let splice = Splice::new(from, Position::At(0), write, Position::At(0), 3);
    check_code(run(&driver, driver.submit(splice)), libc::ESPIPE);
    // No byte was moved: the writing end is closed, and the reader is at EOF.
    let rest = driver.submit(ReadAt::at_cursor(read, vec![0; 8]));
    assert_eq!(run(&driver, rest).0.unwrap(), 0);
}

#[test]
fn a_splice_from_the_last_offset_is_refused() {
    let driver = driver();
    let ((mut from, fd), (_read, write)) = (file(b"abc"), pipe());
    from.seek(SeekFrom::Start(0)).unwrap();
    let splice = Splice::new(fd, Position::At(u64::MAX), write, Position::Cursor, 3);
    check_code(run(&driver, driver.submit(splice)), libc::EINVAL);
}

/// Splices until a splice waits, and returns the number of moved bytes.
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
fn a_splice_from_an_empty_pipe_waits_and_completes() {
    unblocked(|| {
        for driver in each_backend() {
            let (from, mut writer) = pipe_in();
            let (mut reader, to) = pipe_out();
            let (tcp_near, mut tcp_far) = tcp();
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
fn a_splice_to_a_full_pipe_waits() {
    unblocked(|| {
        let driver = readiness();
        let (from, mut writer) = pipe_in();
        let (reader, to) = pipe();
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(to.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
        writer.write_all(&[7; 60_000]).unwrap();
        let moved = splice_all(&driver, &from, &to, 8192);
        assert!((1..60_000).contains(&moved), "{moved}");
        drop(reader);
    });
}

#[test]
fn a_splice_to_a_full_socket_waits_and_completes() {
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
            let (from, mut writer) = pipe_in();
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
            let (mut reader, to) = pipe_out();
            let file = share(file);
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
fn a_dropped_splice_from_an_empty_pipe_ends() {
    if is_done_without("SPLICE") {
        return;
    }
    let driver = driver();
    let (from, _writer) = pipe();
    let (_reader, to) = pipe();
    let (cursor, len) = (Position::Cursor, 64);
    let mut splice = driver.submit(Splice::new(from, cursor, to, cursor, len));
    begin(&driver, &mut splice);
    driver
        .turn(Some(std::time::Duration::from_millis(1)))
        .unwrap();
    drop(splice);
    drain(&driver);
}

#[test]
fn two_splices_from_one_pipe_wait_for_a_byte_each() {
    unblocked(|| {
        for driver in each_backend() {
            let (from, mut source) = pipe_in();
            let [(one, to_one), (other, to_other)] = [pipe(), pipe()];
            let mut splices = [to_one, to_other].map(|to| {
                let from = from.clone();
                driver.submit(Splice::new(from, Position::Cursor, to, Position::Cursor, 1))
            });
            splices.iter_mut().for_each(|splice| begin(&driver, splice));
            source.write_all(b"x").unwrap();
            turn_until(&driver, || driver.in_flight() == 1);
            source.write_all(b"x").unwrap();
            for splice in splices {
                assert_eq!(run(&driver, splice).unwrap(), 1, "{:?}", driver.backend());
            }
            for reader in [one, other] {
                let read = driver.submit(ReadAt::at_cursor(reader, Vec::with_capacity(8)));
                assert_eq!(run(&driver, read).1, b"x");
            }
        }
    });
}

/// A backend may limit its calls per turn.
#[test]
fn hundreds_of_splices_one_after_the_other_complete() {
    unblocked(|| {
        for driver in each_backend() {
            let ((from, mut source), (mut sink, to)) = (pipe_in(), pipe_out());
            for byte in 0..200 {
                source.write_all(&[byte]).unwrap();
                let (from, to) = (from.clone(), to.clone());
                let splice = Splice::new(from, Position::Cursor, to, Position::Cursor, 1);
                assert_eq!(run(&driver, driver.submit(splice)).unwrap(), 1);
                let mut moved = [0];
                sink.read_exact(&mut moved).unwrap();
                assert_eq!(moved, [byte], "{:?}", driver.backend());
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
        }
    });
}
