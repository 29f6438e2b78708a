//! Polls and sends on connections whose peer has shut down its sending side (rows 53 and 55).

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    task::Poll,
    time::{Duration, Instant},
};

use compio_driver::{
    Driver,
    op::{PollOnce, Readiness, Send},
};

use crate::support::{
    REPORTS_EXCEPTIONS, begin, check_returned, code, each_backend, poll_once, run, share, tcp,
};

/// A connection whose send buffer is full, and its peer, which has shut down its sending side. The buffers of a
/// Unix socket have a fixed size.
fn full_half_closed() -> (UnixStream, UnixStream, usize) {
    let (ours, peer) = UnixStream::pair().unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut sent = 0;
    for len in [1 << 16, 1] {
        loop {
            match (&ours).write(&vec![1; len]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    (ours, peer, sent)
}

/// Turns the driver for a tenth of a second. Returns the number of turns, each of which may sleep to the end.
fn turns_in_a_tenth(driver: &Driver) -> usize {
    let end = Instant::now() + Duration::from_millis(100);
    let mut turns = 0;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        driver.turn(Some(left)).unwrap();
        turns += 1;
    }
    turns
}

/// Far less than a loop that spins makes in a tenth of a second.
const TURNS_MAX: usize = 50;

#[test]
fn s53_poll_for_room_at_half_closed_peer_waits() {
    for driver in each_backend() {
        let (ours, mut peer, sent) = full_half_closed();
        let ours = share(ours);
        let mut poll = driver.submit(PollOnce::new(ours.clone(), Readiness::WRITABLE));
        begin(&driver, &mut poll);
        let turns = turns_in_a_tenth(&driver);
        assert!(turns < TURNS_MAX, "{turns} turns: {:?}", driver.backend());
        assert!(poll_once(&driver, &mut poll).is_pending());
        peer.read_exact(&mut vec![0; sent]).unwrap();
        let ready = run(&driver, poll).unwrap();
        assert_eq!(ready, Readiness::WRITABLE, "{:?}", driver.backend());
    }
}

#[test]
fn s53_poll_for_room_waits_when_peer_is_half_closed_later() {
    for driver in each_backend() {
        let (ours, mut peer) = tcp();
        ours.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(len) = (&ours).write(&[1; 1 << 16]) {
            sent += len;
        }
        let mut poll = driver.submit(PollOnce::new(share(ours), Readiness::WRITABLE));
        if let Poll::Ready(ready) = poll_once(&driver, &mut poll) {
            // The peer's kernel took more bytes.
            assert_eq!(ready.unwrap(), Readiness::WRITABLE);
            continue;
        }
        driver.turn(Some(Duration::ZERO)).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let turns = turns_in_a_tenth(&driver);
        assert!(turns < TURNS_MAX, "{turns} turns: {:?}", driver.backend());
        peer.read_exact(&mut vec![0; sent]).unwrap();
        assert_eq!(run(&driver, poll).unwrap(), Readiness::WRITABLE);
    }
}

#[test]
fn s53_poll_for_priority_does_not_report_the_end() {
    if !REPORTS_EXCEPTIONS {
        return;
    }
    for driver in each_backend() {
        let (ours, peer) = tcp();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut poll = driver.submit(PollOnce::new(share(ours), Readiness::PRIORITY));
        begin(&driver, &mut poll);
        let turns = turns_in_a_tenth(&driver);
        assert!(turns < TURNS_MAX, "{turns} turns: {:?}", driver.backend());
        assert!(poll_once(&driver, &mut poll).is_pending());
        // A reset is reported, since errors always are.
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let ready = run(&driver, poll).unwrap();
        assert!(ready.contains(Readiness::ERROR) || ready.contains(Readiness::HANG_UP));
    }
}

/// The io-wq workers that the kernel has started for this thread. There are none on other systems than Linux.
fn workers() -> usize {
    let Ok(thread) = fs::read_link("/proc/thread-self") else {
        return 0;
    };
    let name = format!("iou-wrk-{}", thread.file_name().unwrap().display());
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok());
    names.filter(|comm| comm.trim_end() == name).count()
}

#[test]
fn s55_sends_to_half_closed_peers_take_no_kernel_threads() {
    for driver in each_backend() {
        let mut connections = [(); 40].map(|()| full_half_closed());
        let sends = connections.each_mut().map(|(ours, _, _)| {
            let mut send = driver.submit(Send::new(
                share(ours.try_clone().unwrap()),
                vec![1; 1000],
                0,
            ));
            begin(&driver, &mut send);
            send
        });
        let turns = turns_in_a_tenth(&driver);
        assert!(turns < TURNS_MAX, "{turns} turns: {:?}", driver.backend());
        assert_eq!(workers(), 0, "{:?}", driver.backend());
        for ((_, peer, sent), send) in connections.iter_mut().zip(sends) {
            peer.read_exact(&mut vec![0; *sent]).unwrap();
            let (len, _) = run(&driver, send);
            assert_eq!(len.unwrap(), 1000);
        }
    }
}

/// The kernel may refuse it with EAGAIN before it sees the cancel.
#[test]
fn send_without_room_cancelled_before_a_turn_reports_the_cancel() {
    for driver in each_backend() {
        let (ours, _peer, _) = full_half_closed();
        let mut send = driver.submit(Send::new(share(ours), b"kept".to_vec(), 0));
        begin(&driver, &mut send);
        send.cancel();
        check_returned(run(&driver, send), code::CANCELLED, b"kept");
    }
}
