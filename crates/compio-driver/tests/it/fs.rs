//! File operations: success, failure and EOF of each one.

use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    time::UNIX_EPOCH,
};

use compio_driver::{
    SharedFd,
    op::{
        Close, Open, ReadAt, ReadVectoredAt, Stat, StatFd, Sync, Truncate, WriteAt, WriteVectoredAt,
    },
};
use compio_io::buf::{IntoInner, IoBuf};

use crate::support::{
    BUFFERS_MAX, HAS_CREATION_TIME, NEW_FILE, READ, READ_WRITE_CREATE, check_attributes,
    check_code, check_kind, check_returned, code, driver, each_backend, file, forget_from,
    is_inherited, native, pipe, run, share, start,
};

/// A file with this content, whose cursor is at the start and shared by test and driver.
fn file_with_cursor(content: &[u8]) -> (File, SharedFd) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let fd = share(file.try_clone().unwrap());
    (file, fd)
}

fn content(file: &mut File) -> String {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_read_fills_the_buffer_from_its_start() {
    let driver = driver();
    let (_, fd) = file(b"0123456789");
    let read = ReadAt::new(fd.clone(), 8, b"old content".to_vec());
    let (len, buffer) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), &buffer[..]), (2, &b"89"[..]));
    let read = ReadAt::new(fd, 2, Vec::with_capacity(3));
    assert_eq!(run(&driver, driver.submit(read)).1, b"234");
}

#[test]
fn truncate_shortens_and_extends_with_zeros() {
    let driver = driver();
    let (mut file, fd) = file(b"abcdef");
    run(&driver, driver.submit(Truncate::new(fd.clone(), 3))).unwrap();
    assert_eq!(content(&mut file), "abc");
    run(&driver, driver.submit(Truncate::new(fd, 5))).unwrap();
    assert_eq!(content(&mut file), "abc\0\0");
}

#[test]
fn truncate_beyond_the_largest_length_is_an_error() {
    let driver = driver();
    let (mut file, fd) = file(b"abc");
    for len in [u64::MAX, i64::MAX as u64 + 1] {
        let truncate = Truncate::new(fd.clone(), len);
        check_kind(
            run(&driver, driver.submit(truncate)),
            ErrorKind::InvalidInput,
        );
    }
    assert_eq!(content(&mut file), "abc");
}

#[test]
fn a_read_fills_a_window_only() {
    let driver = driver();
    let (_, fd) = file(b"xyz");
    let read = ReadAt::new(fd, 0, b"abcdef".to_vec().slice(1..3));
    let (len, window) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), window.into_inner()), (2, b"axydef".to_vec()));
}

#[test]
fn a_read_at_eof_returns_zero() {
    let driver = driver();
    let (_, fd) = file(b"abc");
    let read = ReadAt::new(fd, 3, vec![7; 8]);
    let (len, buffer) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), buffer.len()), (0, 0));
}

#[test]
fn nothing_is_read_and_written() {
    let driver = driver();
    let (mut file, fd) = file(b"abc");
    let read = ReadAt::new(fd.clone(), 0, Vec::new());
    assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 0);
    let write = WriteAt::new(fd.clone(), 0, "");
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 0);
    let read = ReadVectoredAt::new(fd.clone(), 0, [Vec::new(), Vec::new()]);
    assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 0);
    let write = WriteVectoredAt::new(fd, 0, ["", ""]);
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 0);
    assert_eq!(content(&mut file), "abc");
}

#[test]
fn reads_and_writes_at_the_cursor_move_it() {
    let driver = driver();
    let (mut file, fd) = file_with_cursor(b"abcdef");
    let read = ReadAt::at_cursor(fd.clone(), [0; 2]);
    assert_eq!(run(&driver, driver.submit(read)).1, *b"ab");
    let write = WriteAt::at_cursor(fd.clone(), "X");
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 1);
    let write = WriteVectoredAt::at_cursor(fd.clone(), ["", "YZ"]);
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 2);
    let read = ReadVectoredAt::at_cursor(fd, [vec![0; 1], vec![0; 1]]);
    let (len, buffers) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), buffers), (1, [b"f".to_vec(), vec![]]));
    assert_eq!(content(&mut file), "abXYZf");
}

