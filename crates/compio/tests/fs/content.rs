//! Reading and writing of whole files.

use std::{fs as stds, io};

use compio::{fs, fs::OpenOptions};
use compio_testkit::process::is_skipped_on_wine;

use crate::support::{
    check_kind, check_same_error, dropped_everywhere, pattern, put, run, scratch,
};

#[test]
fn written_content_is_read_back() {
    let dir = scratch();
    let path = dir.path().join("file");
    run(async {
        for len in [0, 1, 4095, 4096, 4097, 100_000, 3 << 20] {
            let (written, buffer) = fs::write(&path, pattern(len)).await;
            written.unwrap();
            assert_eq!(buffer.len(), len);
            assert!(fs::read(&path).await.unwrap() == pattern(len), "{len}");
            assert!(stds::read(&path).unwrap() == pattern(len), "{len}");
        }
        fs::write(&path, "short").await.0.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "short");
    });
}

#[test]
fn appended_content_follows_the_old_content() {
    let dir = scratch();
    let path = dir.path().join("log");
    run(async {
        for part in ["", "one ", "", "two ", "three"] {
            fs::append(&path, part).await.0.unwrap();
        }
        assert_eq!(fs::read(&path).await.unwrap(), b"one two three");
    });
}

#[test]
fn concurrent_appends_overwrite_nothing() {
    // Rarely, one of 200 appends is lost.
    if is_skipped_on_wine("it appends by a query of the length and a write") {
        return;
    }
    let dir = scratch();
    let path = dir.path().join("log");
    run(async {
        let tasks: Vec<_> = (0..20_u8)
            .map(|number| {
                let path = path.clone();
                compio::task::spawn(async move {
                    for _ in 0..10 {
                        fs::append(&path, vec![number; 7]).await.0.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let log = fs::read(&path).await.unwrap();
        assert_eq!(log.len(), 20 * 10 * 7);
        for number in 0..20 {
            let mine = log.iter().filter(|byte| **byte == number).count();
            assert_eq!(mine, 70, "{number}");
        }
        assert!(
            log.chunks(7)
                .all(|part| part.iter().all(|byte| *byte == part[0]))
        );
    });
}

#[test]
fn errors_are_stds_and_buffers_come_back() {
    let dir = scratch();
    let missing = dir.path().join("missing/file");
    run(async {
        check_same_error(fs::read(&missing).await, stds::read(&missing));
        check_same_error(fs::read("").await, stds::read(""));
        check_same_error(fs::read("a\0b").await, stds::read("a\0b"));
        check_same_error(fs::read_to_string(&missing).await, stds::read(&missing));
        let (written, buffer) = fs::write(&missing, "hello".to_owned()).await;
        check_same_error(written, stds::write(&missing, "hello"));
        assert_eq!(buffer, "hello");
        let (written, buffer) = fs::append(dir.path(), vec![7]).await;
        check_same_error(written, stds::write(dir.path(), "hello"));
        assert_eq!(buffer, [7]);
        check_same_error(fs::read(dir.path()).await, stds::read(dir.path()));
    });
}

#[test]
fn content_that_is_not_utf_8_is_no_string() {
    let dir = scratch();
    let path = put(&dir, "file", b"caf\xc3");
    run(async {
        let read = fs::read_to_string(&path).await;
        check_kind(read, io::ErrorKind::InvalidData);
        check_same_error(fs::read_to_string(&path).await, stds::read_to_string(&path));
        stds::write(&path, "café").unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "café");
    });
}

#[test]
fn a_read_can_be_dropped_anywhere() {
    let dir = scratch();
    let path = put(&dir, "file", pattern(100_000));
    run(async {
        let read = dropped_everywhere(|| fs::read(&path)).await;
        assert!(read.unwrap() == pattern(100_000));
    });
}

#[test]
fn a_write_can_be_dropped_anywhere() {
    let dir = scratch();
    let path = dir.path().join("file");
    run(async {
        let (written, _) = dropped_everywhere(|| fs::write(&path, pattern(100_000))).await;
        written.unwrap();
        // A dropped write may still be in flight, but has the same bytes.
        assert!(fs::read(&path).await.unwrap().len() <= 100_000);
        fs::remove_file(&path).await.unwrap();
    });
}

#[test]
#[cfg(target_os = "linux")]
fn files_without_a_size_are_read_to_their_end() {
    run(async {
        let status = fs::read_to_string("/proc/self/status").await.unwrap();
        assert!(status.starts_with("Name:"), "{status}");
        assert_eq!(fs::read("/dev/null").await.unwrap(), b"");
        fs::write("/dev/null", "gone").await.0.unwrap();
        let (written, _) = fs::write("/dev/full", "no").await;
        check_kind(written, io::ErrorKind::StorageFull);
    });
}

#[test]
fn a_file_that_is_open_for_appending_ignores_positions() {
    let dir = scratch();
    let path = put(&dir, "log", "first ");
    run(async {
        let log = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&path)
            .unwrap();
        log.write_at("second ", 0).await.0.unwrap();
        log.write_vectored_at(["thi", "rd"], 1_000).await.0.unwrap();
        let (read, buffer) = log.read_at(Vec::with_capacity(100), 6).await;
        read.unwrap();
        // Windows writes only the first of several buffers.
        assert!(buffer.starts_with(b"second thi"), "{buffer:?}");
    });
}
