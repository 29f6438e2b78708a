//! Files: success, failure and the end of each operation.

use std::{
    ffi::CString,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    time::UNIX_EPOCH,
};

use compio_driver::{
    AsRawFd, SharedFd,
    op::{Close, Open, ReadAt, ReadVectoredAt, Stat, StatFd, Sync, WriteAt, WriteVectoredAt},
};
use compio_io::buf::{IntoInner, IoBuf};

use crate::support::{
    begin, check_error, check_returned, driver, each_backend, pipe, readiness, run, share, start,
};

/// A file without a name that holds `content`, its cursor at the start.
fn file(content: &str) -> (File, SharedFd) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
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

fn path(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

#[test]
fn a_read_fills_the_buffer_from_its_start() {
    let driver = driver();
    let (_, fd) = file("0123456789");
    let read = ReadAt::new(fd.clone(), 8, b"old content".to_vec());
    let (len, buffer) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), &buffer[..]), (2, &b"89"[..]));
    let read = ReadAt::new(fd, 2, Vec::with_capacity(3));
    assert_eq!(run(&driver, driver.submit(read)).1, b"234");
}

#[test]
fn a_read_fills_a_window_only() {
    let driver = driver();
    let (_, fd) = file("xyz");
    let read = ReadAt::new(fd, 0, b"abcdef".to_vec().slice(1..3));
    let (len, window) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), window.into_inner()), (2, b"axydef".to_vec()));
}

#[test]
fn a_read_tells_the_end_by_zero() {
    let driver = driver();
    let (_, fd) = file("abc");
    let read = ReadAt::new(fd, 3, vec![7; 8]);
    let (len, buffer) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), buffer.len()), (0, 0));
}

#[test]
fn nothing_is_read_and_written() {
    let driver = driver();
    let (mut file, fd) = file("abc");
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
    let (mut file, fd) = file("abcdef");
    let read = ReadAt::at_cursor(fd.clone(), [0; 2]);
    assert_eq!(run(&driver, driver.submit(read)).1, *b"ab");
    let write = WriteAt::at_cursor(fd.clone(), "X");
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 1);
    let write = WriteVectoredAt::at_cursor(fd.clone(), ["Y", "Z"]);
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 2);
    let read = ReadVectoredAt::at_cursor(fd, [vec![0; 1], vec![0; 1]]);
    let (len, buffers) = run(&driver, driver.submit(read));
    assert_eq!((len.unwrap(), buffers), (1, [b"f".to_vec(), vec![]]));
    assert_eq!(content(&mut file), "abXYZf");
}

#[test]
fn a_write_lands_where_it_should() {
    let driver = driver();
    let (mut file, fd) = file("abcdef");
    let write = WriteAt::new(fd, 2, b"--".to_vec());
    let (len, buffer) = run(&driver, driver.submit(write));
    assert_eq!((len.unwrap(), &buffer[..]), (2, &b"--"[..]));
    assert_eq!(content(&mut file), "ab--ef");
}

#[test]
fn a_vectored_transfer_skips_empty_buffers() {
    let driver = driver();
    let (mut file, fd) = file("");
    let parts = vec!["ab", "", "c", "", "def", "g"];
    let write = WriteVectoredAt::new(fd.clone(), 0, parts);
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 7);
    assert_eq!(content(&mut file), "abcdefg");
    let room: Vec<Vec<u8>> = [1, 0, 2, 0, 3, 8].map(Vec::with_capacity).into();
    let read = ReadVectoredAt::new(fd, 0, room);
    let (len, buffers) = run(&driver, driver.submit(read));
    assert_eq!(len.unwrap(), 7);
    assert_eq!(
        buffers,
        ["a", "", "bc", "", "def", "g"].map(|part| part.as_bytes().to_vec())
    );
}

