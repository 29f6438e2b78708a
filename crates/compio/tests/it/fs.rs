//! Reading and writing files.

use std::{
    fs,
    io::{self, Read, Write},
};

use compio::{
    buf::{IntoInner, IoBuf},
    fs::{File, Metadata, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
    task::spawn,
};

use crate::support::{
    BUFFERS_MAX, allow_gaps, check_code, check_kind, code, pattern, pipe, run, scratch,
};

#[test]
fn a_read_fills_the_whole_capacity_from_the_start_of_the_buffer() {
    run(async {
        let file = scratch(b"0123456789");
        let mut stale = Vec::with_capacity(4);
        stale.extend_from_slice(b"xyz");
        let (read, buffer) = file.read_at(stale, 2).await;
        assert_eq!(read.unwrap(), 4);
        assert_eq!(buffer, b"2345");
    });
}

#[test]
fn a_read_at_the_end_or_behind_it_is_empty() {
    run(async {
        let file = scratch(b"0123456789");
        for offset in [10, 11, 1 << 40] {
            let (read, buffer) = file.read_at(Vec::with_capacity(4), offset).await;
            assert_eq!(read.unwrap(), 0);
            assert!(buffer.is_empty());
        }
        let (read, buffer) = file.read_at(Vec::with_capacity(4), 8).await;
        assert_eq!(read.unwrap(), 2);
        assert_eq!(buffer, b"89");
    });
}

#[test]
fn empty_buffers_read_and_write_nothing() {
    run(async {
        let file = scratch(b"0123456789");
        assert_eq!(file.read_at(Vec::new(), 0).await.0.unwrap(), 0);
        assert_eq!(file.read_at([0; 0], 0).await.0.unwrap(), 0);
        assert_eq!(file.write_at("", 3).await.0.unwrap(), 0);
        let none: Vec<Vec<u8>> = Vec::new();
        assert_eq!(file.read_vectored_at(none.clone(), 0).await.0.unwrap(), 0);
        assert_eq!(file.write_vectored_at(none, 0).await.0.unwrap(), 0);
        assert_eq!(file.metadata().await.unwrap().len(), 10);
    });
}

#[test]
fn slices_choose_the_part_to_be_read_and_written() {
    run(async {
        let file = scratch(b"0123456789");
        let (written, window) = file.write_at(b"abcdef".slice(2..4), 5).await;
        assert_eq!(written.unwrap(), 2);
        assert_eq!(window.into_inner(), b"abcdef");
        let (read, window) = file.read_at(vec![b'-'; 6].slice(1..4), 4).await;
        assert_eq!(read.unwrap(), 3);
        assert_eq!(window.into_inner(), b"-4cd--");
    });
}

/// The content of as many buffers as fit into one transfer.
fn at_once(buffers: &[&[u8]]) -> Vec<u8> {
    let filled = buffers.iter().filter(|buffer| !buffer.is_empty());
    filled
        .take(BUFFERS_MAX)
        .copied()
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn vectored_reads_and_writes_go_through_the_buffers_in_turn() {
    run(async {
        let file = scratch(b"");
        let parts = [&b"abc"[..], b"", b"defgh"];
        let expected = at_once(&parts);
        let (written, _) = file
            .write_vectored_at(parts.map(<[u8]>::to_vec).to_vec(), 4)
            .await;
        assert_eq!(written.unwrap(), expected.len());
        let (read, buffer) = file.read_at(Vec::with_capacity(20), 4).await;
        assert_eq!((read.unwrap(), &buffer), (expected.len(), &expected));

        file.write_all_at("abcdefgh", 4).await.0.unwrap();
        let room = [6, 0, 4, 9].map(Vec::with_capacity);
        let (read, buffers) = file.read_vectored_at(room, 0).await;
        let expected = at_once(&[b"\0\0\0\0ab", b"cdef", b"gh"]);
        assert_eq!(read.unwrap(), expected.len());
        assert_eq!(buffers.concat(), expected);
        assert_eq!(buffers[0], b"\0\0\0\0ab");
    });
}

#[test]
fn excess_buffers_are_left_out() {
    run(async {
        let file = scratch(b"");
        let (written, _) = file.write_vectored_at(vec![b"x"; 3000], 0).await;
        assert_eq!(written.unwrap(), BUFFERS_MAX);
        let room: Vec<_> = (0..3000).map(|_| Vec::with_capacity(1)).collect();
        let (read, buffers) = file.read_vectored_at(room, 0).await;
        assert_eq!(read.unwrap(), BUFFERS_MAX);
        assert_eq!(buffers.concat(), [b'x'; BUFFERS_MAX]);
    });
}

#[test]
fn offsets_may_lie_beyond_4_gib() {
    run(async {
        let file = scratch(b"");
        allow_gaps(&file);
        let offset = (5 << 30) + 7;
        assert_eq!(file.write_at("far away", offset).await.0.unwrap(), 8);
        assert_eq!(file.metadata().await.unwrap().len(), offset + 8);
        let (read, buffer) = file.read_at(Vec::with_capacity(8), offset + 4).await;
        assert_eq!(read.unwrap(), 4);
        assert_eq!(buffer, b"away");
        let (read, buffer) = file
            .read_at(Vec::with_capacity(4), offset - (4 << 30))
            .await;
        assert_eq!((read.unwrap(), buffer), (4, vec![0; 4]));
    });
}

#[test]
fn an_offset_that_no_file_has_is_invalid_and_not_the_cursor() {
    run(async {
        let file = scratch(b"0123456789");
        for offset in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let (read, _) = file.read_at(Vec::with_capacity(4), offset).await;
            check_kind(read, io::ErrorKind::InvalidInput);
            let (written, _) = file.write_at("no", offset).await;
            check_kind(written, io::ErrorKind::InvalidInput);
        }
        assert_eq!(file.metadata().await.unwrap().len(), 10);
    });
}

#[test]
fn a_file_that_is_not_open_for_it_is_neither_read_nor_written() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writes = File::create(&path).unwrap();
        let (read, buffer) = writes.read_at(b"stale".to_vec(), 0).await;
        check_code(read, code::NOT_OPEN_FOR_THIS);
        assert_eq!(buffer, b"stale");
        let reads = File::open(&path).unwrap();
        let (written, buffer) = reads.write_at(b"data".to_vec(), 0).await;
        check_code(written, code::NOT_OPEN_FOR_THIS);
        assert_eq!(buffer, b"data");
    });
}

