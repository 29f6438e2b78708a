//! Locks of whole files.

use std::{fs::TryLockError, io, pin::pin, task::Poll, time::Duration};

use compio::{
    fs::{File, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
    task::spawn,
    time::{sleep, timeout},
};
use tempfile::TempDir;

use crate::support::{put, run, scratch};

/// A file that is opened twice.
fn two() -> (TempDir, File, File) {
    let dir = scratch();
    let path = put(&dir, "file", "content");
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap()
    };
    let (one, other) = (open(), open());
    (dir, one, other)
}

#[track_caller]
fn check_taken(tried: Result<(), TryLockError>) {
    assert!(matches!(tried, Err(TryLockError::WouldBlock)), "{tried:?}");
}

#[test]
fn a_lock_keeps_others_out() {
    let (_dir, one, other) = two();
    run(async {
        one.lock().await.unwrap();
        check_taken(other.try_lock());
        check_taken(other.try_lock_shared());
        one.unlock().unwrap();
        other.try_lock().unwrap();
        check_taken(one.try_lock());
        other.unlock().unwrap();
        one.try_lock_shared().unwrap();
        other.lock_shared().await.unwrap();
        one.unlock().unwrap();
        check_taken(one.try_lock());
        other.unlock().unwrap();
        one.try_lock().unwrap();
    });
}

#[test]
fn std_sees_the_same_locks() {
    let (dir, one, other) = two();
    drop(other);
    let std = std::fs::File::open(dir.path().join("file")).unwrap();
    run(async {
        one.lock().await.unwrap();
        check_taken(std.try_lock());
        check_taken(std.try_lock_shared());
        one.unlock().unwrap();
        std.lock_shared().unwrap();
        check_taken(one.try_lock());
        one.try_lock_shared().unwrap();
    });
}

#[test]
fn a_waiting_task_gets_the_lock_when_it_is_released() {
    let (_dir, one, other) = two();
    run(async {
        one.lock().await.unwrap();
        let waits = spawn(async move {
            other.lock().await.unwrap();
            other
        });
        sleep(Duration::from_millis(5)).await;
        assert!(!waits.is_finished());
        one.unlock().unwrap();
        let other = waits.await.unwrap();
        check_taken(one.try_lock());
        // The drop of the last handle releases the lock.
        drop(other);
        one.lock_shared().await.unwrap();
    });
}

#[test]
fn a_wait_that_is_dropped_takes_no_lock() {
    let (_dir, one, other) = two();
    run(async {
        one.lock().await.unwrap();
        timeout(Duration::from_millis(5), other.lock())
            .await
            .unwrap_err();
        let mut waits = pin!(other.lock_shared());
        std::future::poll_fn(|cx| {
            assert!(waits.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        one.unlock().unwrap();
        // No dropped wait has taken the lock.
        one.lock().await.unwrap();
        check_taken(other.try_lock());
        one.unlock().unwrap();
        other.lock().await.unwrap();
    });
}

#[test]
fn clones_and_duplicates_share_the_lock() {
    let (_dir, one, other) = two();
    run(async {
        one.lock().await.unwrap();
        let duplicate = one.try_clone().unwrap();
        drop(one);
        check_taken(other.try_lock());
        duplicate.unlock().unwrap();
        other.try_lock().unwrap();
    });
}

#[test]
fn a_locked_file_is_read_and_written_as_any() {
    let (_dir, one, other) = two();
    run(async {
        // The file is registered with the driver before and after the lock.
        one.read_exact_at([0; 7], 0).await.0.unwrap();
        one.lock().await.unwrap();
        one.write_all_at("CON", 0).await.0.unwrap();
        let (read, buffer) = one.read_exact_at([0; 7], 0).await;
        read.unwrap();
        assert_eq!(&buffer, b"CONtent");
        one.unlock().unwrap();
        other.read_exact_at([0; 7], 0).await.0.unwrap();
    });
}

#[test]
fn unlock_without_a_lock_is_as_in_std() {
    let (dir, one, other) = two();
    drop(other);
    let std = std::fs::File::open(dir.path().join("file")).unwrap();
    let code = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
    assert_eq!(code(one.unlock()), code(std.unlock()));
}

#[test]
fn many_take_turns() {
    let dir = scratch();
    let path = put(&dir, "counter", [0]);
    run(async {
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let path = path.clone();
                spawn(async move {
                    let file = OpenOptions::new()
                        .read(true)
                        .write(true)
                        .open(path)
                        .unwrap();
                    file.lock().await.unwrap();
                    let (read, [count]) = file.read_exact_at([0], 0).await;
                    read.unwrap();
                    compio::task::yield_now().await;
                    file.write_all_at([count + 1], 0).await.0.unwrap();
                    file.unlock().unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(compio::fs::read(&path).await.unwrap(), [10]);
    });
}
