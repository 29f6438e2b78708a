//! Several who wait for the same descriptor.

use std::{
    cell::Cell,
    fmt::Debug,
    io::{Read, Write},
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixStream},
    rc::Rc,
    time::Duration,
};

use compio_driver::{
    AsRawFd, Driver, OwnsFd, Poller, Submit,
    op::{Accept, PollOnce, Readiness, Recv, Send},
};

use crate::support::{
    Canary, begin, check_error, drain, driver, each_backend, pipe, poll_once, readiness, run,
    share, sockets, tcp,
};

type Wait<F> = Submit<Recv<Vec<u8>, F>>;

/// Receives of one byte each, which wait.
fn wait_in_line<F: OwnsFd + Clone>(driver: &Driver, fd: &F, count: usize) -> Vec<Wait<F>> {
    let mut waits: Vec<_> = (0..count)
        .map(|_| driver.submit(Recv::new(fd.clone(), Vec::with_capacity(1), 0)))
        .collect();
    for wait in &mut waits {
        begin(driver, wait);
    }
    driver.turn(Some(Duration::ZERO)).unwrap();
    waits
}

/// Who is cancelled leaves the others in order.
#[track_caller]
fn check_order<F: OwnsFd + Clone + Debug>(
    driver: &Driver,
    fd: &F,
    far: &mut UnixStream,
    cancelled: &[usize],
) {
    let waits = wait_in_line(driver, fd, 5);
    for which in cancelled {
        waits[*which].cancel();
    }
    let left = 5 - cancelled.len();
    far.write_all(&b"abcde"[..left]).unwrap();
    let mut bytes = b"abcde".iter();
    for (which, wait) in waits.into_iter().enumerate() {
        let (len, buffer) = run(driver, wait);
        if cancelled.contains(&which) {
            check_error(len, libc::ECANCELED);
        } else {
            assert_eq!(buffer.first(), bytes.next(), "{cancelled:?}");
        }
    }
    assert_eq!(driver.in_flight(), 0);
}

const CANCELS: [&[usize]; 8] = [
    &[],
    &[0],
    &[2],
    &[4],
    &[0, 4],
    &[3, 2, 1],
    &[4, 3],
    &[0, 1, 2, 3, 4],
];

#[test]
fn they_are_served_in_order_whoever_gives_up() {
    let driver = readiness();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(near);
    for cancelled in CANCELS {
        check_order(&driver, &near, &mut far, cancelled);
    }
}

/// Each event of these has to be asked for.
#[test]
fn they_are_served_in_order_without_a_shared_descriptor() {
    let driver = readiness();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = Rc::new(OwnedFd::from(near));
    for cancelled in CANCELS {
        check_order(&driver, &near, &mut far, cancelled);
    }
}

#[test]
fn a_newcomer_does_not_overtake() {
    let driver = readiness();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(near);
    let mut waits = wait_in_line(&driver, &near, 2);
    far.write_all(b"abc").unwrap();
    // The bytes are there, but the driver has not looked.
    waits.append(&mut wait_in_line_without_a_look(&driver, &near));
    for (wait, byte) in waits.into_iter().zip(*b"abc") {
        assert_eq!(run(&driver, wait).1, [byte]);
    }
}

fn wait_in_line_without_a_look<F: OwnsFd + Clone>(driver: &Driver, fd: &F) -> Vec<Wait<F>> {
    let mut wait = driver.submit(Recv::new(fd.clone(), Vec::with_capacity(1), 0));
    begin(driver, &mut wait);
    vec![wait]
}

#[test]
fn bytes_that_come_one_by_one_serve_one_by_one() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        let mut waits = wait_in_line(&driver, &near, 20);
        for _ in 0..20 {
            far.write_all(b"x").unwrap();
            // With a ring it may be any of them.
            loop {
                driver.turn(Some(Duration::from_millis(1))).unwrap();
                let before = waits.len();
                waits.retain_mut(|wait| poll_once(&driver, wait).is_pending());
                if waits.len() < before {
                    break;
                }
            }
        }
        assert!(waits.is_empty());
    }
}

