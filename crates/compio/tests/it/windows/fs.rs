//! Directories, which require a flag, and the permitted operations of a file's handle.

use std::{fs, io, os::windows::fs::FileExt};

use compio::fs::{File, OpenOptions};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_HIDDEN, FILE_FLAG_BACKUP_SEMANTICS,
    SECURITY_IDENTIFICATION,
};

use crate::{
    fs::check_metadata,
    support::{check_code, check_kind, code, run, scratch},
};

#[test]
fn a_directory_is_opened_by_a_flag_and_not_read() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        check_kind(
            File::open_async(dir.path()).await,
            io::ErrorKind::PermissionDenied,
        );
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
        let opened = options.open_async(dir.path()).await.unwrap();
        let metadata = opened.metadata().await.unwrap();
        assert!(metadata.is_dir() && !metadata.is_file());
        assert_ne!(metadata.file_attributes() & FILE_ATTRIBUTE_DIRECTORY, 0);
        check_metadata(&metadata, &fs::metadata(dir.path()).unwrap());
        let (read, _) = opened.read_at(Vec::with_capacity(4), 0).await;
        read.unwrap_err();
    });
}

#[test]
fn file_opens_with_flags_for_the_server_of_a_pipe() {
    run(async {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hello").unwrap();
        let mut options = OpenOptions::new();
        options
            .read(true)
            .security_qos_flags(SECURITY_IDENTIFICATION);
        let file = options.open(file.path()).unwrap();
        let (read, content) = file.read_at(Vec::with_capacity(8), 0).await;
        assert_eq!((read.unwrap(), &content[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn attributes_are_kept() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hidden");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let hidden = options.attributes(FILE_ATTRIBUTE_HIDDEN).open(&path);
        let metadata = hidden.unwrap().metadata().await.unwrap();
        let expected =
            std::os::windows::fs::MetadataExt::file_attributes(&fs::metadata(&path).unwrap());
        assert_eq!(metadata.file_attributes(), expected);
    });
}

#[test]
fn only_a_writer_syncs() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        let reader = File::open(&path).unwrap();
        check_code(reader.sync_all().await, code::NOT_OPEN_FOR_THIS);
        scratch(b"content").sync_all().await.unwrap();
    });
}

/// std waits for the event of the handle.
#[test]
fn file_that_was_used_here_is_read_and_written_by_std() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "content").unwrap();
    run(async {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(&path).unwrap();
        let (read, buffer) = file.read_at(vec![0; 3], 0).await;
        assert_eq!((read.unwrap(), &buffer[..]), (3, &b"con"[..]));
        let file = file.into_std().unwrap();
        assert_eq!(file.seek_write(b"CON", 0).unwrap(), 3);
        let mut bytes = [0; 7];
        assert_eq!(file.seek_read(&mut bytes, 0).unwrap(), 7);
        assert_eq!(&bytes, b"CONtent");
    });
}
