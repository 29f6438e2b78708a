//! FIFOs: Linux has no non-blocking mode per call for them, and an open may wait without end.

use std::{
    ffi::CString,
    fs,
    io::{Read, Write},
};

use compio_driver::op::{Open, WriteVectoredAt};

use crate::{
    blocking_mode::{check_empty, check_full},
    support::{
        check_blocks, check_code, drain, each_backend, readiness, run, share, start, unblocked,
    },
};

pub(crate) fn make_fifo(folder: &tempfile::TempDir) -> CString {
    let name = folder.path().join("fifo");
    let name = CString::new(name.to_str().unwrap()).unwrap();
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    name
}

/// The two ends of a FIFO.
pub(crate) fn fifo() -> (fs::File, fs::File) {
    let folder = tempfile::tempdir().unwrap();
    make_fifo(&folder);
    let path = folder.path().join("fifo");
    // An open of both ends does not wait.
    let both = fs::OpenOptions::new().read(true).write(true).open(&path);
    let reader = fs::File::open(&path).unwrap();
    let writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
    drop(both);
    (reader, writer)
}

#[test]
fn a_full_fifo() {
    unblocked(|| {
        let (reader, writer) = fifo();
        check_full(share(writer), reader);
    });
}

#[test]
fn a_vectored_write_to_a_full_fifo() {
    unblocked(|| {
        let driver = readiness();
        let (mut reader, writer) = fifo();
        let writer = share(writer);
        let mut written = 0;
        loop {
            let bytes = [vec![7_u8; 5000], vec![7_u8; 5000]];
            let mut write = driver.submit(WriteVectoredAt::at_cursor(writer.clone(), bytes));
            match start(&driver, &mut write) {
                Some((len, _)) => written += len.unwrap(),
                None => break,
            }
        }
        drain(&driver);
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), written);
    });
}

#[test]
fn an_empty_fifo() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, writer) = fifo();
            check_empty(&driver, share(reader), writer);
        }
    });
}

#[test]
fn a_fifo_is_opened_without_its_other_end() {
    unblocked(|| {
        for driver in each_backend() {
            let folder = tempfile::tempdir().unwrap();
            let name = make_fifo(&folder);
            let writer = Open::new(name.clone(), libc::O_WRONLY, 0);
            check_code(run(&driver, driver.submit(writer)), libc::ENXIO);
            let reader = driver.submit(Open::new(name.clone(), libc::O_RDONLY, 0));
            let reader = run(&driver, reader).unwrap();
            check_blocks(&reader);
            let append = libc::O_WRONLY | libc::O_APPEND;
            let writer = driver.submit(Open::new(name, append, 0));
            let writer = run(&driver, writer).unwrap();
            check_blocks(&writer);
            fs::File::from(writer).write_all(b"x").unwrap();
            let mut text = String::new();
            fs::File::from(reader).read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
    });
}
