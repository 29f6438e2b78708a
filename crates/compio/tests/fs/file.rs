//! Open files.

use std::{
    fs as stds,
    time::{Duration, SystemTime},
};

use compio::{
    fs::{self, File, FileTimes, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
};

use crate::support::{check_kind, check_same_error, dropped_everywhere, put, run, scratch};

const GIB: u64 = 1 << 30;

#[test]
fn the_length_is_set() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    run(async {
        for len in [0, 7, 3, 100_000, 0, 1] {
            file.set_len(len).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), len);
        }
        file.write_all_at("abc", 0).await.0.unwrap();
        file.set_len(5).await.unwrap();
        let (read, buffer) = file.read_at(Vec::with_capacity(9), 0).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"abc\0\0"[..]));
    });
}

#[test]
fn lengths_and_offsets_have_64_bits() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    run(async {
        file.set_len(5 * GIB).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 5 * GIB);
        file.write_all_at("far", 5 * GIB - 3).await.0.unwrap();
        let (read, buffer) = file.read_at(Vec::with_capacity(16), 5 * GIB - 5).await;
        assert_eq!((read.unwrap(), &buffer[..]), (5, &b"\0\0far"[..]));
        let (read, buffer) = file.read_at(Vec::with_capacity(3), GIB - 3).await;
        assert_eq!((read.unwrap(), &buffer[..]), (3, &b"\0\0\0"[..]));
        assert_eq!(file.read_at([0; 4], 5 * GIB).await.0.unwrap(), 0);
        file.set_len(4 * GIB).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 4 * GIB);
    });
}

#[test]
fn a_length_that_no_file_can_have_fails_as_stds() {
    let dir = scratch();
    let path = put(&dir, "file", "abc");
    let stds_file = OpenOptions::new().write(true).open(&path).unwrap();
    let file = stds_file.try_clone().unwrap();
    let stds_file = stds_file.into_std().unwrap();
    run(async {
        let set = file.set_len(u64::MAX).await;
        check_same_error(set, stds_file.set_len(u64::MAX));
        assert_eq!(file.metadata().await.unwrap().len(), 3);
    });
}

#[test]
fn a_file_that_is_open_for_reading_keeps_its_length() {
    let dir = scratch();
    let path = put(&dir, "file", "abc");
    let file = File::open(&path).unwrap();
    run(async {
        let set = file.set_len(1).await;
        check_same_error(set, stds::File::open(&path).unwrap().set_len(1));
        assert_eq!(fs::read(&path).await.unwrap(), b"abc");
    });
}

#[test]
fn times_are_set() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    let day = Duration::from_secs(24 * 3600);
    let (early, late) = (
        SystemTime::UNIX_EPOCH + 10_000 * day,
        SystemTime::UNIX_EPOCH + 20_000 * day,
    );
    run(async {
        let times = FileTimes::new().set_accessed(early).set_modified(late);
        file.set_times(times).await.unwrap();
        let attributes = file.metadata().await.unwrap();
        assert_eq!(attributes.modified().unwrap(), late);
        assert_eq!(attributes.accessed().unwrap(), early);
        file.set_modified(early).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), early);
    });
}

#[test]
fn permissions_are_set() {
    let dir = scratch();
    let path = put(&dir, "file", "abc");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    run(async {
        let mut permissions = file.metadata().await.unwrap().permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions).await.unwrap();
        assert!(stds::metadata(&path).unwrap().permissions().readonly());
        // Open handles keep their access.
        file.write_all_at("x", 0).await.0.unwrap();
        #[cfg(windows)]
        {
            let mut permissions = file.metadata().await.unwrap().permissions();
            #[expect(
                clippy::permissions_set_readonly_false,
                reason = "Windows removes no file that is read-only"
            )]
            permissions.set_readonly(false);
            file.set_permissions(permissions).await.unwrap();
        }
    });
}

#[test]
fn a_new_file_must_be_missing() {
    let dir = scratch();
    let path = put(&dir, "file", "abc");
    check_kind(File::create_new(&path), std::io::ErrorKind::AlreadyExists);
    let mut options = File::options();
    let opened = options.read(true).write(true).open(&path).unwrap();
    run(async { opened.read_exact_at([0; 3], 0).await.0.unwrap() });
}

