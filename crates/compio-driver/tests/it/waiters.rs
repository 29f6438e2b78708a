//! Several operations that wait for the same descriptor.

use std::{
    cell::Cell,
    fmt::Debug,
    io::{Read, Write},
    net::TcpListener,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio_driver::{
    Driver, OwnedFd, OwnsFd, Poller, Submit,
    op::{Accept, PollOnce, Readiness, Recv, Send},
};

use crate::support::{
    Canary, Stream, begin, check_code, code, drain, driver, each_backend, fair_driver,
    is_no_descriptor, is_skipped_on_wine, no_descriptors, poll_once, run, share, sockets, start,
    streams, tcp,
};

type Wait<F> = Submit<Recv<Vec<u8>, F>>;

/// Pending receives of one byte each.
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

/// A cancelled operation leaves the others in order.
#[track_caller]
fn check_order<F: OwnsFd + Clone + Debug>(
    driver: &Driver,
    fd: &F,
    far: &mut Stream,
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
            check_code(len, code::CANCELLED);
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
fn receives_are_served_in_order_after_cancels() {
    let driver = fair_driver();
    let (near, mut far) = streams();
    let near = share(near);
    for cancelled in CANCELS {
        check_order(&driver, &near, &mut far, cancelled);
    }
}

/// Such a descriptor needs a subscription per event.
#[test]
fn receives_without_a_shared_descriptor_are_served_in_order() {
    let driver = fair_driver();
    let (near, mut far) = streams();
    let near = Rc::new(OwnedFd::from(near));
    for cancelled in CANCELS {
        check_order(&driver, &near, &mut far, cancelled);
    }
}

#[test]
fn a_newcomer_does_not_overtake() {
    let driver = fair_driver();
    let (near, mut far) = streams();
    let near = share(near);
    let waits = wait_in_line(&driver, &near, 2);
    far.write_all(b"abc").unwrap();
    // The bytes have arrived, but the driver has not turned.
    let mut newcomer = driver.submit(Recv::new(near.clone(), Vec::with_capacity(1), 0));
    // A kernel that has completed the others itself may complete this one at once.
    let begun = start(&driver, &mut newcomer);
    for (wait, byte) in waits.into_iter().zip(*b"ab") {
        assert_eq!(run(&driver, wait).1, [byte]);
    }
    let (len, buffer) = begun.unwrap_or_else(|| run(&driver, newcomer));
    assert_eq!((len.unwrap(), &buffer[..]), (1, &b"c"[..]));
}

#[test]
fn bytes_that_come_one_by_one_serve_one_by_one() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        let mut waits = wait_in_line(&driver, &near, 20);
        for _ in 0..20 {
            far.write_all(b"x").unwrap();
            // A ring may complete any of them.
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
    let driver = fair_driver();
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

fn check_both_directions(driver: &Driver, near: &(impl OwnsFd + Clone), far: &mut Stream) {
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
    begin(driver, &mut recv);
    let mut send = fill(driver, near);
    begin(driver, &mut recv);
    // Received bytes make no room to send.
    far.write_all(b"in").unwrap();
    assert_eq!(run(driver, recv).1, b"in");
    assert!(poll_once(driver, &mut send).is_pending());
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
    begin(driver, &mut recv);
    // The opposite.
    far.set_nonblocking(true).unwrap();
    let sent = loop {
        while far.read(&mut vec![0; 1 << 16]).is_ok() {}
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        if let Poll::Ready((sent, _)) = poll_once(driver, &mut send) {
            break sent;
        }
    };
    far.set_nonblocking(false).unwrap();
    sent.unwrap();
    begin(driver, &mut recv);
    far.write_all(b"again").unwrap();
    assert_eq!(run(driver, recv).1, b"again");
}

#[test]
fn both_directions_wait_at_once() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        check_both_directions(&driver, &share(near), &mut far);
        let (near, mut far) = streams();
        check_both_directions(&driver, &Rc::new(OwnedFd::from(near)), &mut far);
    }
}

#[test]
fn all_polls_report_the_same_event() {
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

#[test]
fn a_receive_from_a_closed_number_fails() {
    for driver in each_backend() {
        for number in no_descriptors() {
            let mut recv = Recv::new(number, vec![0; 8], 0);
            // SAFETY: it stays here until its entry has come.
            unsafe { driver.push(&mut recv, 1).unwrap() };
            check_no_descriptor(&driver);
        }
    }
}

#[test]
fn a_poll_of_a_closed_number_fails() {
    if is_skipped_on_wine("it waits for any number to be signalled") {
        return;
    }
    for driver in each_backend() {
        for number in no_descriptors() {
            let mut poll = PollOnce::new(number, Readiness::READABLE);
            // SAFETY: it stays here until its entry has come.
            unsafe { driver.push(&mut poll, 1).unwrap() };
            check_no_descriptor(&driver);
        }
    }
}

#[track_caller]
fn check_no_descriptor(driver: &Driver) {
    let entry = driver.poll_one(Some(Duration::from_secs(5))).unwrap();
    let error = entry.into_result().unwrap_err();
    assert!(is_no_descriptor(&error), "{error}");
}

/// No operation stays in a wait queue, in any order of cancels and drops.
#[test]
fn many_receives_are_dropped_and_cancelled_in_any_order() {
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
}
