//! 5 and 13: writes whose futures are gone, concurrent writes, and zero-copy sends.

use std::{
    future::Future,
    io::Read,
    net::Shutdown,
    rc::Rc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use compio_driver::{Driver, SharedFd, Submit, op::Send};

use compio_testkit::{
    buffer::{Runs, pattern},
    socket::read_all,
};

use crate::support::{
    Canary, check_code, code, drain, each_backend, poll_once, run, share, start, streams, tcp,
};

/// The length of the writes. Some are longer than the socket buffers.
const LEN: usize = 400_000;

/// Reads slowly until EOF, and returns the run length of each byte in order.
fn runs_of(
    mut peer: impl Read + std::marker::Send + 'static,
) -> thread::JoinHandle<Vec<(u8, usize)>> {
    thread::spawn(move || {
        let mut runs = Runs::default();
        let mut room = vec![0; 50_000];
        loop {
            let len = peer.read(&mut room).unwrap();
            if len == 0 {
                return runs.into_vec();
            }
            runs.extend(&room[..len]);
            thread::yield_now();
        }
    })
}

/// A write of this byte, which has begun.
enum Begun {
    Waits(Submit<Send<Vec<u8>>>),
    Over(usize),
}

fn begin(driver: &Driver, fd: &SharedFd, byte: u8) -> Begun {
    let mut send = driver.submit(Send::new(fd.clone(), vec![byte; LEN], 0));
    match start(driver, &mut send) {
        Some((len, _)) => Begun::Over(len.unwrap()),
        None => Begun::Waits(send),
    }
}

impl Begun {
    fn end(self, driver: &Driver) -> usize {
        match self {
            Self::Over(len) => len,
            Self::Waits(send) => run(driver, send).0.unwrap(),
        }
    }
}

#[track_caller]
fn check_at_once(driver: &Driver, peer: impl Read + std::marker::Send + 'static, fd: SharedFd) {
    let reader = runs_of(peer);
    let mut expected = Vec::new();
    for round in 0..10 {
        let bytes: [u8; 4] = std::array::from_fn(|index| round * 4 + index as u8);
        let writes = bytes.map(|byte| begin(driver, &fd, byte));
        for (byte, write) in bytes.into_iter().zip(writes) {
            expected.push((byte, write.end(driver)));
        }
    }
    drop(fd);
    let mut runs = reader.join().unwrap();
    // Any order of the writes is correct.
    runs.sort_unstable();
    assert_eq!(runs, expected, "{:?}", driver.backend());
}

/// The bytes of each write arrive in one piece, and as many as it reports.
#[test]
fn s05_writes_at_once_do_not_mix() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        check_at_once(&driver, peer, share(socket));
        // Another kind of socket, where there is one.
        let (peer, socket) = streams();
        check_at_once(&driver, peer, share(socket));
    }
}

/// A dropped write has written some first part of its buffer, once and in one piece.
#[test]
fn s05_a_dropped_write_is_a_part_at_most_and_comes_once() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let reader = runs_of(peer);
        let fd = share(socket);
        let mut expected = Vec::new();
        for byte in 0..120 {
            let write = begin(&driver, &fd, byte);
            if byte % 3 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            expected.push((byte % 4 == 0).then(|| write.end(&driver)));
            if byte % 5 == 0 {
                thread::yield_now();
            }
        }
        drain(&driver);
        drop(fd);
        let runs = reader.join().unwrap();
        let mut seen = [false; 120];
        for (byte, len) in runs {
            assert!(!std::mem::replace(&mut seen[usize::from(byte)], true));
            assert!(len <= LEN);
            if let Some(expected) = expected[usize::from(byte)] {
                assert_eq!(len, expected);
            }
        }
        let awaited = expected.iter().zip(&seen);
        assert!(
            awaited
                .filter(|(len, _)| len.is_some())
                .all(|(_, seen)| *seen)
        );
    }
}

/// A cancelled write, unlike a dropped one, reports its length, and the caller continues there.
#[test]
fn s05_a_cancelled_write_says_how_much_it_has_written() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let reader = runs_of(peer);
        let fd = share(socket);
        let mut expected = Vec::new();
        for byte in 0..120 {
            let len = match begin(&driver, &fd, byte) {
                Begun::Over(len) => len,
                Begun::Waits(send) => {
                    if byte % 3 == 0 {
                        driver.turn(Some(Duration::ZERO)).unwrap();
                    }
                    send.cancel();
                    let (result, buffer) = run(&driver, send);
                    assert_eq!(buffer, vec![byte; LEN]);
                    result.unwrap_or_else(|error| {
                        check_code::<()>(Err(error), code::CANCELLED);
                        0
                    })
                }
            };
            if len > 0 {
                expected.push((byte, len));
            }
        }
        drop(fd);
        assert_eq!(reader.join().unwrap(), expected, "{:?}", driver.backend());
    }
}

