//! Pipes.

use std::{
    io::{self, Read, Write},
    task::{Context, Waker},
    thread,
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, PollReader},
    pipe::{PipeReader, pipe},
    task::spawn,
};

use crate::support::{check_kind, pattern, run};

#[test]
fn bytes_arrive_in_order_and_then_eof() {
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        let sent = pattern(1_000_000);
        let expected = sent.clone();
        let writes = spawn(async move {
            writer.write_all(sent).await.0.unwrap();
            writer.flush().await.unwrap();
        });
        let (read, received) = reader.read_to_end(Vec::new()).await;
        assert_eq!(read.unwrap(), expected.len());
        assert!(received == expected);
        writes.await.unwrap();
        assert_eq!(reader.read([0; 4]).await.0.unwrap(), 0);
    });
}

#[test]
fn closed_ends_are_seen_by_the_other_end() {
    run(async {
        let (mut reader, writer) = pipe().unwrap();
        writer.close().await.unwrap();
        assert_eq!(reader.read([0; 4]).await.0.unwrap(), 0);
        let (reader, mut writer) = pipe().unwrap();
        reader.close().await.unwrap();
        check_kind(writer.write("x").await.0, io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_read_waits_for_bytes_and_takes_the_available_ones() {
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        let reads = spawn(async move {
            let (read, buffer) = reader.read(Vec::with_capacity(100)).await;
            assert_eq!(read.unwrap(), buffer.len());
            buffer
        });
        compio::task::yield_now().await;
        assert!(!reads.is_finished());
        writer.write_all("hello").await.0.unwrap();
        assert_eq!(reads.await.unwrap(), b"hello");
    });
}

#[test]
fn vectored_reads_and_writes_go_through_the_buffers() {
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        let (written, _) = writer.write_vectored(["he", "llo"]).await;
        let written = written.unwrap();
        assert!(written == 5 || cfg!(windows) && written == 2);
        writer.write_all("!").await.0.unwrap();
        let room = (Vec::with_capacity(1), Vec::with_capacity(100));
        let (read, (first, _)) = reader.read_vectored(room).await;
        assert!(read.unwrap() > 0);
        assert_eq!(first, b"h");
    });
}

#[test]
fn a_write_without_readers_fails_and_the_buffer_comes_back() {
    run(async {
        let (reader, mut writer) = pipe().unwrap();
        drop(reader);
        let (written, buffer) = writer.write(b"hello".to_vec()).await;
        check_kind(written, io::ErrorKind::BrokenPipe);
        assert_eq!(buffer, b"hello");
    });
}

#[test]
fn empty_buffers_move_nothing() {
    run(async {
        let (_reader, mut writer) = pipe().unwrap();
        assert_eq!(writer.write("").await.0.unwrap(), 0);
    });
}

#[test]
fn std_has_the_same_pipes() {
    run(async {
        let (reader, mut writer) = pipe().unwrap();
        let mut reader = reader.into_std().unwrap();
        let reads = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        writer.write_all("to a thread").await.0.unwrap();
        let duplicate = writer.try_clone().unwrap();
        drop(writer);
        let mut writer = duplicate.into_std().unwrap();
        writer.write_all(b", from another").unwrap();
        drop(writer);
        assert_eq!(reads.join().unwrap(), "to a thread, from another");
    });
}

#[test]
#[cfg(not(windows))]
fn a_dropped_read_takes_nothing() {
    use compio::time::timeout;
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        for _ in 0..3 {
            let read = timeout(Duration::from_millis(2), reader.read([0; 8])).await;
            assert!(read.is_err());
        }
        writer.write_all("complete").await.0.unwrap();
        let (read, buffer) = reader.read_exact([0; 8]).await;
        read.unwrap();
        assert_eq!(&buffer, b"complete");
    });
}

/// A foreign end of a pipe, which is non-blocking.
#[test]
#[cfg(unix)]
fn operations_of_a_nonblocking_end_wait() {
    use std::os::fd::AsRawFd;
    run(async {
        let (reader, writer) = io::pipe().unwrap();
        for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
            // SAFETY: no pointers are passed.
            let set = unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
            assert_eq!(set, 0);
        }
        let mut reader = PipeReader::from(reader);
        let mut writer = compio::pipe::PipeWriter::from(writer);
        let sent = pattern(300_000);
        let expected = sent.clone();
        let writes = spawn(async move { writer.write_all(sent).await.0.unwrap() });
        compio::time::sleep(Duration::from_millis(2)).await;
        let (read, received) = reader.read_to_end(Vec::new()).await;
        read.unwrap();
        assert!(received == expected);
        writes.await.unwrap();
        // The mode is still as its owner has set it.
        // SAFETY: no pointers are passed.
        let mode = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_GETFL) };
        assert_ne!(mode & libc::O_NONBLOCK, 0);
    });
}

#[test]
#[cfg(windows)]
fn types_are_the_same_everywhere() {
    let (reader, _): (PipeReader, _) = pipe().unwrap();
    drop((reader, Duration::ZERO));
}

#[cfg(unix)]
mod named {
    use std::{ffi::CString, os::unix::ffi::OsStrExt, path::PathBuf};

    use compio::pipe::OpenOptions;
    use tempfile::TempDir;

    use super::*;
    use crate::support::{put, scratch};

    fn fifo(dir: &TempDir) -> PathBuf {
        let path = dir.path().join("fifo");
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        path
    }

