//! Files with other open flags than this project's.

use std::{
    fs::{File, OpenOptions},
    os::windows::fs::OpenOptionsExt,
};

use compio_driver::{
    SharedFd,
    op::{ReadAt, WriteAt},
};
use windows_sys::Win32::{
    Foundation::ERROR_INVALID_PARAMETER, Storage::FileSystem::FILE_FLAG_OVERLAPPED,
};

use crate::support::{check_code, check_read, driver, file, run, share};

/// A file that is not overlapped, as std opens it.
fn blocking(content: &str) -> (tempfile::TempDir, SharedFd) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::write(&path, content).expect("a file");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(path).expect("a file");
    (dir, share(file))
}

#[test]
fn a_file_for_calls_that_block_is_read_at_positions_to_its_end() {
    let driver = driver();
    let (_dir, file) = blocking("content");
    for (offset, expected) in [(3, "tent"), (0, "content"), (7, ""), (1000, "")] {
        let read = ReadAt::new(file.clone(), offset, Vec::with_capacity(64));
        check_read(run(&driver, driver.submit(read)), expected);
    }
    let write = WriteAt::new(file.clone(), 4, "xt of another kind");
    run(&driver, driver.submit(write)).0.expect("a write");
    let read = ReadAt::new(file, 0, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(read)), "contxt of another kind");
}

#[test]
fn a_file_for_calls_that_block_has_a_cursor() {
    let driver = driver();
    let (_dir, file) = blocking("content");
    let read = |room| driver.submit(ReadAt::at_cursor(file.clone(), Vec::with_capacity(room)));
    check_read(run(&driver, read(3)), "con");
    check_read(run(&driver, read(64)), "tent");
    check_read(run(&driver, read(64)), "");
    let write = WriteAt::at_cursor(file.clone(), "!");
    run(&driver, driver.submit(write)).0.expect("a write");
    let whole = ReadAt::new(file.clone(), 0, Vec::with_capacity(64));
    check_read(run(&driver, driver.submit(whole)), "content!");
}

#[test]
fn a_file_for_overlapped_calls_has_no_cursor() {
    let driver = driver();
    let (_dir, file) = file("content");
    let read = ReadAt::at_cursor(file, Vec::<u8>::with_capacity(64));
    let (read, _) = run(&driver, driver.submit(read));
    check_code(read, ERROR_INVALID_PARAMETER);
}

#[test]
fn a_file_for_appending_is_written_at_its_end_whatever_the_position() {
    let driver = driver();
    for flags in [0, FILE_FLAG_OVERLAPPED] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, "begin").expect("a file");
        let file: File = OpenOptions::new()
            .append(true)
            .custom_flags(flags)
            .open(&path)
            .expect("a file");
        let file = share(file);
        for (offset, text) in [(0, ", middle"), (2, ", end")] {
            let write = WriteAt::new(file.clone(), offset, text);
            run(&driver, driver.submit(write)).0.expect("a write");
        }
        drop(file);
        assert_eq!(
            std::fs::read_to_string(&path).expect("a file"),
            "begin, middle, end"
        );
    }
}
