//! Options of opening files on Windows.

use std::{fs, io};

use compio::fs::{File, OpenOptions};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_DELETE_ON_CLOSE, FILE_GENERIC_READ, FILE_GENERIC_WRITE,
};

use crate::support::{check_code, code, run};

#[test]
fn a_file_is_not_shared_if_asked() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        for is_async in [false, true] {
            let mut options = OpenOptions::new();
            options.read(true).share_mode(0);
            let alone = if is_async {
                options.open_async(&path).await
            } else {
                options.open(&path)
            };
            let alone = alone.unwrap();
            File::open(&path).unwrap_err();
            File::open_async(&path).await.unwrap_err();
            drop(alone);
            File::open_async(&path).await.unwrap();
        }
    });
}

#[test]
fn the_access_mode_overrides_the_options() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        let mut options = OpenOptions::new();
        options.read(true).access_mode(FILE_GENERIC_WRITE);
        let writes = options.open_async(&path).await.unwrap();
        let (read, _) = writes.read_at(Vec::with_capacity(8), 0).await;
        check_code(read, code::NOT_OPEN_FOR_THIS);
        writes.write_at("CON", 0).await.0.unwrap();
        options.access_mode(FILE_GENERIC_READ);
        let reads = options.open(&path).unwrap();
        let (read, buffer) = reads.read_at(Vec::with_capacity(8), 0).await;
        assert_eq!((read.unwrap(), &buffer[..]), (7, &b"CONtent"[..]));
    });
}

#[test]
fn custom_flags_are_passed_on() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = options
            .custom_flags(FILE_FLAG_DELETE_ON_CLOSE)
            .open_async(&path);
        let file = file.await.unwrap();
        file.write_at("content", 0).await.0.unwrap();
        file.close().await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    });
}