#[test]
fn a_write_lands_where_it_should() {
    let driver = driver();
    let (mut file, fd) = file(b"abcdef");
    let write = WriteAt::new(fd, 2, b"--".to_vec());
    let (len, buffer) = run(&driver, driver.submit(write));
    assert_eq!((len.unwrap(), &buffer[..]), (2, &b"--"[..]));
    assert_eq!(content(&mut file), "ab--ef");
}

/// The number of bytes that one read into these buffers takes.
fn taken_at_once(room: &[Vec<u8>]) -> usize {
    let capacities = room.iter().map(Vec::capacity);
    capacities.filter(|len| *len > 0).take(BUFFERS_MAX).sum()
}

#[test]
fn a_vectored_transfer_skips_empty_buffers() {
    let driver = driver();
    let (mut file, fd) = file(b"abcdefg");
    let room: Vec<Vec<u8>> = [0, 1, 0, 2, 0, 3, 8].map(Vec::with_capacity).into();
    let count = taken_at_once(&room).min(7);
    let read = ReadVectoredAt::new(fd.clone(), 0, room);
    let (len, buffers) = run(&driver, driver.submit(read));
    assert_eq!(len.unwrap(), count);
    let mut rest = &b"abcdefg"[..count];
    for (buffer, room) in buffers.iter().zip([0, 1, 0, 2, 0, 3, 8]) {
        let (wanted, later) = rest.split_at(rest.len().min(room));
        assert_eq!(buffer, wanted);
        rest = later;
    }

    let parts = vec!["", "AB", "", "C", "", "DEF", "G"];
    let filled = parts.iter().filter(|part| !part.is_empty());
    let wanted = filled.take(BUFFERS_MAX).copied().collect::<String>();
    let write = WriteVectoredAt::new(fd, 0, parts);
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), wanted.len());
    let rest = &"abcdefg"[wanted.len()..];
    assert_eq!(content(&mut file), wanted + rest);
}

#[test]
fn more_buffers_than_a_kernel_takes_make_a_short_transfer() {
    let driver = driver();
    let (mut file, fd) = file(b"");
    let write = WriteVectoredAt::new(fd.clone(), 0, vec!["x"; 1500]);
    let written = run(&driver, driver.submit(write)).0.unwrap();
    assert_eq!(written, BUFFERS_MAX);
    assert_eq!(content(&mut file).len(), written);
    let read = ReadVectoredAt::new(fd, 0, vec![vec![0_u8; 1]; 1500]);
    let (len, buffers) = run(&driver, driver.submit(read));
    assert_eq!(len.unwrap(), BUFFERS_MAX);
    let filled = buffers.iter().filter(|buffer| buffer.len() == 1).count();
    assert_eq!(filled, BUFFERS_MAX);
}

/// The largest offset is the kernel's value for "at the cursor".
#[test]
fn an_offset_beyond_every_file_is_refused() {
    let driver = driver();
    let (mut file, fd) = file(b"abc");
    for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let text = b"text".to_vec();
        let read = ReadAt::new(fd.clone(), offset, text.clone());
        check_returned(
            run(&driver, driver.submit(read)),
            code::NO_SUCH_OFFSET,
            &text,
        );
        let write = WriteAt::new(fd.clone(), offset, text.clone());
        check_returned(
            run(&driver, driver.submit(write)),
            code::NO_SUCH_OFFSET,
            &text,
        );
    }
    assert_eq!(content(&mut file), "abc");
}