    #[test]
    fn ends_are_opened_by_name() {
        let dir = scratch();
        let path = fifo(&dir);
        run(async {
            let sender = OpenOptions::new().open_sender(&path);
            assert_eq!(sender.unwrap_err().raw_os_error(), Some(libc::ENXIO));
            let mut reader = OpenOptions::new().open_receiver(&path).unwrap();
            let mut writer = OpenOptions::new().open_sender(&path).unwrap();
            let reads = spawn(async move {
                let (read, buffer) = reader.read_exact([0; 5]).await;
                read.unwrap();
                (reader, buffer)
            });
            compio::task::yield_now().await;
            writer.write_all("hello").await.0.unwrap();
            let (mut reader, buffer) = reads.await.unwrap();
            assert_eq!(&buffer, b"hello");
            drop(writer);
            assert_eq!(reader.read([0; 4]).await.0.unwrap(), 0);
            // The same for the next writer.
            let mut writer = OpenOptions::new().open_sender(&path).unwrap();
            writer.write_all("again").await.0.unwrap();
            assert_eq!(&reader.read_exact([0; 5]).await.1, b"again");
        });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn both_ends_in_one_never_end() {
        use compio::time::timeout;
        let dir = scratch();
        let path = fifo(&dir);
        run(async {
            let mut options = OpenOptions::new();
            options.read_write(true);
            let mut writer = options.open_sender(&path).unwrap();
            let mut reader = options.open_receiver(&path).unwrap();
            writer.write_all("kept").await.0.unwrap();
            drop(writer);
            assert_eq!(&reader.read_exact([0; 4]).await.1, b"kept");
            let read = timeout(Duration::from_millis(2), reader.read([0; 4])).await;
            assert!(read.is_err());
        });
    }

    #[test]
    fn a_file_that_is_no_pipe_is_refused_unless_unchecked() {
        let dir = scratch();
        let path = put(&dir, "file", "hello");
        run(async {
            let opened = OpenOptions::new().open_receiver(&path);
            check_kind(opened, io::ErrorKind::InvalidInput);
            let mut options = OpenOptions::new();
            let mut reader = options.unchecked(true).open_receiver(&path).unwrap();
            let (read, bytes) = reader.read_to_end(Vec::new()).await;
            assert_eq!((read.unwrap(), &bytes[..]), (5, &b"hello"[..]));
            let missing = OpenOptions::new().open_sender(dir.path().join("missing"));
            check_kind(missing, io::ErrorKind::NotFound);
        });
    }
}

#[cfg(target_os = "linux")]
mod spliced {
    use compio::{
        fs::File,
        io::AsyncReadAtExt,
        pipe::{Position, splice},
    };

    use super::*;
    use crate::support::scratch;

    #[test]
    fn a_file_goes_through_a_pipe_into_another() {
        let dir = scratch();
        let path = dir.path().join("from");
        std::fs::write(&path, pattern(200_000)).unwrap();
        run(async {
            let from = File::open(&path).unwrap();
            let to = File::create_new(dir.path().join("to")).unwrap();
            let (reader, writer) = pipe().unwrap();
            let (mut read, mut written) = (0, 0);
            loop {
                let place = Position::At(read);
                let moved = splice(&from, place, &writer, Position::Cursor, 1 << 20).await;
                let moved = moved.unwrap() as u64;
                if moved == 0 {
                    break;
                }
                read += moved;
                while written < read {
                    let len = (read - written) as usize;
                    let place = Position::At(written);
                    let moved = splice(&reader, Position::Cursor, &to, place, len).await;
                    written += moved.unwrap() as u64;
                }
            }
            let (result, copy) = to.read_to_end_at(Vec::new(), 0).await;
            result.unwrap();
            assert!(copy == pattern(200_000));
        });
    }

    #[test]
    fn without_a_pipe_nothing_is_moved() {
        run(async {
            let from = File::open("Cargo.toml").unwrap();
            let to = tempfile::tempfile().unwrap();
            let moved = splice(&from, Position::At(0), &to, Position::At(0), 10).await;
            check_kind(moved, io::ErrorKind::InvalidInput);
        });
    }

    #[test]
    fn a_splice_waits_for_the_pipe_and_can_be_dropped() {
        use compio::time::timeout;
        run(async {
            let (reader, mut writer) = pipe().unwrap();
            let to = File::from(tempfile::tempfile().unwrap());
            let moves = splice(&reader, Position::Cursor, &to, Position::At(0), 100);
            timeout(Duration::from_millis(2), moves).await.unwrap_err();
            writer.write_all("later").await.0.unwrap();
            drop(writer);
            let moves = splice(&reader, Position::Cursor, &to, Position::At(3), 100);
            // The dropped splice may have completed before its cancel.
            let expected: &[u8] = match moves.await.unwrap() {
                0 => b"later",
                _ => b"\0\0\0later",
            };
            let (read, bytes) = to.read_at(Vec::with_capacity(9), 0).await;
            assert_eq!((read.unwrap(), &bytes[..]), (expected.len(), expected));
        });
    }
}

#[test]
fn cancelled_poll_reader_returns_its_pipe_and_loses_nothing() {
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        let (mut all, mut sent) = (Vec::new(), 0);
        for round in 0..20 {
            let mut polled = PollReader::new(reader);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(polled.poll_fill_buf(&mut cx).is_pending());
            // On Windows a thread reads, and only bytes end its read.
            if cfg!(windows) || round % 2 == 0 {
                writer.write_all("ab").await.0.unwrap();
                sent += 2;
            }
            polled.cancel().await.unwrap();
            let bytes;
            (reader, bytes) = polled.into_parts().expect("no read is in flight");
            all.extend(bytes);
            if all.len() < sent {
                let (read, rest) = reader.read_exact(vec![0; sent - all.len()]).await;
                read.unwrap();
                all.extend(rest);
            }
        }
        assert_eq!(all, b"ab".repeat(sent / 2));
        reader
            .into_std()
            .expect("the only handle, which keeps nothing");
    });
}