#[test]
fn appended_writes_go_to_the_end_at_any_position() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "first ").unwrap();
        let log = OpenOptions::new()
            .append(true)
            .open_async(&path)
            .await
            .unwrap();
        log.write_at("second ", 0).await.0.unwrap();
        log.write_at("third", 1_000).await.0.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first second third");
    });
}

#[test]
fn read_exact_at_the_end_fails_and_the_buffer_comes_back() {
    run(async {
        let file = scratch(b"0123456789");
        let (read, buffer) = file.read_exact_at(vec![b'-'; 8], 6).await;
        check_kind(read, io::ErrorKind::UnexpectedEof);
        assert!(buffer.capacity() >= 8);
        let (read, buffer) = file.read_exact_at([0; 4], 6).await;
        read.unwrap();
        assert_eq!(&buffer, b"6789");
    });
}

#[test]
fn read_to_end_at_appends_all_the_rest() {
    run(async {
        let content = pattern(300_000);
        let file = scratch(&content);
        let (read, buffer) = file.read_to_end_at(b"+".to_vec(), 1).await;
        assert_eq!(read.unwrap(), content.len() - 1);
        assert_eq!(buffer[0], b'+');
        assert_eq!(buffer[1..], content[1..]);
    });
}

#[test]
fn many_reads_and_writes_of_one_file_are_in_flight_at_once() {
    run(async {
        const BLOCK: usize = 4096;
        let file = scratch(b"");
        let writes: Vec<_> = (0..300_u64)
            .map(|block| {
                let file = file.clone();
                spawn(async move {
                    let data = vec![block as u8; BLOCK];
                    let written = file.write_all_at(data, block * BLOCK as u64).await;
                    written.0.unwrap();
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap();
        }
        let reads: Vec<_> = (0..300_u64)
            .map(|block| {
                let file = file.clone();
                spawn(async move {
                    let room = Vec::with_capacity(BLOCK);
                    file.read_exact_at(room, block * BLOCK as u64).await.1
                })
            })
            .collect();
        for (block, read) in reads.into_iter().enumerate() {
            assert_eq!(read.await.unwrap(), vec![block as u8; BLOCK]);
        }
    });
}

#[test]
fn metadata_is_the_same_as_in_std() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, pattern(1234)).unwrap();
        let ours = File::open(&path).unwrap().metadata().await.unwrap();
        let stds = fs::metadata(&path).unwrap();
        check_metadata(&ours, &stds);
        assert!(ours.is_file());
    });
}