#[test]
fn a_failed_transfer_gives_the_buffers_back() {
    let driver = driver();
    let (read_end, write_end) = pipe();
    let text = b"text".to_vec();
    let both = [text.clone(), text.clone()];

    let read = ReadAt::at_cursor(write_end.clone(), text.clone());
    check_returned(
        run(&driver, driver.submit(read)),
        code::NOT_OPEN_FOR_THIS,
        &text,
    );
    let write = WriteAt::at_cursor(read_end.clone(), text.clone());
    check_returned(
        run(&driver, driver.submit(write)),
        code::NOT_OPEN_FOR_THIS,
        &text,
    );
    let read = ReadVectoredAt::at_cursor(write_end.clone(), both.clone());
    let (len, buffers) = run(&driver, driver.submit(read));
    check_code(len, code::NOT_OPEN_FOR_THIS);
    assert_eq!(buffers, both);
    let write = WriteVectoredAt::at_cursor(read_end.clone(), both.clone());
    let (len, buffers) = run(&driver, driver.submit(write));
    check_code(len, code::NOT_OPEN_FOR_THIS);
    assert_eq!(buffers, both);

    drop(read_end);
    let write = WriteAt::at_cursor(write_end, text.clone());
    let (len, buffer) = run(&driver, driver.submit(write));
    check_kind(len, ErrorKind::BrokenPipe);
    assert_eq!(buffer, text);
}

#[test]
fn files_are_synced() {
    let driver = driver();
    let (_file, fd) = file(b"abc");
    run(&driver, driver.submit(Sync::all(fd.clone()))).unwrap();
    run(&driver, driver.submit(Sync::data(fd))).unwrap();
}

#[test]
fn a_file_is_created_opened_and_not_inherited() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let name = native(folder.path().join("new"));
    let create = Open::new(name.clone(), READ_WRITE_CREATE, NEW_FILE);
    let fd = run(&driver, driver.submit(create)).unwrap();
    assert!(!is_inherited(&fd));
    let write = WriteAt::new(share(fd), 0, "content");
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 7);
    let open = Open::new(name, READ, 0);
    let fd = run(&driver, driver.submit(open)).unwrap();
    assert!(!is_inherited(&fd));
    let read = ReadAt::new(share(fd), 0, Vec::with_capacity(64));
    assert_eq!(run(&driver, driver.submit(read)).1, b"content");
}

#[test]
fn a_file_that_is_not_there_does_not_open() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let name = native(folder.path().join("absent"));
    let open = Open::new(name.clone(), READ, 0);
    check_code(run(&driver, driver.submit(open)), code::NOT_FOUND);
    check_code(
        run(&driver, driver.submit(Stat::new(name, true))),
        code::NOT_FOUND,
    );
}

#[test]
fn a_close_closes() {
    let driver = driver();
    let (reader, writer) = pipe();
    let writer = writer.try_unwrap().unwrap();
    run(&driver, driver.submit(Close::new(writer))).unwrap();
    let read = ReadAt::at_cursor(reader, vec![0; 8]);
    assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 0, "the end");
}

#[test]
fn attributes_equal_those_of_std() {
    let driver = driver();
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(12345).unwrap();
    let expected = file.as_file().metadata().unwrap();
    let fd = share(file.reopen().unwrap());
    let name = native(file.path());
    for attributes in [
        run(&driver, driver.submit(StatFd::new(fd))).unwrap(),
        run(&driver, driver.submit(Stat::new(name, true))).unwrap(),
    ] {
        assert_eq!(attributes.size(), 12345);
        check_attributes(&attributes, &expected);
        assert_eq!(attributes.modified(), expected.modified().ok());
        assert_eq!(attributes.accessed(), expected.accessed().ok());
        if HAS_CREATION_TIME {
            assert_eq!(attributes.created(), expected.created().ok());
        }
        assert!(attributes.modified().unwrap() > UNIX_EPOCH);
    }
}

