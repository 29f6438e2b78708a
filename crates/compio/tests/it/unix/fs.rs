//! Devices and directories of unix, and buffers longer than 4 GiB in overcommitted memory.

use std::{fmt::Debug, fs, io};

use compio::{
    buf::BufResult,
    fs::{File, OpenOptions},
    io::AsyncWriteAtExt,
};

use crate::{
    fs::check_metadata,
    support::{check_code, check_kind, pattern, run, scratch},
};

#[test]
fn a_buffer_of_more_than_4_gib_is_not_truncated_to_its_lower_bits() {
    run(async {
        let file = scratch(&pattern(1000));
        // Exactly 4 GiB: the lower 32 bits are zero. The memory is never touched.
        let (read, buffer) = file.read_at(Vec::with_capacity(1 << 32), 0).await;
        assert_eq!(read.unwrap(), 1000);
        assert_eq!(buffer, pattern(1000));
        let room = vec![Vec::with_capacity(1 << 32), Vec::with_capacity(1 << 32)];
        let (read, buffers) = file.read_vectored_at(room, 0).await;
        assert_eq!(read.unwrap(), 1000);
        assert_eq!(buffers[0], pattern(1000));
    });
}

#[test]
fn a_write_of_more_than_4_gib_is_not_truncated_to_its_lower_bits() {
    run(async {
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        // Zeros that are never touched.
        let (written, buffer) = null.write_at(vec![0; (1 << 32) + 5], 0).await;
        assert!(written.unwrap() > 1 << 30);
        assert_eq!(buffer.len(), (1 << 32) + 5);
        let (written, _) = null.write_all_at(buffer, 0).await;
        written.unwrap();
    });
}

#[test]
fn a_full_disk_is_an_error_and_the_buffer_comes_back() {
    run(async {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let written = full.write_at(b"hello".to_vec(), 0).await;
        check_returned(written, io::ErrorKind::StorageFull, b"hello");
        let (written, buffer) = full.write_all_at(b"hello".to_vec(), 0).await;
        check_kind(written, io::ErrorKind::StorageFull);
        assert_eq!(buffer, b"hello");
        let (written, _) = full
            .write_vectored_at([b"a".to_vec(), b"b".to_vec()], 0)
            .await;
        check_code(written, libc::ENOSPC);
    });
}

#[test]
fn a_directory_is_opened_but_not_read() {
    run(async {
        let dir = File::open_async("/").await.unwrap();
        assert!(dir.metadata().await.unwrap().is_dir());
        let read = dir.read_at(Vec::with_capacity(4), 0).await;
        check_returned(read, io::ErrorKind::IsADirectory, b"");
    });
}

#[test]
fn syncing_a_device_is_an_error() {
    run(async {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        check_code(full.sync_all().await, libc::EINVAL);
    });
}

#[test]
fn metadata_of_other_kinds_is_the_same_as_in_std() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path(), "/dev/null".as_ref(), "/etc".as_ref()] {
            let ours = File::open(path).unwrap().metadata().await.unwrap();
            let stds = fs::metadata(path).unwrap();
            check_metadata(&ours, &stds);
            assert_eq!(ours.mode(), std::os::unix::fs::MetadataExt::mode(&stds));
        }
    });
}

/// Checks that the operation failed with this kind of error, and returned the buffer unchanged.
#[track_caller]
fn check_returned<T: Debug>(
    (result, buffer): BufResult<T, Vec<u8>>,
    kind: io::ErrorKind,
    expected: &[u8],
) {
    check_kind(result, kind);
    assert_eq!(buffer, expected);
}
