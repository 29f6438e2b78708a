//! Descriptors as Linux lists them.

use std::{
    collections::BTreeSet, ffi::CString, fs, net::TcpStream, process::Command, time::Duration,
};

use compio_driver::{
    AsRawFd,
    op::{Accept, Open, Recv},
    request::{NativePath, OpenFlags},
};

use super::{check, drain, listener, poll, run, silent, tcp_socket};

/// The numbers of all open descriptors, that of the listing itself among them.
pub(super) type Descriptors = BTreeSet<String>;

pub(super) fn open_now() -> Descriptors {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// What can always be opened, and how.
pub(super) fn null() -> (NativePath, OpenFlags) {
    (CString::new("/dev/null").unwrap(), libc::O_RDONLY)
}

/// Closing gives a number free for others: it must not happen while the kernel may still use it.
#[test]
fn a_number_is_not_used_again_under_an_operation() {
    check(|driver| {
        let (reader, _writer) = silent();
        let number = reader.as_raw_fd();
        let mut read = driver.submit(Recv::new(reader, vec![0; 8], 0));
        assert!(poll(&mut read).is_pending());
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(read);
        let others: Vec<_> = (0..8)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(others.iter().all(|other| other.as_raw_fd() != number));
        drain(driver);
        assert_eq!(fs::File::open("/dev/null").unwrap().as_raw_fd(), number);
    });
}

/// The descriptors that a child has.
fn inherited() -> String {
    let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_child_inherits_nothing() {
    let mut without = String::new();
    check(|driver| {
        if without.is_empty() {
            without = inherited();
        }
        let (fd, listener) = listener();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (name, flags) = null();
        let open = driver.submit(Open::new(name, flags, 0));
        let socket = driver.submit(tcp_socket());
        let _opened = run(driver, open).unwrap();
        let _accepted = run(driver, driver.submit(Accept::new(fd))).unwrap();
        let _socket = run(driver, socket).unwrap();
        assert_eq!(inherited(), without);
    });
}