/// A read returns the same length as a plain read, whether the page cache has all, some or none of
/// the file.
#[test]
fn reads_are_as_long_as_plain_ones() {
    const LEN: usize = 1 << 20;
    let content: Vec<u8> = (0..LEN).map(|at| (at / 4096) as u8).collect();
    let (mut file, fd) = file(&content);
    for driver in each_backend() {
        for in_memory in [0, 4096, 300_000, LEN] {
            for (offset, len) in [
                (0, LEN),
                (0, 4096),
                (2000, 8192),
                (250_000, 100_000),
                (LEN - 10, 10),
                (LEN - 10, 11),
                (LEN - 10, 100_000),
                (LEN, 1),
                (LEN + 5000, 5000),
                (5, 0),
            ] {
                forget_from(&file, 0);
                let mut warm = vec![0; in_memory];
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_exact(&mut warm).unwrap();
                let rest = &content[offset.min(LEN)..];
                let wanted = &rest[..len.min(rest.len())];

                let read = ReadAt::new(fd.clone(), offset as u64, Vec::with_capacity(len));
                let (count, buffer) = run(&driver, driver.submit(read));
                assert_eq!(count.unwrap(), wanted.len(), "{in_memory} {offset} {len}");
                assert!(buffer == wanted);

                forget_from(&file, in_memory as i64);
                let room = [
                    Vec::with_capacity(len / 2),
                    Vec::with_capacity(len - len / 2),
                ];
                let wanted = &wanted[..wanted.len().min(taken_at_once(&room))];
                let read = ReadVectoredAt::new(fd.clone(), offset as u64, room);
                let (count, buffers) = run(&driver, driver.submit(read));
                assert_eq!(count.unwrap(), wanted.len(), "{in_memory} {offset} {len}");
                assert!(buffers.concat() == wanted);
            }
        }
    }
}

#[test]
fn a_file_is_read_and_written_at_its_cursor() {
    for driver in each_backend() {
        let (mut file, fd) = file_with_cursor(b"");
        for text in ["one, ", "two, ", "three"] {
            let write = WriteAt::at_cursor(fd.clone(), text);
            run(&driver, driver.submit(write)).0.unwrap();
        }
        file.seek(SeekFrom::Start(0)).unwrap();
        forget_from(&file, 0);
        for text in [&b"one, "[..], b"two, ", b"three", b"", b""] {
            let read = ReadAt::at_cursor(fd.clone(), Vec::with_capacity(5));
            assert_eq!(run(&driver, driver.submit(read)).1, text);
        }
    }
}

/// A file that std has opened. On Windows its handle is not overlapped.
#[test]
fn a_file_of_stds_is_read_and_written_anywhere() {
    for driver in each_backend() {
        let (mut file, fd) = file_with_cursor(b"0123456789");
        let mut reads: Vec<_> = (0..10)
            .map(|at| driver.submit(ReadAt::new(fd.clone(), at, vec![0; 1])))
            .collect();
        // Some reads complete at once on a backend that tries before it waits.
        let begun: Vec<_> = reads.iter_mut().map(|read| start(&driver, read)).collect();
        for (at, (begun, read)) in begun.into_iter().zip(reads).enumerate() {
            let (len, byte) = begun.unwrap_or_else(|| run(&driver, read));
            assert_eq!((len.unwrap(), byte), (1, at.to_string().into_bytes()));
        }
        let write = WriteAt::new(fd.clone(), 12, "ab");
        assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 2);
        let read = ReadVectoredAt::new(fd.clone(), 8, [Vec::new(), vec![0; 8]]);
        let (len, buffers) = run(&driver, driver.submit(read));
        assert_eq!((len.unwrap(), &buffers[1][..]), (6, &b"89\0\0ab"[..]));
        run(&driver, driver.submit(Sync::all(fd.clone()))).unwrap();
        let stat = run(&driver, driver.submit(StatFd::new(fd))).unwrap();
        assert_eq!(stat.size(), 14);
        assert_eq!(content(&mut file), "0123456789\0\0ab");
    }
}
