//! Readiness: batches, and several waiting operations (scenario 24). The io_uring backend passes
//! the same tests.

use std::{
    io::{Read, Write},
    time::Duration,
};

use compio_driver::op::{PollOnce, ReadAt, Readiness, Recv, Send};

use crate::support::{
    REPORTS_EXCEPTIONS, begin, check_code, code, drain, each_backend, file, forget_from, run,
    share, streams, tcp,
};

#[test]
fn s24_a_batch_of_events_larger_than_the_room_for_it_is_all_handled() {
    for driver in each_backend() {
        let pairs: Vec<_> = (0..300).map(|_| streams()).collect();
        let (near, mut far): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let near: Vec<_> = near.into_iter().map(share).collect();
        for _ in 0..3 {
            let mut waits: Vec<_> = near
                .iter()
                .map(|fd| driver.submit(Recv::new(fd.clone(), Vec::with_capacity(8), 0)))
                .collect();
            for wait in &mut waits {
                begin(&driver, wait);
            }
            driver.turn(Some(Duration::ZERO)).unwrap();
            for far in &mut far {
                far.write_all(b"x").unwrap();
            }
            drain(&driver);
            for wait in waits {
                assert_eq!(run(&driver, wait).1, b"x");
            }
        }
    }
}

/// One operation waits for an event that does not happen: that must not block the others.
#[test]
fn s24_a_waiting_poll_delays_no_other_operation() {
    if !REPORTS_EXCEPTIONS {
        return;
    }
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

/// One event for several waiting operations: the first one must not consume it.
#[test]
fn s24_one_event_serves_all_waits_of_a_direction() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        let near = share(near);
        for given_up in 0..4 {
            let mut waits: Vec<_> = (0..4)
                .map(|_| driver.submit(Recv::new(near.clone(), Vec::with_capacity(1), 0)))
                .collect();
            waits.iter_mut().for_each(|wait| begin(&driver, wait));
            driver.turn(Some(Duration::ZERO)).unwrap();
            let given_up = waits.remove(given_up);
            given_up.cancel();
            check_code(run(&driver, given_up).0, code::CANCELLED);
            far.write_all(b"abc").unwrap();
            let mut bytes = Vec::new();
            for wait in waits {
                bytes.extend(run(&driver, wait).1);
            }
            bytes.sort_unstable();
            assert_eq!(bytes, b"abc", "{:?}", driver.backend());
        }
    }
}

/// Neither hides the other's event.
#[test]
fn s24_a_reader_and_a_writer_wait_for_one_socket() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
        begin(&driver, &mut recv);
        let mut sent = 0;
        let send = loop {
            let mut send = driver.submit(Send::new(near.clone(), vec![7_u8; 1 << 20], 0));
            let answer = crate::support::poll_once(&driver, &mut send);
            if answer.is_pending() {
                driver.turn(Some(Duration::from_millis(20))).unwrap();
            }
            let answer = match answer {
                std::task::Poll::Pending => crate::support::poll_once(&driver, &mut send),
                ready => ready,
            };
            match answer {
                std::task::Poll::Ready((len, _)) => sent += len.unwrap(),
                std::task::Poll::Pending => break send,
            }
        };
        far.write_all(b"x").unwrap();
        assert_eq!(run(&driver, recv).1, b"x");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            all.len()
        });
        sent += run(&driver, send).0.unwrap();
        drop(near);
        assert_eq!(reader.join().unwrap(), sent, "{:?}", driver.backend());
    }
}

/// Epoll refuses files (`EPERM`): pool threads read the data that is not in the page cache.
#[test]
fn s24_a_regular_file_is_read_where_readiness_knows_none() {
    for driver in each_backend() {
        let content: Vec<u8> = (0..100_000_u32).map(|index| index as u8).collect();
        let (file, fd) = file(&content);
        forget_from(&file, 0);
        let mut reads: Vec<_> = (0..10)
            .map(|part| {
                let read = ReadAt::new(fd.clone(), part * 10_000, Vec::with_capacity(10_000));
                driver.submit(read)
            })
            .collect();
        let begun: Vec<_> = reads
            .iter_mut()
            .map(|read| crate::support::start(&driver, read))
            .collect();
        for (part, (read, begun)) in reads.into_iter().zip(begun).enumerate() {
            let (_, bytes) = begun.unwrap_or_else(|| run(&driver, read));
            assert!(!bytes.is_empty() && content[part * 10_000..].starts_with(&bytes));
        }
    }
}