#[test]
fn accepts_are_served_in_order() {
    let driver = readiness();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = share(listener);
    let mut accepts: Vec<_> = (0..5)
        .map(|_| driver.submit(Accept::new(listener.clone())))
        .collect();
    for accept in &mut accepts {
        begin(&driver, accept);
    }
    drop(accepts.remove(1));
    for accept in accepts {
        let client = std::net::TcpStream::connect(address).unwrap();
        let (_, peer) = run(&driver, accept).unwrap();
        assert_eq!(peer.as_socket(), client.local_addr().ok());
    }
    drain(&driver);
}

fn fill(driver: &Driver, fd: &(impl OwnsFd + Clone)) -> Submit<Send<Vec<u8>, impl OwnsFd>> {
    loop {
        let mut send = driver.submit(Send::new(fd.clone(), vec![7; 1 << 20], 0));
        if poll_once(driver, &mut send).is_pending() {
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            if poll_once(driver, &mut send).is_pending() {
                return send;
            }
        }
    }
}

fn check_both_directions(driver: &Driver, near: &(impl OwnsFd + Clone), far: &mut UnixStream) {
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
    begin(driver, &mut recv);
    let mut send = fill(driver, near);
    begin(driver, &mut recv);
    // What comes in is no room to send.
    far.write_all(b"in").unwrap();
    assert_eq!(run(driver, recv).1, b"in");
    assert!(poll_once(driver, &mut send).is_pending());
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
    begin(driver, &mut recv);
    // And the other way round.
    far.set_nonblocking(true).unwrap();
    while far.read(&mut vec![0; 1 << 16]).is_ok() {}
    far.set_nonblocking(false).unwrap();
    run(driver, send).0.unwrap();
    begin(driver, &mut recv);
    far.write_all(b"again").unwrap();
    assert_eq!(run(driver, recv).1, b"again");
}

#[test]
fn both_directions_wait_at_once() {
    for driver in each_backend() {
        let (near, mut far) = UnixStream::pair().unwrap();
        check_both_directions(&driver, &share(near), &mut far);
        let (near, mut far) = UnixStream::pair().unwrap();
        check_both_directions(&driver, &Rc::new(OwnedFd::from(near)), &mut far);
    }
}

/// The one waits for what does not come: that must not keep the others waiting.
#[test]
fn a_poll_is_in_nobodys_way() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        let mut priority = driver.submit(PollOnce::new(near.clone(), Readiness::PRIORITY));
        begin(&driver, &mut priority);
        for _ in 0..3 {
            let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
            begin(&driver, &mut recv);
            driver.turn(Some(Duration::ZERO)).unwrap();
            far.write_all(b"x").unwrap();
            assert_eq!(run(&driver, recv).1, b"x");
        }
        far.write_all(b"x").unwrap();
        let readable = PollOnce::new(near.clone(), Readiness::READABLE);
        assert!(run(&driver, driver.submit(readable)).is_ok());
        begin(&driver, &mut priority);
    }
}

#[test]
fn all_polls_hear_of_the_same_thing() {
    for driver in each_backend() {
        let (near, far) = sockets();
        let mut polls: Vec<_> = (0..5)
            .map(|_| driver.submit(PollOnce::new(near.clone(), Readiness::READABLE)))
            .collect();
        for poll in &mut polls {
            begin(&driver, poll);
        }
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(polls.remove(2));
        run(&driver, driver.submit(Send::new(far, "x", 0)))
            .0
            .unwrap();
        for poll in polls {
            let ready = run(&driver, poll).unwrap();
            assert!(ready.contains(Readiness::READABLE));
        }
    }
}

