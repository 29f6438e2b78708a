//! Descriptors whose numbers are reused by `dup2`, and descriptors with open duplicates.

use std::{
    io::Write,
    os::fd::{FromRawFd, OwnedFd},
};

use compio_driver::{
    AsRawFd, RawFd,
    op::{ReadAt, Recv},
};

use crate::{
    numbers::{check_pushed, check_recv},
    support::{each_backend, run, share, tcp},
};

/// Gives `near` this number. Tests run in parallel, and another test may get a number that was just
/// freed: so this one is out of reach of the system's own choice.
pub(crate) fn renumber(near: impl Into<OwnedFd>, number: RawFd) -> OwnedFd {
    let near = near.into();
    // SAFETY: no other code has the new number, see `NUMBERS`.
    unsafe {
        assert_eq!(libc::dup2(near.as_raw_fd(), number), number);
        OwnedFd::from_raw_fd(number)
    }
}

/// A number per test, too high for the system's own choice.
pub(crate) fn number() -> RawFd {
    use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
    static NEXT: AtomicI32 = AtomicI32::new(900);
    NEXT.fetch_add(1, Relaxed)
}

#[test]
fn a_number_is_used_again_while_it_is_subscribed() {
    for driver in each_backend() {
        let number = number();
        for _ in 0..10 {
            let (near, mut far) = tcp();
            let near = share(renumber(near, number));
            assert_eq!(near.as_raw_fd(), number);
            check_recv(&driver, &near, &mut far, b"one");
            check_recv(&driver, &near, &mut far, b"two");
            drop(near.try_unwrap().unwrap());
        }
    }
}

#[test]
fn a_number_changes_its_kind() {
    for driver in each_backend() {
        let number = number();
        let (near, mut far) = tcp();
        let near = share(renumber(near, number));
        check_recv(&driver, &near, &mut far, b"one");
        drop(near);
        // Each packet is shorter than the buffer, and another one follows.
        let (near, far) =
            socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
        let near = share(renumber(near, number));
        for packet in ["one", "two", "three"] {
            far.send(packet.as_bytes()).unwrap();
        }
        for packet in ["one", "two", "three"] {
            let recv = Recv::new(near.clone(), Vec::with_capacity(64), 0);
            assert_eq!(run(&driver, driver.submit(recv)).1, packet.as_bytes());
        }
        drop(near);
        // Then the number is a regular file, which has no readiness.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"file").unwrap();
        let file = share(renumber(file, number));
        let read = ReadAt::new(file.clone(), 0, Vec::with_capacity(64));
        assert_eq!(run(&driver, driver.submit(read)).1, b"file");
        let read = ReadAt::at_cursor(file, Vec::with_capacity(64));
        assert_eq!(run(&driver, driver.submit(read)).1, b"");
    }
}

#[test]
fn a_pushed_number_is_used_again() {
    for driver in each_backend() {
        let number = number();
        for round in 0..6 {
            let (near, mut far) = tcp();
            let near = renumber(near, number);
            check_pushed(&driver, number, &mut far, b"one");
            check_pushed(&driver, number, &mut far, b"two");
            if round % 2 == 0 {
                let near = share(near);
                check_recv(&driver, &near, &mut far, b"three");
            }
        }
    }
}