#[track_caller]
pub(crate) fn check_metadata(ours: &Metadata, stds: &fs::Metadata) {
    assert_eq!(ours.len(), stds.len());
    assert_eq!(ours.is_file(), stds.is_file());
    assert_eq!(ours.is_dir(), stds.is_dir());
    assert_eq!(ours.is_symlink(), stds.is_symlink());
    assert_eq!(ours.modified().unwrap(), stds.modified().unwrap());
    assert_eq!(ours.accessed().unwrap(), stds.accessed().unwrap());
    assert_eq!(ours.created().ok(), stds.created().ok());
}

#[test]
fn times_before_1970_are_the_same_as_in_std() {
    run(async {
        let file = tempfile::tempfile().unwrap();
        let old = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1500);
        file.set_modified(old).unwrap();
        let stds = file.metadata().unwrap().modified().unwrap();
        let ours = File::from_std(file).metadata().await.unwrap();
        assert_eq!(ours.modified().unwrap(), stds);
    });
}

/// A file made by std, which can use its cursor on every OS.
fn scratch_of_stds(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    File::from_std(file)
}

#[test]
fn a_file_goes_to_std_only_from_its_last_handle() {
    run(async {
        let file = scratch_of_stds(b"hello");
        let clone = file.clone();
        let file = file.into_std().unwrap_err();
        drop(clone);
        let mut file = file.into_std().unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello");
    });
}

/// On Windows the files of std are not overlapped.
#[test]
fn a_file_of_std_reads_and_writes() {
    run(async {
        let file = scratch_of_stds(b"0123456789");
        let reads: Vec<_> = (0..10)
            .map(|offset| {
                let file = file.clone();
                spawn(async move { file.read_at(Vec::with_capacity(1), offset).await.1 })
            })
            .collect();
        for (number, read) in reads.into_iter().enumerate() {
            assert_eq!(read.await.unwrap(), number.to_string().as_bytes());
        }
        file.write_all_at("ab", 12).await.0.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 14);
        let (read, buffer) = file.read_to_end_at(Vec::new(), 8).await;
        assert_eq!((read.unwrap(), &buffer[..]), (6, &b"89\0\0ab"[..]));
        file.close().await.unwrap();
    });
}

#[test]
fn a_close_leaves_the_file_to_its_other_handles() {
    run(async {
        let file = scratch(b"hello");
        let clone = file.clone();
        file.close().await.unwrap();
        let (read, buffer) = clone.read_at(Vec::with_capacity(5), 0).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
        clone.sync_data().await.unwrap();
        clone.sync_all().await.unwrap();
        clone.close().await.unwrap();
    });
}

#[test]
fn a_pipe_has_no_positions_and_is_read_and_written_in_order() {
    run(async {
        let (reader, writer) = pipe();
        let read = spawn(async move { reader.read_at(Vec::with_capacity(8), 77).await });
        assert_eq!(writer.write_at("hello", 99).await.0.unwrap(), 5);
        let (read, buffer) = read.await.unwrap();
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}