/// What is there all the time must not be reported over and over.
#[test]
fn a_poll_for_something_else_does_not_wait_busily() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        far.write_all(b"x").unwrap();
        let near = Rc::new(OwnedFd::from(near));
        let interests = [Readiness::PRIORITY, Readiness::HANG_UP, Readiness::ERROR];
        let mut polls: Vec<_> = interests
            .map(|interest| driver.submit(PollOnce::new(near.clone(), interest)))
            .into();
        for poll in &mut polls {
            begin(&driver, poll);
        }
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        let before = driver.enters();
        driver.turn(Some(Duration::from_millis(20))).unwrap();
        driver.turn(Some(Duration::from_millis(20))).unwrap();
        assert!(driver.enters() - before <= 4, "it waits busily");
        for poll in &mut polls {
            begin(&driver, poll);
        }
    }
}

#[test]
fn a_closed_peer_is_told_in_both_directions() {
    for driver in each_backend() {
        for interest in [Readiness::READABLE, Readiness::HANG_UP] {
            let (near, far) = UnixStream::pair().unwrap();
            let mut poll = driver.submit(PollOnce::new(share(near), interest));
            begin(&driver, &mut poll);
            driver.turn(Some(Duration::ZERO)).unwrap();
            drop(far);
            assert!(run(&driver, poll).unwrap().contains(Readiness::HANG_UP));
        }
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let poll = PollOnce::new(share(near), Readiness::WRITABLE);
        let ready = run(&driver, driver.submit(poll)).unwrap();
        assert!(ready.contains(Readiness::HANG_UP));
    }
}

#[test]
fn a_reader_that_leaves_is_told_to_who_polls_the_writer() {
    for driver in each_backend() {
        let (reader, writer) = pipe();
        drop(reader);
        let poll = PollOnce::new(writer, Readiness::WRITABLE);
        let ready = run(&driver, driver.submit(poll)).unwrap();
        assert!(ready.contains(Readiness::ERROR));
    }
}

#[test]
fn a_regular_file_is_always_ready() {
    for driver in each_backend() {
        let file = share(tempfile::tempfile().unwrap());
        for interest in [Readiness::READABLE, Readiness::WRITABLE] {
            let poll = PollOnce::new(file.clone(), interest);
            let ready = run(&driver, driver.submit(poll)).unwrap();
            assert!(ready.contains(interest));
        }
    }
}

/// And never has anything exceptional.
#[test]
fn a_regular_file_is_not_waited_for() {
    let mut answers = Vec::new();
    for driver in each_backend() {
        let file = share(tempfile::tempfile().unwrap());
        let poll = PollOnce::new(file, Readiness::PRIORITY);
        let error = run(&driver, driver.submit(poll)).unwrap_err();
        answers.push(error.raw_os_error());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn there_is_no_such_descriptor() {
    for driver in each_backend() {
        for number in [-1, 1_000_000, i32::MAX, i32::MIN] {
            let mut poll = PollOnce::new(number, Readiness::READABLE);
            let mut recv = Recv::new(number, vec![0; 8], 0);
            // SAFETY: both stay here until their entries have come.
            unsafe {
                driver.push(&mut poll, 1).unwrap();
                driver.push(&mut recv, 2).unwrap();
            }
            for _ in 0..2 {
                let entry = driver.poll_one(Some(Duration::from_secs(5))).unwrap();
                check_error(entry.into_result(), libc::EBADF);
            }
        }
    }
}

/// Nobody is left in a queue, whoever gives up when.
#[test]
fn many_give_up_in_any_order() {
    let driver = driver();
    let deaths: Rc<Cell<usize>> = Rc::default();
    let (near, far) = sockets();
    let mut waits: Vec<_> = (0..300)
        .map(|_| driver.submit(Recv::new(near.clone(), Canary::new(&deaths), 0)))
        .collect();
    for wait in &mut waits {
        begin(&driver, wait);
    }
    let mut place = 0;
    while !waits.is_empty() {
        place = (place * 7 + 13) % waits.len();
        drop(waits.swap_remove(place));
    }
    drain(&driver);
    assert_eq!(deaths.get(), 300);
    run(&driver, driver.submit(Send::new(far, "x", 0)))
        .0
        .unwrap();
    let recv = Recv::new(near.clone(), Vec::with_capacity(8), 0);
    assert_eq!(run(&driver, driver.submit(recv)).1, b"x");
    assert!(near.as_raw_fd() >= 0);
}
