//! Direct I/O on a real disk.

use std::{io, path::Path};

use compio::{
    buf::{Aligned, BufResult, IntoInner, IoBuf},
    fs::{DirectFile, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
};
use tempfile::TempDir;

use crate::support::{check_kind, pattern, run};

/// A new file in a directory that is on a disk. Skips the test if the file system has no direct I/O.
async fn file_or_skip(test: &str) -> Option<(TempDir, DirectFile)> {
    // The temporary directory of the system may be in memory.
    let dir = tempfile::tempdir_in(".").unwrap();
    match create(&dir.path().join("file")).await {
        Ok(file) => Some((dir, file)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            compio_testkit::process::skip(test, &error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

async fn create(path: &Path) -> io::Result<DirectFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    options.open_direct_async(path).await
}

fn blocks(file: &DirectFile, content: &[u8]) -> Aligned {
    let mut blocks = Aligned::with_capacity(content.len(), file.alignment().unit());
    blocks.extend_from_slice(content);
    blocks
}

#[test]
fn written_blocks_are_read_back() {
    run(async {
        let Some((dir, file)) = file_or_skip("written_blocks_are_read_back").await else {
            return;
        };
        let unit = file.alignment().unit();
        assert!(unit.is_power_of_two() && unit > 1);
        let content = pattern(4 * unit);
        let (written, buffer) = file
            .write_all_at(blocks(&file, &content), unit as u64)
            .await;
        written.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 5 * unit as u64);
        let (read, buffer) = file.read_exact_at(buffer, unit as u64).await;
        read.unwrap();
        assert_eq!(buffer[..], content);
        // A slice of a buffer is aligned if its begin is.
        let (read, window) = file.read_at(buffer.slice(unit..2 * unit), 0).await;
        assert_eq!(read.unwrap(), unit);
        assert!(
            window.into_inner()[unit..2 * unit]
                .iter()
                .all(|byte| *byte == 0)
        );
        file.close().await.unwrap();
        let file = DirectFile::open_async(dir.path().join("file"))
            .await
            .unwrap();
        let (written, _) = file.write_at(blocks(&file, &content), 0).await;
        written.expect_err("it is open for reading");
    });
}

/// The error has its reason, and no code of the OS, because no call was made.
#[track_caller]
fn check_refused<B>((result, _): BufResult<usize, B>, reason: &str) {
    let error = result.expect_err(reason);
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.raw_os_error(), None);
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn unaligned_address_length_and_offset_are_named() {
    run(async {
        let Some((_dir, file)) =
            file_or_skip("unaligned_address_length_and_offset_are_named").await
        else {
            return;
        };
        let alignment = file.alignment();
        let (unit, offset) = (alignment.unit(), alignment.offset);
        let buffer = || Aligned::zeroed(2 * unit, unit);
        let reason = format!("is not a multiple of {}", alignment.memory);
        let shifted = || buffer().slice(1..=unit);
        let address = format!("address {:p} {reason}", shifted().as_ptr());
        assert!(address.starts_with("address 0x"));
        check_refused(file.read_at(shifted(), 0).await, &reason);
        let window = shifted();
        let address = format!("the buffer's address {:p} {reason}", window.as_ptr());
        check_refused(file.write_at(window, 0).await, &address);

        let reason = format!("the length 1 is not a multiple of {offset}");
        check_refused(file.read_at(buffer().slice(..1), 0).await, &reason);
        check_refused(file.write_at(buffer().slice(..1), 0).await, &reason);

        let reason = format!("the offset 1 is not a multiple of {offset}");
        check_refused(file.read_at(buffer(), 1).await, &reason);
        let (result, buffer) = file.write_at(buffer(), 1).await;
        assert_eq!(buffer.len(), 2 * unit);
        check_refused((result, ()), &reason);
        assert_eq!(file.metadata().await.unwrap().len(), 0);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn reported_alignment_is_enforced_by_the_kernel() {
    use compio::fs::AlignmentSource;

    let test = "reported_alignment_is_enforced_by_the_kernel";
    run(async {
        let Some((_dir, file)) = file_or_skip(test).await else {
            return;
        };
        let alignment = file.alignment();
        if alignment.source != AlignmentSource::Kernel {
            return compio_testkit::process::skip(test, "the kernel reports no alignment");
        }
        let half = blocks(&file, &vec![7; alignment.offset / 2]);
        let (written, _) = file.as_file().write_at(half, 0).await;
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn read_ends_at_the_end_of_the_file() {
    run(async {
        let Some((_dir, file)) = file_or_skip("read_ends_at_the_end_of_the_file").await else {
            return;
        };
        let unit = file.alignment().unit();
        let content = pattern(2 * unit);
        let buffer = blocks(&file, &content);
        let (written, buffer) = file.write_all_at(buffer, 0).await;
        written.unwrap();
        let len = unit + 100;
        file.set_len(len as u64).await.unwrap();
        let (read, buffer) = file.read_at(buffer, 0).await;
        assert_eq!((read.unwrap(), &buffer[..]), (len, &content[..len]));
        for behind in [2 * unit, 5 * unit] {
            let buffer = Aligned::with_capacity(unit, unit);
            let (read, buffer) = file.read_at(buffer, behind as u64).await;
            assert_eq!((read.unwrap(), buffer.len()), (0, 0));
        }
    });
}

#[test]
fn unaligned_reads_return_the_same_bytes_as_std() {
    run(async {
        let Some((_dir, file)) = file_or_skip("unaligned_reads_return_the_same_bytes_as_std").await
        else {
            return;
        };
        let unit = file.alignment().unit();
        let content = pattern(4 * unit);
        file.write_all_at(blocks(&file, &content), 0)
            .await
            .0
            .unwrap();
        let len = 3 * unit + 100;
        file.set_len(len as u64).await.unwrap();
        let ends = [
            0,
            1,
            100,
            unit - 1,
            unit,
            unit + 1,
            len - 1,
            len,
            len + 1,
            5 * unit,
        ];
        for offset in ends {
            for room in [0, 1, 99, unit, unit + 1, 5 * unit] {
                let expected = &content[offset.min(len)..(offset + room).min(len)];
                let buffer = vec![1; room].into_boxed_slice();
                let (read, buffer) = file.read_unaligned_at(buffer, offset as u64).await;
                assert_eq!(read.unwrap(), expected.len(), "{room} bytes at {offset}");
                assert_eq!(&buffer[..expected.len()], expected);
                assert!(buffer[expected.len()..].iter().all(|byte| *byte == 1));
            }
        }
        let (read, _) = file.read_unaligned_at(vec![0; 9], u64::MAX).await;
        check_kind(read, io::ErrorKind::InvalidInput);
    });
}

#[test]
fn zeros_overwrite_a_range_and_extend_the_file() {
    run(async {
        let Some((_dir, file)) = file_or_skip("zeros_overwrite_a_range_and_extend_the_file").await
        else {
            return;
        };
        let unit = file.alignment().unit() as u64;
        let content = pattern(2 * unit as usize);
        file.write_all_at(blocks(&file, &content), 0)
            .await
            .0
            .unwrap();
        file.write_zeros_at(7 * unit, 0).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 2 * unit);
        // More than one chunk.
        let len = (5 << 19) + unit;
        file.write_zeros_at(unit, len).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), unit + len);
        let whole = Vec::with_capacity((unit + len) as usize);
        let (read, whole) = file.read_unaligned_at(whole, 0).await;
        assert_eq!(read.unwrap() as u64, unit + len);
        assert_eq!(whole[..unit as usize], content[..unit as usize]);
        assert!(whole[unit as usize..].iter().all(|byte| *byte == 0));
        for (offset, len) in [(1, unit), (0, 1), (unit, u64::MAX)] {
            let written = file.write_zeros_at(offset, len).await;
            check_kind(written, io::ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn opens_fail_as_of_other_files() {
    run(async {
        let Some((dir, _file)) = file_or_skip("opens_fail_as_of_other_files").await else {
            return;
        };
        let missing = DirectFile::open_async(dir.path().join("missing")).await;
        check_kind(missing, io::ErrorKind::NotFound);
        check_kind(
            create(&dir.path().join("file")).await,
            io::ErrorKind::AlreadyExists,
        );
        let no_access = OpenOptions::new().open_direct_async("file").await;
        check_kind(no_access, io::ErrorKind::InvalidInput);
    });
}

#[test]
#[cfg(windows)]
fn open_is_unsupported_and_creates_no_file() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        check_kind(create(&path).await, io::ErrorKind::Unsupported);
        assert!(!path.exists());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn file_system_without_direct_transfers_is_unsupported() {
    run(async {
        let opened = DirectFile::open_async("/proc/version").await;
        let error = opened.expect_err("procfs has no blocks");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("no direct I/O"), "{error}");
    });
}
