//! Handles of directories.

use std::{fs as stds, io, path::Path};

use compio::{
    fs::{Dir, OpenOptions},
    io::{AsyncReadAtExt, AsyncWriteAtExt},
};

use crate::support::{check_kind, check_same_error, dropped_everywhere, put, run, scratch};

#[test]
fn a_handle_stays_with_a_directory_that_is_renamed() {
    let scratch = scratch();
    let (before, after) = (scratch.path().join("before"), scratch.path().join("after"));
    stds::create_dir(&before).unwrap();
    run(async {
        let dir = Dir::open(&before).await.unwrap();
        stds::rename(&before, &after).unwrap();
        stds::create_dir(&before).unwrap();
        let file = dir.create("file").await.unwrap();
        file.write_all_at("hello", 0).await.0.unwrap();
        dir.sync_all().await.unwrap();
        assert_eq!(stds::read(after.join("file")).unwrap(), b"hello");
        assert!(!before.join("file").exists());
        assert!(dir.try_exists("file").await.unwrap());
        assert!(!dir.try_exists("other").await.unwrap());
        let found = dir.dir_metadata().await.unwrap();
        assert_eq!(
            found.ino(),
            std::os::unix::fs::MetadataExt::ino(&stds::metadata(&after).unwrap())
        );
    });
}

#[test]
fn files_below_are_created_linked_renamed_and_removed() {
    let scratch = scratch();
    run(async {
        let dir = Dir::open(scratch.path()).await.unwrap();
        dir.create_dir("a").await.unwrap();
        check_kind(dir.create_dir("a").await, io::ErrorKind::AlreadyExists);
        let below = dir.open_dir("a").await.unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = below.open_file_with("file", &options).await.unwrap();
        file.write_all_at("hello", 0).await.0.unwrap();
        let attributes = dir.metadata("a/file").await.unwrap();
        assert_eq!((attributes.len(), attributes.mode() & 0o777), (5, 0o600));
        below.hard_link("file", &dir, "linked").await.unwrap();
        assert_eq!(dir.metadata("linked").await.unwrap().nlink(), 2);
        dir.symlink("a/file", "link").await.unwrap();
        assert_eq!(dir.read_link("link").await.unwrap(), Path::new("a/file"));
        assert!(dir.symlink_metadata("link").await.unwrap().is_symlink());
        assert_eq!(dir.metadata("link").await.unwrap().len(), 5);
        below.rename("file", &dir, "moved").await.unwrap();
        let file = dir.open_file("moved").await.unwrap();
        file.read_exact_at([0; 5], 0).await.0.unwrap();
        for name in ["moved", "link", "linked"] {
            dir.remove_file(name).await.unwrap();
        }
        dir.remove_dir("a").await.unwrap();
        assert_eq!(stds::read_dir(scratch.path()).unwrap().count(), 0);
        check_kind(below.create("file").await, io::ErrorKind::NotFound);
    });
}

#[test]
fn errors_are_the_same_as_in_std() {
    let scratch = scratch();
    let file = put(&scratch, "file", "");
    run(async {
        check_kind(Dir::open(&file).await, io::ErrorKind::NotADirectory);
        check_kind(
            Dir::open(scratch.path().join("missing")).await,
            io::ErrorKind::NotFound,
        );
        let dir = Dir::open(scratch.path()).await.unwrap();
        check_same_error(
            dir.remove_dir("file").await,
            stds::remove_dir(scratch.path().join("file")),
        );
        check_same_error(
            dir.remove_file("missing").await,
            stds::remove_file(scratch.path().join("missing")),
        );
        check_same_error(
            dir.read_link("file").await,
            stds::read_link(scratch.path().join("file")),
        );
        check_same_error(dir.create_dir("a\0b").await, stds::create_dir("a\0b"));
    });
}

#[test]
fn operations_can_be_dropped_anywhere() {
    let scratch = scratch();
    run(async {
        let dir = dropped_everywhere(|| Dir::open(scratch.path()))
            .await
            .unwrap();
        let file = dropped_everywhere(|| dir.create("file")).await.unwrap();
        drop(file);
        let attributes = dropped_everywhere(|| dir.metadata("file")).await;
        assert_eq!(attributes.unwrap().len(), 0);
        let _ = dropped_everywhere(|| dir.remove_file("file")).await;
        assert!(!dir.try_exists("file").await.unwrap());
    });
}

#[test]
fn a_directory_is_read_by_its_handle_as_often_as_one_likes() {
    let scratch = scratch();
    for number in 0..300 {
        put(&scratch, &number.to_string(), "hello");
    }
    stds::create_dir(scratch.path().join("below")).unwrap();
    run(async {
        let dir = Dir::open(scratch.path()).await.unwrap();
        for _ in 0..2 {
            let mut entries = dir.read_dir().await.unwrap();
            let mut count = 0;
            while let Some(entry) = entries.next_entry().await.unwrap() {
                count += 1;
                assert_eq!(entry.path().as_os_str(), entry.file_name());
                let attributes = entry.metadata().await.unwrap();
                let kind = entry.file_type().await.unwrap();
                assert_eq!(kind, attributes.file_type());
                assert_eq!(kind.is_dir(), entry.file_name() == "below");
                assert_eq!(entry.ino(), attributes.ino());
            }
            assert_eq!(count, 301);
        }
    });
}
