//! Readiness and splicing: the operations between two descriptors or about one.

use std::io::{Read, Seek, SeekFrom, Write};

use compio_driver::{
    SharedFd,
    op::{PollOnce, Position, ReadAt, Readiness, Splice, WriteAt},
};

use crate::support::{begin, check_error, driver, pipe, run, share, sockets};

#[test]
fn a_readable_descriptor_is_ready_at_once() {
    let driver = driver();
    let (read, write) = pipe();
    run(&driver, driver.submit(WriteAt::at_cursor(write, "x")))
        .0
        .unwrap();
    let poll = PollOnce::new(read, Readiness::READABLE | Readiness::PRIORITY);
    let ready = run(&driver, driver.submit(poll)).unwrap();
    assert!(ready.contains(Readiness::READABLE));
    assert!(!ready.contains(Readiness::PRIORITY));
}

#[test]
fn a_poll_waits_for_what_is_asked() {
    let driver = driver();
    let (one, other) = sockets();
    let mut readable = driver.submit(PollOnce::new(one.clone(), Readiness::READABLE));
    begin(&driver, &mut readable);
    let writable = driver.submit(PollOnce::new(one, Readiness::WRITABLE));
    assert!(
        run(&driver, writable)
            .unwrap()
            .contains(Readiness::WRITABLE)
    );
    begin(&driver, &mut readable);
    run(&driver, driver.submit(WriteAt::at_cursor(other, "x")))
        .0
        .unwrap();
    assert!(
        run(&driver, readable)
            .unwrap()
            .contains(Readiness::READABLE)
    );
}

#[test]
fn a_hang_up_is_reported_unasked() {
    let driver = driver();
    let (read, write) = pipe();
    drop(write);
    let poll = PollOnce::new(read, Readiness::PRIORITY);
    let ready = run(&driver, driver.submit(poll)).unwrap();
    assert!(ready.contains(Readiness::HANG_UP));
}

fn file(content: &str) -> (std::fs::File, SharedFd) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    let fd = share(file.try_clone().unwrap());
    (file, fd)
}

#[test]
fn a_splice_moves_bytes_from_a_file_to_a_file() {
    let driver = driver();
    let (_, from) = file("0123456789");
    let (mut into, to) = file("----------");
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
fn a_splice_tells_the_end_by_zero() {
    let driver = driver();
    let (_, from) = file("abc");
    let (_read, write) = pipe();
    let splice = Splice::new(from, Position::At(3), write, Position::Cursor, 5);
    assert_eq!(run(&driver, driver.submit(splice)).unwrap(), 0);
}

#[test]
fn a_splice_of_nothing_moves_nothing() {
    let driver = driver();
    let (_, from) = file("abc");
    let (_read, write) = pipe();
    let splice = Splice::new(from, Position::At(0), write, Position::Cursor, 0);
    assert_eq!(run(&driver, driver.submit(splice)).unwrap(), 0);
}

#[test]
fn a_splice_without_a_pipe_fails() {
    let driver = driver();
    let ((_, from), (_, to)) = (file("abc"), file(""));
    let splice = Splice::new(from, Position::At(0), to, Position::At(0), 3);
    check_error(run(&driver, driver.submit(splice)), libc::EINVAL);
}

#[test]
fn a_splice_at_a_pipes_offset_fails() {
    let driver = driver();
    let ((_, from), (read, write)) = (file("abc"), pipe());
    let splice = Splice::new(from, Position::At(0), write, Position::At(0), 3);
    check_error(run(&driver, driver.submit(splice)), libc::ESPIPE);
    // Nothing has come through: the writing end is closed, and here is the end already.
    let rest = driver.submit(ReadAt::at_cursor(read, vec![0; 8]));
    assert_eq!(run(&driver, rest).0.unwrap(), 0);
}

#[test]
fn a_splice_from_the_last_offset_is_none_from_the_cursor() {
    let driver = driver();
    let ((mut from, fd), (_read, write)) = (file("abc"), pipe());
    from.seek(SeekFrom::Start(0)).unwrap();
    let splice = Splice::new(fd, Position::At(u64::MAX), write, Position::Cursor, 3);
    check_error(run(&driver, driver.submit(splice)), libc::EINVAL);
}
