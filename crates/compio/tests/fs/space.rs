//! Disk space of files.

use std::io;

use compio::{
    fs::File,
    io::{AsyncReadAtExt, AsyncWriteAtExt},
};

use crate::support::{check_kind, dropped_everywhere, pattern, run};

const MIB: u64 = 1 << 20;

/// A new file on a disk.
async fn file() -> (tempfile::TempDir, File) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let file = File::create_new(dir.path().join("file")).unwrap();
    (dir, file)
}

/// The length and the disk space in bytes.
async fn sizes(file: &File) -> (u64, u64) {
    let metadata = file.metadata().await.unwrap();
    (metadata.len(), 512 * metadata.blocks())
}

#[test]
fn allocation_reserves_space_and_extends_the_file() {
    run(async {
        let (_dir, file) = file().await;
        file.allocate(MIB, MIB).await.unwrap();
        let (len, space) = sizes(&file).await;
        assert_eq!(len, 2 * MIB);
        assert!((MIB..2 * MIB).contains(&space), "{space}");
        let (read, bytes) = file.read_exact_at(vec![1; 100], MIB).await;
        read.unwrap();
        assert_eq!(bytes, [0; 100]);
    });
}

#[test]
fn allocation_can_keep_the_size() {
    run(async {
        let (_dir, file) = file().await;
        file.allocate_keep_size(0, MIB).await.unwrap();
        let (len, space) = sizes(&file).await;
        assert_eq!(len, 0);
        assert!(space >= MIB, "{space}");
    });
}

#[test]
fn hole_reads_as_zeros_and_has_no_space() {
    run(async {
        let (_dir, file) = file().await;
        let content = pattern(MIB as usize);
        file.write_all_at(content.clone(), 0).await.0.unwrap();
        file.sync_all().await.unwrap();
        let (len, before) = sizes(&file).await;
        // The ends are inside of blocks.
        file.punch_hole(100, MIB / 2).await.unwrap();
        let (len_after, after) = sizes(&file).await;
        assert_eq!(len_after, len);
        assert!(after + MIB / 4 < before, "{before} {after}");
        let (read, bytes) = file.read_exact_at(vec![1; MIB as usize], 0).await;
        read.unwrap();
        let hole = 100..100 + MIB as usize / 2;
        assert!(bytes[hole.clone()].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[..hole.start], content[..hole.start]);
        assert_eq!(bytes[hole.end..], content[hole.end..]);
    });
}

#[test]
fn invalid_ranges_and_files_are_refused() {
    run(async {
        let (dir, file) = file().await;
        for (offset, len) in [(0, 0), (0, u64::MAX), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
            let refused = [
                file.allocate(offset, len).await,
                file.allocate_keep_size(offset, len).await,
                file.punch_hole(offset, len).await,
            ];
            for refused in refused {
                check_kind(refused, io::ErrorKind::InvalidInput);
            }
        }
        let too_large = file.allocate(i64::MAX as u64, 1).await;
        check_kind(too_large, io::ErrorKind::FileTooLarge);
        let reader = File::open(dir.path().join("file")).unwrap();
        let refused = reader.allocate(0, 1).await.unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
        assert_eq!(sizes(&file).await.0, 0);
    });
}

#[test]
fn file_system_without_allocation_is_unsupported() {
    run(async {
        let file = File::options().write(true).open("/proc/self/comm").unwrap();
        check_kind(file.allocate(0, 1).await, io::ErrorKind::Unsupported);
    });
}

#[test]
fn dropped_allocation_leaves_a_usable_file() {
    run(async {
        let (_dir, file) = file().await;
        dropped_everywhere(|| file.allocate(0, MIB)).await.unwrap();
        assert_eq!(sizes(&file).await.0, MIB);
    });
}