#[test]
fn s13_a_buffer_that_is_sent_without_copying_comes_back() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let sent = pattern(100_000);
        let reader = read_all(peer);
        let socket = share(socket);
        let mut rest = sent.clone();
        while !rest.is_empty() {
            let (count, loan) = run(&driver, driver.send_zero_copy(socket.clone(), rest, 0));
            rest = run(&driver, loan);
            rest.drain(..count.unwrap());
        }
        drop(socket);
        assert!(reader.join().unwrap() == sent, "{:?}", driver.backend());
    }
}

#[test]
fn s13_a_loan_can_be_dropped() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let (sent, loan) = run(
            &driver,
            driver.send_zero_copy(share(socket), pattern(5000), 0),
        );
        drop(loan);
        let mut got = vec![0; sent.unwrap()];
        peer.read_exact(&mut got).unwrap();
        assert!(pattern(5000).starts_with(&got));
        drain(&driver);
    }
}

#[test]
fn s13_a_send_that_fails_returns_its_buffer_once() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        socket2::SockRef::from(&socket)
            .shutdown(Shutdown::Write)
            .unwrap();
        let (sent, loan) = run(
            &driver,
            driver.send_zero_copy(share(socket), pattern(10), 0),
        );
        sent.unwrap_err();
        assert_eq!(run(&driver, loan), pattern(10));
        drop(peer);
    }
}

#[test]
fn s13_a_dropped_send_without_copying_leaves_nothing_behind() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let mut send = driver.send_zero_copy(share(socket), pattern(10_000_000), 0);
        let _ = poll_once(&driver, &mut send);
        drop(send);
        // While the peer may read the data, the kernel may hold it in our buffer only.
        drop(peer);
        drain(&driver);
    }
}

/// Turns a few times, in which the future may complete.
fn turns<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Poll<F::Output> {
    for _ in 0..5 {
        if let Poll::Ready(output) = poll_once(driver, future) {
            return Poll::Ready(output);
        }
        driver.turn(Some(Duration::from_millis(1))).unwrap();
    }
    poll_once(driver, future)
}

/// The kernel holds the buffer until its notification, whether a task awaits the loan or not.
#[test]
fn s13_a_dropped_loans_buffer_stays_until_the_notification() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let deaths = Rc::default();
        let mut made = 0;
        let mut loans = Vec::new();
        // Until the socket is full: the last data is still in our memory.
        loop {
            made += 1;
            let buffer = Canary::holding(vec![7; LEN], &deaths);
            let mut send = driver.send_zero_copy(fd.clone(), buffer, 0);
            match turns(&driver, &mut send) {
                Poll::Ready((sent, loan)) => {
                    assert!(sent.unwrap() > 0);
                    loans.push(loan);
                }
                Poll::Pending => break,
            }
        }
        for mut loan in loans {
            if turns(&driver, &mut loan).is_pending() {
                let before = deaths.get();
                drop(loan);
                assert_eq!(deaths.get(), before, "freed too early");
            }
        }
        drop(fd);
        let reader = runs_of(peer);
        drain(&driver);
        assert_eq!(deaths.get(), made);
        let runs = reader.join().unwrap();
        assert!(runs.iter().all(|(byte, _)| *byte == 7), "{runs:?}");
    }
}

/// The kernel answers the cancel of a loan with ENOENT: only the notification is outstanding, and
/// no cancel speeds it up. A driver that cancels again in every turn never sleeps.
#[test]
fn s52_dropped_loan_of_silent_peer_lets_the_driver_sleep() {
    for driver in each_backend() {
        let (peer, socket) = tcp();
        let fd = share(socket);
        let mut loans = Vec::new();
        // The last loans wait for the peer, which does not read.
        loop {
            let mut send = driver.send_zero_copy(fd.clone(), vec![7; LEN], 0);
            match turns(&driver, &mut send) {
                Poll::Ready((sent, loan)) => {
                    sent.unwrap();
                    loans.push(loan);
                }
                Poll::Pending => break,
            }
        }
        drop(loans);
        // The cancels are submitted, and their completions arrive.
        for _ in 0..5 {
            driver.turn(Some(Duration::from_millis(1))).unwrap();
        }
        let before = driver.enters();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(100) {
            driver.turn(Some(Duration::from_millis(100))).unwrap();
        }
        let enters = driver.enters() - before;
        assert!(enters <= 10, "{enters} enters: {:?}", driver.backend());
        drop(peer);
        drain(&driver);
    }
}
