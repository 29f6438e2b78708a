//! 8, 13 and 36 on unix: FIFOs, sockets without zero-copy sends, and descriptors in messages.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixDatagram,
    sync::mpsc,
    task::Context,
    time::Duration,
};

use compio_driver::{
    BufferPool, DriverBuilder,
    ancillary::SocketAncillary,
    op::{Blocking, Nop, Open, RecvAncillary, SendMsg},
    request::OpenFlags,
};
use socket2::SockRef;

use crate::{
    streams::collect,
    support::{begin, drain, each_backend, run, share, streams, tcp, unblocked, uring},
    unix::{fifos::make_fifo, is_done_without},
};

/// An open for reading waits for a writer only if it might create the file.
const WAITS: OpenFlags = libc::O_RDONLY | libc::O_CREAT;

/// The open waits on an io-wq worker, which must be interrupted.
#[test]
fn s08_dropping_an_open_that_blocks_in_the_kernel_does_not_block() {
    unblocked(|| {
        let Some(builder) = uring() else { return };
        if is_done_without("OPENAT") {
            return;
        }
        let driver = builder.build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut open = driver.submit(Open::new(make_fifo(&folder), WAITS, 0));
        begin(&driver, &mut open);
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        drop(open);
        assert_eq!(driver.in_flight(), 1);
        drain(&driver);
    });
}

/// A pool thread cannot be interrupted: the file that it opens in the end is closed.
#[test]
fn s08_dropping_an_open_that_blocks_a_pool_thread_does_not_block() {
    unblocked(|| {
        for driver in each_backend() {
            let folder = tempfile::tempdir().unwrap();
            let name = make_fifo(&folder);
            let mut open = driver.submit(Open::new(name.clone(), WAITS, 0));
            begin(&driver, &mut open);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            drop(open);
            assert_eq!(driver.in_flight(), 1);
            // An open for reading and writing does not wait, and unblocks the other open.
            let _both = run(&driver, driver.submit(Open::new(name, libc::O_RDWR, 0))).unwrap();
            drain(&driver);
        }
    });
}

#[test]
fn s13_a_socket_without_zero_copy_sends_a_copy() {
    for driver in each_backend() {
        let (mut peer, socket) = streams();
        let send = driver.send_zero_copy(share(socket), vec![7; 100], 0);
        let (sent, loan) = run(&driver, send);
        assert_eq!(sent.unwrap(), 100, "{:?}", driver.backend());
        let mut got = vec![0; 100];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(got, run(&driver, loan));
    }
}

/// A runtime shuts its driver down, and then drops it.
#[test]
fn s09_a_driver_waits_once_for_work_that_does_not_end() {
    for kind in each_backend().map(|driver| driver.backend().kind()) {
        let builder = DriverBuilder::new().backend(kind);
        let builder = builder.shutdown_timeout(Duration::from_millis(5));
        let driver = builder.build().unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let mut work = driver.submit(Blocking::new(move || {
            started.send(()).unwrap();
            released.recv()
        }));
        begin(&driver, &mut work);
        has_started.recv().unwrap();
        driver.shut_down();
        assert_eq!(driver.in_flight(), 1);
        let before = driver.enters();
        driver.shut_down();
        assert_eq!(driver.enters(), before, "it has slept again");
        release.send(()).unwrap();
    }
}

/// With the bit of `MSG_CMSG_COMPAT`, Linux writes the control layout of 32-bit programs: a
/// descriptor was leaked, and other numbers were taken for descriptors.
#[test]
fn s36_receive_of_descriptors_with_compat_flag_is_refused() {
    for driver in each_backend() {
        let (one, other) = UnixDatagram::pair().unwrap();
        let (one, other) = (share(one), share(other));
        let mut ancillary = SocketAncillary::new();
        ancillary
            .add_descriptors([std::fs::File::open("/dev/null").unwrap().into()])
            .unwrap();
        let send = SendMsg::new(one, ["x"], ancillary, None, 0);
        run(&driver, driver.submit(send)).0.unwrap();
        for (flags, count) in [(i32::MIN, 0), (0, 1)] {
            let room = SocketAncillary::with_capacity(256);
            let recv = RecvAncillary::new(other.clone(), [Vec::with_capacity(8)], room, flags);
            // Beside another operation it goes through the ring.
            let mut nop = driver.submit(Nop::new());
            begin(&driver, &mut nop);
            let (received, (_, ancillary)) = run(&driver, driver.submit(recv));
            assert_eq!(received.is_ok(), count == 1);
            assert_eq!(ancillary.descriptors().len(), count);
        }
    }
}

#[test]
fn s36_dropped_out_of_band_stream_leaves_bytes_alone() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        peer.write_all(b"ab").unwrap();
        SockRef::from(&peer).send_out_of_band(b"X").unwrap();
        peer.write_all(b"cd").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let fd = share(socket);
        let pool = BufferPool::new(&driver, 4, 64).unwrap();
        let mut stream = driver.recv_stream(fd.clone(), &pool, libc::MSG_OOB);
        // A ring receives the byte after the drop.
        let _ = stream.poll_next(&mut Context::from_waker(&driver.waker()));
        drop(stream);
        drain(&driver);
        let mut stream = driver.recv_stream(fd, &pool, 0);
        let bytes = run(&driver, collect(&mut stream));
        assert_eq!(bytes, b"abcd", "{:?}", driver.backend());
    }
}
