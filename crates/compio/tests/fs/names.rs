//! Names that are not Unicode, contain a NUL, or are too long.

use std::{
    ffi::OsString,
    fs as stds,
    path::{Path, PathBuf},
};

use compio::fs::{self, File};

use crate::support::{check_same_error, run, scratch};

/// A name that is not Unicode, if the file system permits one.
fn strange(dir: &Path) -> Option<PathBuf> {
    #[cfg(unix)]
    let name: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"\xff\xfe name \x80".to_vec());
    #[cfg(windows)]
    let name: OsString = std::os::windows::ffi::OsStringExt::from_wide(&[0xd800, 0x20, 0x61]);
    let path = dir.join(name);
    // The file systems of macOS refuse such names. Wine may, too.
    stds::write(&path, "").ok()?;
    stds::remove_file(&path).ok()?;
    Some(path)
}

#[test]
fn names_need_not_be_unicode() {
    let dir = scratch();
    let Some(path) = strange(dir.path()) else {
        return;
    };
    run(async {
        fs::write(&path, "hello").await.0.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"hello");
        let file = File::open_async(&path).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 5);
        drop(file);
        assert_eq!(fs::metadata(&path).await.unwrap().len(), 5);
        let mut entries = fs::read_dir(dir.path()).await.unwrap();
        let entry = entries.next_entry().await.unwrap().unwrap();
        assert_eq!(entry.path(), path);
        assert_eq!(entry.metadata().await.unwrap().len(), 5);
        drop(entries);
        let other = dir.path().join("plain");
        fs::rename(&path, &other).await.unwrap();
        fs::create_dir(&path).await.unwrap();
        fs::remove_dir(&path).await.unwrap();
        fs::remove_file(&other).await.unwrap();
    });
}

#[test]
fn a_name_with_a_zero_in_it_is_invalid_everywhere() {
    let zero = "a\0b";
    run(async {
        check_same_error(fs::remove_file(zero).await, stds::remove_file(zero));
        check_same_error(fs::create_dir(zero).await, stds::create_dir(zero));
        check_same_error(fs::read_dir(zero).await, stds::read_dir(zero));
        check_same_error(fs::rename(zero, "x").await, stds::rename(zero, "x"));
        check_same_error(File::open_async(zero).await, stds::File::open(zero));
        check_same_error(File::open(zero), stds::File::open(zero));
    });
}

#[test]
fn a_name_that_is_too_long_fails_as_stds() {
    let dir = scratch();
    let path = dir.path().join("x".repeat(300));
    run(async {
        check_same_error(fs::write(&path, "").await.0, stds::write(&path, ""));
        check_same_error(fs::create_dir(&path).await, stds::create_dir(&path));
        check_same_error(fs::metadata(&path).await, stds::metadata(&path));
    });
}

#[test]
fn trees_may_be_deep() {
    let dir = scratch();
    let deep: PathBuf = (0..40).map(|_| "directory").collect();
    let root = dir.path().join("directory");
    let path = dir.path().join(deep);
    run(async {
        if let Err(error) = stds::create_dir_all(&path) {
            check_same_error::<(), ()>(fs::create_dir_all(&path).await, Err(error));
            return;
        }
        fs::write(path.join("file"), "x").await.0.unwrap();
        fs::remove_dir_all(&root).await.unwrap();
        assert!(!root.exists());
    });
}
