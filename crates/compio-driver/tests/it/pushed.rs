//! Operations that stay with their caller: the seed's low-level door.

use std::{io, io::Write, time::Duration};

use compio_driver::{
    AsRawFd, Poller,
    op::{Nop, ReadAt},
};
use compio_io::buf::IntoInner;

use crate::support::{driver, pipe, tiny_driver};

#[test]
fn a_file_is_read_as_the_description_says() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"hello").unwrap();
    let driver = driver();
    driver.attach(file.as_file().as_raw_fd()).unwrap();

    let mut op = ReadAt::new(file.as_file().as_raw_fd(), 1, Vec::with_capacity(64));
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut op, 3) }.unwrap();
    let entry = driver.poll_one(None).unwrap();
    assert_eq!(entry.user_data(), 3);

    let n = entry.into_result().unwrap();
    // SAFETY: the entry said so.
    let buffer = unsafe { op.into_inner().assume_len(n) };
    assert_eq!(buffer, b"ello");
}

#[test]
fn more_operations_than_the_queues_hold_all_end() {
    let driver = tiny_driver();
    let mut ops = vec![Nop::new(); 1000];
    for (number, op) in ops.iter_mut().enumerate() {
        // SAFETY: the vector is not touched until all entries have come.
        unsafe { driver.push(op, number) }.unwrap();
    }
    let mut entries = Vec::new();
    while entries.len() < ops.len() {
        driver.poll(None, &mut entries).unwrap();
    }
    let mut numbers: Vec<_> = entries.iter().map(|entry| entry.user_data()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1000));
}

#[test]
fn waiting_in_vain_times_out() {
    let driver = driver();
    let (read, _write) = pipe();
    let mut op = ReadAt::at_cursor(read.as_raw_fd(), vec![0; 8]);
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut op, 0) }.unwrap();
    let error = driver.poll_one(Some(Duration::from_millis(5))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    driver.cancel(0);
    let error = driver.poll_one(None).unwrap().into_result().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(125), "ECANCELED: {error}");
}

#[test]
fn waiting_for_nothing_is_refused() {
    let error = driver().poll_one(None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn cancelling_an_unknown_number_does_nothing() {
    let driver = driver();
    driver.cancel(99);
    assert_eq!(driver.in_flight(), 0);
}