#[test]
fn a_duplicate_is_the_same_open_file() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    run(async {
        let early = file.try_clone().unwrap();
        file.write_all_at("one", 0).await.0.unwrap();
        let late = file.try_clone().unwrap();
        early.write_all_at("two", 3).await.0.unwrap();
        late.write_all_at("three", 6).await.0.unwrap();
        for handle in [&file, &early, &late] {
            let (read, buffer) = handle.read_at(Vec::with_capacity(32), 0).await;
            assert_eq!((read.unwrap(), &buffer[..]), (11, &b"onetwothree"[..]));
            assert_eq!(handle.read_at([0; 2], 11).await.0.unwrap(), 0);
        }
        // Each handle is closed separately.
        file.close().await.unwrap();
        early.close().await.unwrap();
        assert_eq!(late.metadata().await.unwrap().len(), 11);
        let std = late.into_std().expect("the only handle");
        assert_eq!(std.metadata().unwrap().len(), 11);
    });
}

#[test]
fn a_file_goes_to_another_thread_and_its_runtime() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    run(async {
        file.write_all_at("here", 0).await.0.unwrap();
    });
    let std = file.into_std().unwrap();
    std::thread::spawn(move || {
        run(async {
            let file = File::from(std);
            file.write_all_at("there", 4).await.0.unwrap();
            let (read, buffer) = file.read_at(Vec::with_capacity(32), 0).await;
            assert_eq!((read.unwrap(), &buffer[..]), (9, &b"herethere"[..]));
        });
    })
    .join()
    .unwrap();
}

#[test]
fn files_convert_from_and_to_std() {
    let dir = scratch();
    let path = put(&dir, "file", "abc");
    let std = stds::File::open(&path).unwrap();
    #[cfg(unix)]
    let file = File::from(std::os::fd::OwnedFd::from(std));
    #[cfg(windows)]
    let file = {
        use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
        let file = File::from(OwnedHandle::from(std));
        assert_eq!(file.as_handle().as_raw_handle(), file.as_raw_handle());
        file
    };
    run(async { file.read_exact_at([0; 3], 0).await.0.unwrap() });
    let clone = file.clone();
    let file = file.into_std().expect_err("there is a clone");
    drop(clone);
    assert_eq!(file.into_std().unwrap().metadata().unwrap().len(), 3);
}

#[test]
fn changes_can_be_dropped_anywhere() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    run(async {
        dropped_everywhere(|| file.set_len(9)).await.unwrap();
        let attributes = dropped_everywhere(|| file.metadata()).await.unwrap();
        assert_eq!(attributes.len(), 9);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        dropped_everywhere(|| file.set_modified(time))
            .await
            .unwrap();
        dropped_everywhere(|| file.sync_all()).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), time);
    });
}

#[test]
fn operations_of_one_file_interleave() {
    let dir = scratch();
    let file = File::create_new(dir.path().join("file")).unwrap();
    run(async {
        let tasks: Vec<_> = (0..64_u64)
            .map(|number| {
                let file = file.clone();
                compio::task::spawn(async move {
                    let block = vec![number as u8; 1000];
                    let (written, block) = file.write_all_at(block, number * 1000).await;
                    written.unwrap();
                    let (read, found) = file.read_exact_at(vec![0; 1000], number * 1000).await;
                    read.unwrap();
                    assert_eq!(found, block);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(file.metadata().await.unwrap().len(), 64_000);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn direct_reads_and_writes_take_aligned_buffers() {
    use compio::buf::Aligned;

    let dir = tempfile::tempdir_in(".").unwrap();
    let mut options = File::options();
    options.read(true).write(true).create(true);
    options.custom_flags(libc::O_DIRECT);
    let Ok(file) = options.open(dir.path().join("file")) else {
        // Not every file system supports O_DIRECT.
        return;
    };
    run(async {
        let mut blocks = Aligned::with_capacity(8192, 4096);
        blocks.extend_from_slice(&crate::support::pattern(8192));
        let (written, _) = file.write_at(blocks, 4096).await;
        assert_eq!(written.unwrap(), 8192);
        let (read, blocks) = file.read_at(Aligned::with_capacity(16_384, 4096), 0).await;
        assert_eq!(read.unwrap(), 12_288);
        assert_eq!(blocks[..4096], [0; 4096]);
        assert!(blocks[4096..] == crate::support::pattern(8192));
    });
}
