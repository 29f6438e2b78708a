//! Reading directories.

use std::{collections::BTreeSet, ffi::OsString, fs as stds, io, path::Path};

use compio::fs::{self, ReadDir};

use crate::support::{
    check_kind, check_same_error, dropped_everywhere, has_links, link_to_file, put, run, scratch,
};

async fn names(mut entries: ReadDir) -> Vec<OsString> {
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await.unwrap() {
        names.push(entry.file_name());
    }
    assert!(entries.next_entry().await.unwrap().is_none());
    names
}

fn stds_names(path: &Path) -> BTreeSet<OsString> {
    stds::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect()
}

#[test]
fn each_file_is_read_once_however_many_there_are() {
    run(async {
        for count in [0, 1, 127, 128, 129, 500] {
            let dir = scratch();
            for number in 0..count {
                put(&dir, &format!("file {number}"), "");
            }
            let found = names(fs::read_dir(dir.path()).await.unwrap()).await;
            assert_eq!(found.len(), count);
            assert_eq!(BTreeSet::from_iter(found), stds_names(dir.path()));
        }
    });
}

#[test]
fn entries_report_their_types() {
    let dir = scratch();
    put(&dir, "file", "hello");
    stds::create_dir(dir.path().join("dir")).unwrap();
    run(async {
        let linked = has_links();
        if linked {
            link_to_file(Path::new("file"), &dir.path().join("link"))
                .await
                .unwrap();
        }
        let mut entries = fs::read_dir(dir.path()).await.unwrap();
        let mut count = 0;
        while let Some(entry) = entries.next_entry().await.unwrap() {
            count += 1;
            let (kind, attributes) = (
                entry.file_type().await.unwrap(),
                entry.metadata().await.unwrap(),
            );
            assert_eq!(entry.path(), dir.path().join(entry.file_name()));
            assert_eq!(attributes.file_type(), kind);
            #[cfg(unix)]
            assert_eq!(entry.ino(), attributes.ino());
            match entry.file_name().to_str().unwrap() {
                "file" => assert!(kind.is_file() && attributes.len() == 5),
                "dir" => assert!(kind.is_dir()),
                "link" => assert!(kind.is_symlink() && !kind.is_file()),
                other => panic!("{other}"),
            }
        }
        assert_eq!(count, 2 + usize::from(linked));
    });
}

#[test]
fn a_file_is_not_read_as_a_directory() {
    let dir = scratch();
    let file = put(&dir, "file", "");
    run(async {
        check_same_error(fs::read_dir(&file).await, stds::read_dir(&file));
        check_same_error(fs::read_dir("").await, stds::read_dir(""));
    });
}

#[test]
fn an_entry_that_is_gone_has_no_attributes() {
    let dir = scratch();
    let path = put(&dir, "file", "");
    run(async {
        let mut entries = fs::read_dir(dir.path()).await.unwrap();
        let entry = entries.next_entry().await.unwrap().unwrap();
        stds::remove_file(path).unwrap();
        assert_eq!(entry.file_name(), "file");
        if cfg!(unix) {
            check_kind(entry.metadata().await, io::ErrorKind::NotFound);
        }
    });
}

#[test]
fn reading_a_removed_directory_ends() {
    let dir = scratch();
    let root = dir.path().join("root");
    stds::create_dir(&root).unwrap();
    for number in 0..300 {
        stds::write(root.join(number.to_string()), "").unwrap();
    }
    run(async {
        let mut entries = fs::read_dir(&root).await.unwrap();
        assert!(entries.next_entry().await.unwrap().is_some());
        if let Err(error) = fs::remove_dir_all(&root).await {
            // Windows may refuse to remove a directory that is being read.
            if cfg!(windows) {
                return;
            }
            panic!("{error}");
        }
        // The number of further entries is unspecified.
        let rest = names(entries).await;
        assert!(rest.len() < 300);
    });
}

#[test]
fn no_entry_is_lost_with_a_future() {
    let dir = scratch();
    for number in 0..400 {
        put(&dir, &number.to_string(), "");
    }
    run(async {
        let mut entries = fs::read_dir(dir.path()).await.unwrap();
        let mut found = BTreeSet::new();
        loop {
            // Each await that waits is dropped once, and the next one goes on.
            let next = {
                let entries = std::cell::RefCell::new(&mut entries);
                #[expect(
                    clippy::await_holding_refcell_ref,
                    reason = "one future after the other"
                )]
                dropped_everywhere(async || entries.borrow_mut().next_entry().await).await
            };
            let Some(entry) = next.unwrap() else { break };
            assert!(found.insert(entry.file_name()));
        }
        assert_eq!(found, stds_names(dir.path()));
        let opened = dropped_everywhere(|| fs::read_dir(dir.path())).await;
        assert_eq!(names(opened.unwrap()).await.len(), 400);
    });
}

#[test]
fn several_read_one_directory_at_once() {
    let dir = scratch();
    for number in 0..200 {
        put(&dir, &number.to_string(), "");
    }
    run(async {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let path = dir.path().to_owned();
                compio::task::spawn(
                    async move { names(fs::read_dir(path).await.unwrap()).await.len() },
                )
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
    });
}
