//! Path operations on files and directories, compared with std.

use std::{fs as stds, io, path::Path};

use compio::fs::{self, DirBuilder};

use crate::support::{
    check_kind, check_same, check_same_error, dropped_everywhere, has_links, link_to_dir,
    link_to_file, put, run, scratch,
};

#[test]
fn attributes_are_stds() {
    let dir = scratch();
    let path = put(&dir, "file", "hello");
    run(async {
        for path in [path.as_path(), dir.path(), Path::new("Cargo.toml")] {
            let ours = fs::metadata(path).await.unwrap();
            let stds = stds::metadata(path).unwrap();
            assert_eq!(ours.len(), stds.len());
            assert_eq!(ours.is_dir(), stds.is_dir());
            assert_eq!(ours.is_file(), stds.is_file());
            assert_eq!(ours.is_symlink(), stds.is_symlink());
            assert_eq!(ours.file_type().is_dir(), stds.file_type().is_dir());
            assert_eq!(ours.permissions(), stds.permissions());
            assert_eq!(ours.modified().unwrap(), stds.modified().unwrap());
            assert_eq!(ours.accessed().unwrap(), stds.accessed().unwrap());
            assert_eq!(ours.created().ok(), stds.created().ok());
        }
    });
}

#[test]
#[cfg(unix)]
fn attributes_of_unix_are_stds() {
    use std::os::unix::fs::MetadataExt;
    run(async {
        // No files that other programs change during the test.
        for path in ["Cargo.toml", "src", "/dev/null", "/usr"] {
            let ours = fs::metadata(path).await.unwrap();
            let stds = stds::metadata(path).unwrap();
            assert_eq!(ours.dev(), stds.dev(), "{path}");
            assert_eq!(ours.ino(), stds.ino());
            assert_eq!(ours.mode(), stds.mode());
            assert_eq!(ours.nlink(), stds.nlink());
            assert_eq!((ours.uid(), ours.gid()), (stds.uid(), stds.gid()));
            assert_eq!(ours.rdev(), stds.rdev());
            assert_eq!(ours.size(), stds.size());
            assert_eq!(ours.blksize(), stds.blksize());
            assert_eq!(ours.mtime(), stds.mtime());
            assert_eq!(ours.mtime_nsec(), stds.mtime_nsec());
            assert_eq!(ours.ctime(), stds.ctime());
            assert_eq!(ours.ctime_nsec(), stds.ctime_nsec());
        }
        let null = fs::metadata("/dev/null").await.unwrap().file_type();
        assert!(null.is_char_device() && !null.is_file() && !null.is_fifo());
        assert!(!null.is_block_device() && !null.is_socket());
    });
}

#[test]
#[cfg(windows)]
fn attributes_of_windows_are_stds() {
    use std::os::windows::fs::MetadataExt;
    run(async {
        let ours = fs::metadata("Cargo.toml").await.unwrap();
        let stds = stds::metadata("Cargo.toml").unwrap();
        assert_eq!(ours.file_attributes(), stds.file_attributes());
        assert_eq!(ours.file_size(), stds.file_size());
        assert_eq!(ours.creation_time(), stds.creation_time());
        assert_eq!(ours.last_write_time(), stds.last_write_time());
    });
}

#[test]
fn a_missing_file_is_not_found_by_any_call() {
    let dir = scratch();
    let missing = dir.path().join("missing");
    let other = dir.path().join("other");
    run(async {
        check_same_error(fs::metadata(&missing).await, stds::metadata(&missing));
        check_same_error(
            fs::symlink_metadata(&missing).await,
            stds::symlink_metadata(&missing),
        );
        check_same_error(fs::metadata("").await, stds::metadata(""));
        check_same_error(fs::metadata("a\0b").await, stds::metadata("a\0b"));
        check_same_error(fs::remove_file(&missing).await, stds::remove_file(&missing));
        check_same_error(fs::remove_dir(&missing).await, stds::remove_dir(&missing));
        check_same_error(
            fs::remove_dir_all(&missing).await,
            stds::remove_dir_all(&missing),
        );
        check_same_error(
            fs::rename(&missing, &other).await,
            stds::rename(&missing, &other),
        );
        check_same_error(
            fs::copy(&missing, &other).await,
            stds::copy(&missing, &other),
        );
        check_same_error(
            fs::hard_link(&missing, &other).await,
            stds::hard_link(&missing, &other),
        );
        check_same_error(fs::read_link(&missing).await, stds::read_link(&missing));
        check_same_error(
            fs::canonicalize(&missing).await,
            stds::canonicalize(&missing),
        );
        check_same_error(fs::read_dir(&missing).await, stds::read_dir(&missing));
        let deep = missing.join("deep");
        check_same_error(fs::create_dir(&deep).await, stds::create_dir(&deep));
        let permissions = stds::metadata(dir.path()).unwrap().permissions();
        check_same_error(
            fs::set_permissions(&missing, permissions.clone()).await,
            stds::set_permissions(&missing, permissions),
        );
        assert!(!fs::try_exists(&missing).await.unwrap());
        assert!(fs::try_exists(dir.path()).await.unwrap());
    });
}

#[test]
fn existence_below_a_file_is_as_in_std() {
    let dir = scratch();
    let path = put(&dir, "file", "").join("below");
    run(async { check_same(fs::try_exists(&path).await, stds::exists(&path)) });
}

