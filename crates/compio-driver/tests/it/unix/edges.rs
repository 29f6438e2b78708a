//! Readiness edges of unix: urgent bytes among others, descriptors in messages, packets in a row, a
//! receive with `MSG_DONTWAIT`, and one that our own shutdown ends.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use compio_driver::{
    AsRawFd,
    op::{PollOnce, Readiness, Recv, Send},
};

use crate::{
    edges::{recv, wait_once},
    support::{REPORTS_EXCEPTIONS, begin, check_code, each_backend, readiness, run, share, tcp},
};

#[test]
fn our_own_shutdown_ends_a_receive() {
    for driver in each_backend() {
        for how in [Shutdown::Read, Shutdown::Both] {
            let (near, mut far) = tcp();
            let handle = near.try_clone().unwrap();
            let near = share(near);
            wait_once(&driver, &near, &mut far);
            let mut waiting = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
            begin(&driver, &mut waiting);
            driver.turn(Some(Duration::ZERO)).unwrap();
            handle.shutdown(how).unwrap();
            assert_eq!(run(&driver, waiting).1, b"");
            assert_eq!(recv(&driver, &near), b"");
        }
    }
}

fn send_urgent(stream: &TcpStream, byte: u8) {
    // SAFETY: one byte, which outlives the call.
    let sent = unsafe {
        libc::send(
            stream.as_raw_fd(),
            (&raw const byte).cast(),
            1,
            libc::MSG_OOB,
        )
    };
    assert_eq!(sent, 1);
}

/// A receive ends before an urgent byte, whatever follows it.
#[test]
fn urgent_bytes_hide_nothing() {
    for driver in each_backend() {
        for round in 0..20 {
            let (near, mut far) = tcp();
            let near = share(near);
            wait_once(&driver, &near, &mut far);
            far.write_all(b"before").unwrap();
            send_urgent(&far, b'!');
            far.write_all(b"behind").unwrap();
            if round % 2 == 0 {
                driver.turn(Some(Duration::from_millis(1))).unwrap();
            }
            assert_eq!(recv(&driver, &near), b"before");
            assert_eq!(recv(&driver, &near), b"behind");
        }
    }
}

/// Linux's io_uring does not report this event.
#[test]
fn an_urgent_byte_is_a_priority() {
    if !REPORTS_EXCEPTIONS {
        return;
    }
    let driver = readiness();
    let (near, far) = tcp();
    let mut poll = driver.submit(PollOnce::new(share(near), Readiness::PRIORITY));
    begin(&driver, &mut poll);
    driver.turn(Some(Duration::ZERO)).unwrap();
    send_urgent(&far, b'!');
    let ready = run(&driver, poll).unwrap();
    assert!(ready.contains(Readiness::PRIORITY));
}

/// A receive attempt passes the urgent byte, and then the kernel no longer reports it.
#[test]
fn an_urgent_byte_is_reported_before_a_receive_passes_it() {
    if !REPORTS_EXCEPTIONS {
        return;
    }
    let driver = readiness();
    let (near, far) = tcp();
    let near = share(near);
    let mut receive = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
    begin(&driver, &mut receive);
    let mut poll = driver.submit(PollOnce::new(near, Readiness::PRIORITY));
    begin(&driver, &mut poll);
    send_urgent(&far, b'!');
    let ready = run(&driver, poll).unwrap();
    assert!(ready.contains(Readiness::PRIORITY));
    begin(&driver, &mut receive);
}

/// Sends bytes, and a descriptor with them.
fn send_descriptor(stream: &impl AsRawFd, bytes: &[u8]) {
    // SAFETY: plain C structs; all that the header points to outlives the call.
    unsafe {
        let mut control = [0_u64; 8];
        let mut slice = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &raw mut slice;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = libc::CMSG_SPACE(4) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(first).cast::<i32>().write_unaligned(0);
        let sent = libc::sendmsg(stream.as_raw_fd(), &raw const header, 0);
        assert_eq!(sent, bytes.len() as isize);
    }
}

/// A receive ends behind a message with descriptors, whatever follows it.
#[test]
fn passed_descriptors_hide_nothing() {
    for driver in each_backend() {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        let near = share(near);
        wait_once(&driver, &near, &mut far);
        send_descriptor(&far, b"with");
        far.write_all(b"without").unwrap();
        assert_eq!(recv(&driver, &near), b"with");
        assert_eq!(recv(&driver, &near), b"without");
    }
}

fn seqpackets() -> (OwnedFd, OwnedFd) {
    let (domain, kind) = (socket2::Domain::UNIX, socket2::Type::SEQPACKET);
    let (one, other) = socket2::Socket::pair(domain, kind, None).unwrap();
    (one.into(), other.into())
}

#[test]
fn a_short_packet_is_not_the_last_one() {
    for driver in each_backend() {
        let (near, far) = seqpackets();
        let (near, far) = (share(near), share(far));
        let mut waiting = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
        begin(&driver, &mut waiting);
        for packet in ["one", "two", "three"] {
            let send = driver.submit(Send::new(far.clone(), packet, 0));
            run(&driver, send).0.unwrap();
        }
        assert_eq!(run(&driver, waiting).1, b"one");
        assert_eq!(recv(&driver, &near), b"two");
        assert_eq!(recv(&driver, &near), b"three");
    }
}

#[test]
fn a_receive_with_dontwait_does_not_wait() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        let mut waiting = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
        begin(&driver, &mut waiting);
        let hasty = Recv::new(near.clone(), Vec::with_capacity(64), libc::MSG_DONTWAIT);
        check_code(run(&driver, driver.submit(hasty)).0, libc::EAGAIN);
        far.write_all(b"x").unwrap();
        assert_eq!(run(&driver, waiting).1, b"x");
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(recv(&driver, &near), b"");
        let mut rest = Vec::new();
        far.set_nonblocking(true).unwrap();
        let error = far.read_to_end(&mut rest).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}