#[test]
fn more_buffers_than_a_kernel_takes_make_a_short_transfer() {
    let driver = driver();
    let (mut file, fd) = file("");
    let write = WriteVectoredAt::new(fd.clone(), 0, vec!["x"; 1500]);
    let written = run(&driver, driver.submit(write)).0.unwrap();
    assert_eq!(written, 1024);
    assert_eq!(content(&mut file).len(), written);
    let read = ReadVectoredAt::new(fd, 0, vec![vec![0_u8; 1]; 1500]);
    let (len, buffers) = run(&driver, driver.submit(read));
    assert_eq!(len.unwrap(), 1024);
    assert_eq!(
        buffers.iter().filter(|buffer| buffer.len() == 1).count(),
        1024
    );
}

/// The largest offset looks like the kernel's word for "at the cursor".
#[test]
fn an_offset_beyond_every_file_is_refused() {
    let driver = driver();
    let (mut file, fd) = file("abc");
    for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let text = b"text".to_vec();
        let read = ReadAt::new(fd.clone(), offset, text.clone());
        check_returned(run(&driver, driver.submit(read)), libc::EINVAL, &text);
        let write = WriteAt::new(fd.clone(), offset, text.clone());
        check_returned(run(&driver, driver.submit(write)), libc::EINVAL, &text);
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
    check_returned(run(&driver, driver.submit(read)), libc::EBADF, &text);
    let write = WriteAt::at_cursor(read_end.clone(), text.clone());
    check_returned(run(&driver, driver.submit(write)), libc::EBADF, &text);
    let read = ReadVectoredAt::at_cursor(write_end.clone(), both.clone());
    let (len, buffers) = run(&driver, driver.submit(read));
    check_error(len, libc::EBADF);
    assert_eq!(buffers, both);
    let write = WriteVectoredAt::at_cursor(read_end.clone(), both.clone());
    let (len, buffers) = run(&driver, driver.submit(write));
    check_error(len, libc::EBADF);
    assert_eq!(buffers, both);

    drop(read_end);
    let write = WriteAt::at_cursor(write_end, text.clone());
    check_returned(run(&driver, driver.submit(write)), libc::EPIPE, &text);
}

#[test]
fn sync_works_on_files_only() {
    let driver = driver();
    let (_, fd) = file("abc");
    run(&driver, driver.submit(Sync::all(fd.clone()))).unwrap();
    run(&driver, driver.submit(Sync::data(fd))).unwrap();
    let (read_end, _write_end) = pipe();
    check_error(
        run(&driver, driver.submit(Sync::all(read_end))),
        libc::EINVAL,
    );
}

#[test]
fn a_file_is_created_opened_and_closed_on_exec() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let name = path(folder.path().join("new"));
    let create = Open::new(name.clone(), libc::O_CREAT | libc::O_RDWR, 0o640);
    let fd = run(&driver, driver.submit(create)).unwrap();
    // SAFETY: no pointers are passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
    assert_ne!(flags & libc::FD_CLOEXEC, 0);
    let mode = File::from(fd).metadata().unwrap().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    let open = Open::new(name, libc::O_RDONLY, 0);
    run(&driver, driver.submit(open)).unwrap();
}

#[test]
fn a_file_that_is_not_there_does_not_open() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let name = path(folder.path().join("absent"));
    let open = Open::new(name.clone(), libc::O_RDONLY, 0);
    check_error(run(&driver, driver.submit(open)), libc::ENOENT);
    check_error(
        run(&driver, driver.submit(Stat::new(name, true))),
        libc::ENOENT,
    );
}

#[test]
fn a_close_closes() {
    let driver = driver();
    let (reader, writer) = std::io::pipe().unwrap();
    run(&driver, driver.submit(Close::new(writer.into()))).unwrap();
    let read = ReadAt::at_cursor(share(reader), vec![0; 8]);
    assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 0, "the end");
}

#[test]
fn attributes_are_what_the_system_says() {
    let driver = driver();
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(12345).unwrap();
    let expected = file.as_file().metadata().unwrap();
    let fd = share(file.reopen().unwrap());
    for attributes in [
        run(&driver, driver.submit(StatFd::new(fd))).unwrap(),
        run(&driver, driver.submit(Stat::new(path(file.path()), true))).unwrap(),
    ] {
        assert_eq!(attributes.size(), 12345);
        assert_eq!(attributes.mode(), expected.mode());
        assert_eq!(attributes.ino(), expected.ino());
        assert_eq!(attributes.dev(), expected.dev());
        assert_eq!(attributes.nlink(), expected.nlink());
        assert_eq!(attributes.uid(), expected.uid());
        assert_eq!(attributes.gid(), expected.gid());
        assert_eq!(attributes.blocks(), expected.blocks());
        assert_eq!(attributes.modified(), expected.modified().ok());
        assert_eq!(attributes.accessed(), expected.accessed().ok());
        assert_eq!(attributes.created(), expected.created().ok());
        assert!(attributes.modified().unwrap() > UNIX_EPOCH);
    }
}