#[test]
fn files_are_copied_renamed_linked_and_removed() {
    let dir = scratch();
    let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
    run(async {
        fs::write(&a, "hello").await.0.unwrap();
        // The OS reports the length, which Wine may not do.
        check_same(fs::copy(&a, &b).await, stds::copy(&a, &c));
        fs::write(&a, "changed").await.0.unwrap();
        assert_eq!(fs::read(&b).await.unwrap(), b"hello");
        fs::rename(&b, &c).await.unwrap();
        assert!(!fs::try_exists(&b).await.unwrap());
        fs::hard_link(&c, &b).await.unwrap();
        fs::append(&b, "!").await.0.unwrap();
        assert_eq!(fs::read(&c).await.unwrap(), b"hello!");
        check_same_error(fs::hard_link(&c, &b).await, stds::hard_link(&c, &b));
        fs::rename(&c, &a).await.unwrap();
        assert_eq!(fs::read(&a).await.unwrap(), b"hello!");
        fs::remove_file(&a).await.unwrap();
        fs::remove_file(&b).await.unwrap();
        assert_eq!(stds::read_dir(dir.path()).unwrap().count(), 0);
    });
}

#[test]
fn directories_are_created_and_removed() {
    let dir = scratch();
    let root = dir.path().join("root");
    let deep = root.join("a/b/c");
    run(async {
        fs::create_dir(&root).await.unwrap();
        check_kind(fs::create_dir(&root).await, io::ErrorKind::AlreadyExists);
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir_all(&deep).await.unwrap();
        check_same_error(fs::remove_dir(&root).await, stds::remove_dir(&root));
        fs::remove_dir(&deep).await.unwrap();
        fs::write(root.join("a/file"), "x").await.0.unwrap();
        fs::remove_dir_all(&root).await.unwrap();
        assert!(!root.exists());
    });
}

#[test]
fn a_builder_creates_one_directory_or_all() {
    let dir = scratch();
    let deep = dir.path().join("a/b");
    run(async {
        check_kind(
            DirBuilder::new().create(&deep).await,
            io::ErrorKind::NotFound,
        );
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(&deep).await.unwrap();
        builder.create(&deep).await.unwrap();
        let attributes = fs::metadata(&deep).await.unwrap();
        assert!(attributes.is_dir());
        #[cfg(unix)]
        assert_eq!(attributes.mode() & 0o777, 0o700);
    });
}

#[test]
fn permissions_are_set() {
    let dir = scratch();
    let path = put(&dir, "file", "hello");
    run(async {
        let mut permissions = fs::metadata(&path).await.unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions.clone())
            .await
            .unwrap();
        assert!(stds::metadata(&path).unwrap().permissions().readonly());
        assert_eq!(
            fs::metadata(&path).await.unwrap().permissions(),
            permissions
        );
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "a file of this test alone"
        )]
        permissions.set_readonly(false);
        fs::set_permissions(&path, permissions).await.unwrap();
        assert!(!stds::metadata(&path).unwrap().permissions().readonly());
    });
}

#[test]
fn links_are_made_read_and_followed() {
    if !has_links() {
        return;
    }
    let dir = scratch();
    let file = put(&dir, "file", "hello");
    let [link, broken, to_dir] = ["link", "broken", "to_dir"].map(|name| dir.path().join(name));
    run(async {
        link_to_file(&file, &link).await.unwrap();
        link_to_file(Path::new("nowhere"), &broken).await.unwrap();
        link_to_dir(dir.path(), &to_dir).await.unwrap();
        assert_eq!(fs::read_link(&link).await.unwrap(), file);
        assert_eq!(fs::read_link(&broken).await.unwrap(), Path::new("nowhere"));
        check_same_error(fs::read_link(&file).await, stds::read_link(&file));
        assert!(fs::metadata(&link).await.unwrap().is_file());
        assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
        assert!(fs::metadata(&to_dir).await.unwrap().is_dir());
        assert!(!fs::symlink_metadata(&to_dir).await.unwrap().is_dir());
        check_kind(fs::metadata(&broken).await, io::ErrorKind::NotFound);
        assert!(!fs::try_exists(&broken).await.unwrap());
        check_same(fs::canonicalize(&link).await, stds::canonicalize(&link));
        assert_eq!(fs::read(&link).await.unwrap(), b"hello");
        fs::remove_file(&link).await.unwrap();
        assert!(file.exists());
    });
}

#[test]
fn paths_become_absolute() {
    run(async {
        for path in [".", "Cargo.toml", "src/../src/fs"] {
            check_same(fs::canonicalize(path).await, stds::canonicalize(path));
        }
    });
}

#[test]
fn a_started_operation_completes_without_its_future() {
    let dir = scratch();
    let root = dir.path().join("root");
    run(async {
        dropped_everywhere(|| fs::create_dir_all(&root))
            .await
            .unwrap();
        assert!(root.is_dir());
        let path = put(&dir, "file", "x");
        let _ = dropped_everywhere(|| fs::remove_file(&path)).await;
        assert!(!path.exists());
        let metadata = dropped_everywhere(|| fs::metadata(&root)).await;
        assert!(metadata.unwrap().is_dir());
    });
}

#[test]
fn a_future_that_was_never_polled_does_nothing() {
    let dir = scratch();
    let path = put(&dir, "file", "x");
    run(async {
        drop(fs::remove_file(&path));
        drop(fs::write(&path, "y"));
        drop(fs::rename(&path, dir.path().join("other")));
        compio::task::yield_now().await;
        assert_eq!(stds::read(&path).unwrap(), b"x");
    });
}