#[test]
fn a_link_is_followed_only_if_asked() {
    let driver = driver();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let link = path(link);
    let itself = run(&driver, driver.submit(Stat::new(link.clone(), false))).unwrap();
    assert_eq!(itself.mode() & libc::S_IFMT, libc::S_IFLNK);
    check_error(
        run(&driver, driver.submit(Stat::new(link, true))),
        libc::ENOENT,
    );
}

#[test]
fn attributes_of_no_file_fail() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let attributes = run(&driver, driver.submit(StatFd::new(reader))).unwrap();
    assert_eq!(attributes.mode() & libc::S_IFMT, libc::S_IFIFO);
    let below = path("/dev/null/below");
    check_error(
        run(&driver, driver.submit(Stat::new(below, true))),
        libc::ENOTDIR,
    );
}

/// Puts the file to disk and out of memory, from this offset on.
fn forget_from(file: &std::fs::File, offset: i64) {
    file.sync_all().unwrap();
    // SAFETY: no pointers are passed.
    let forgotten =
        unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(forgotten, 0);
}

/// In memory, on disk, and in part: a read gives what a plain one gives.
#[test]
fn reads_are_as_long_as_plain_ones() {
    const LEN: usize = 1 << 20;
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..LEN).map(|at| (at / 4096) as u8).collect();
    file.write_all(&content).unwrap();
    let fd = share(file.try_clone().unwrap());
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
                file.read_exact_at(&mut warm, 0).unwrap();
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
                let read = ReadVectoredAt::new(fd.clone(), offset as u64, room);
                let (count, buffers) = run(&driver, driver.submit(read));
                assert_eq!(count.unwrap(), wanted.len(), "{in_memory} {offset} {len}");
                assert!(buffers.concat() == wanted);
            }
        }
    }
}

#[test]
fn what_is_in_memory_is_read_at_once() {
    let driver = readiness();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 8192]).unwrap();
    let fd = share(file.try_clone().unwrap());
    let mut read = driver.submit(ReadAt::new(fd.clone(), 0, Vec::with_capacity(8192)));
    let at_once = start(&driver, &mut read);
    // Not every file system knows how not to wait.
    let (len, buffer) = at_once.unwrap_or_else(|| run(&driver, &mut read));
    assert_eq!((len.unwrap(), buffer), (8192, vec![7; 8192]));
    forget_from(&file, 0);
    let read = ReadAt::new(fd, 8000, Vec::with_capacity(8192));
    assert_eq!(run(&driver, driver.submit(read)).0.unwrap(), 192);
}

/// What goes past the memory is never there at once, and whoever asks for it waits for the disk.
#[test]
fn a_direct_read_is_made_elsewhere() {
    let driver = readiness();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [7; 8192]).unwrap();
    let mut options = File::options();
    let direct = options.read(true).custom_flags(libc::O_DIRECT);
    // Not every file system has that.
    let Ok(direct) = direct.open(file.path()) else {
        return;
    };
    let fd = share(direct);
    let mut read = driver.submit(ReadAt::new(fd, 0, Vec::with_capacity(4096)));
    begin(&driver, &mut read);
    // Its buffer is not aligned as it has to be, as a rule.
    let (len, _) = run(&driver, read);
    assert!(len.map_or_else(
        |error| error.raw_os_error() == Some(libc::EINVAL),
        |len| len == 4096
    ));
}

#[test]
fn a_file_is_read_and_written_at_its_cursor() {
    for driver in each_backend() {
        let mut file = tempfile::tempfile().unwrap();
        let fd = share(file.try_clone().unwrap());
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
