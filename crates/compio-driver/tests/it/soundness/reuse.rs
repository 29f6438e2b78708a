//! 11 and 12: reuse of a descriptor's number, and of an operation's cell.

use std::{
    io::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use compio_driver::{
    CancelToken, Driver, SharedFd, Submit,
    op::{ReadAt, Recv},
};

use crate::support::{
    LONG, begin, check_code, check_gone, code, drain, each_backend, pipe_in, poll_once, run, share,
    streams, waiting_read,
};

#[test]
fn s11_an_operation_keeps_its_descriptor_open() {
    for driver in each_backend() {
        for is_submitted in [false, true] {
            let (one, mut other) = streams();
            let one = share(one);
            let read = waiting_read(&driver, &one, &Rc::default());
            if is_submitted {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            let one = one.try_unwrap().expect_err("the operation has it, too");
            drop(one);
            drop(read);
            // Still open: the peer can write.
            other.write_all(b"x").unwrap();
            drain(&driver);
            // With some kinds of sockets the peer sees the close a moment later.
            let began = Instant::now();
            let error = loop {
                match other.write_all(b"x") {
                    Ok(()) => assert!(began.elapsed() < LONG, "it is not closed"),
                    Err(error) => break error.kind(),
                }
            };
            check_gone(error);
        }
    }
}

/// The system gives out the most recently freed numbers: here to a connection that is used at once,
/// after an operation on the old one was dropped at every moment.
#[test]
fn s11_a_new_connection_gets_no_byte_of_a_closed_one() {
    for driver in each_backend() {
        for round in 0..60 {
            let (old, mut old_far) = streams();
            let mut read = driver.submit(Recv::new(share(old), Vec::with_capacity(64), 0));
            begin(&driver, &mut read);
            if round % 3 > 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            if round % 3 > 1 {
                old_far.write_all(b"old").unwrap();
            }
            drop(read);
            if round % 2 > 0 {
                drain(&driver);
            }
            let (new, mut new_far) = streams();
            let mut read = driver.submit(Recv::new(share(new), Vec::with_capacity(64), 0));
            begin(&driver, &mut read);
            // The old connection may be closed.
            let _ = old_far.write_all(b"old");
            driver.turn(Some(Duration::ZERO)).unwrap();
            assert!(poll_once(&driver, &mut read).is_pending());
            new_far.write_all(b"new").unwrap();
            assert_eq!(run(&driver, read).1, b"new", "{:?}", driver.backend());
            drain(&driver);
        }
    }
}

fn read_one(driver: &Driver, fd: &SharedFd) -> Submit<ReadAt<Vec<u8>>> {
    let mut read = driver.submit(ReadAt::at_cursor(fd.clone(), Vec::with_capacity(1)));
    begin(driver, &mut read);
    read
}

/// The same cells are reused again and again, with pending cancels of operations that have
/// completed.
#[test]
fn s12_a_stale_cancel_misses_the_next_operation_of_the_cell() {
    for driver in each_backend() {
        let (reader, mut writer) = pipe_in();
        for _ in 0..200 {
            let ended = read_one(&driver, &reader);
            writer.write_all(b"a").unwrap();
            drain(&driver);
            // The cancel reaches the kernel together with the next operation of this cell.
            ended.cancel();
            run(&driver, ended).0.unwrap();
            let next = read_one(&driver, &reader);
            driver.turn(Some(Duration::ZERO)).unwrap();
            writer.write_all(b"b").unwrap();
            let (len, buffer) = run(&driver, next);
            assert_eq!((len.unwrap(), &buffer[..]), (1, &b"b"[..]));
        }
    }
}

#[test]
fn s12_a_token_misses_the_next_operation_of_the_cell() {
    for driver in each_backend() {
        let (reader, mut writer) = pipe_in();
        for round in 0..100 {
            let token = CancelToken::new();
            let scope = driver.scope(&token);
            let of_the_token = read_one(&driver, &reader);
            drop(scope);
            if round % 2 == 0 {
                writer.write_all(b"a").unwrap();
                run(&driver, of_the_token).0.unwrap();
            } else {
                drop(of_the_token);
                drain(&driver);
            }
            let next = read_one(&driver, &reader);
            token.cancel();
            driver.turn(Some(Duration::ZERO)).unwrap();
            writer.write_all(b"b").unwrap();
            let (len, buffer) = run(&driver, next);
            assert_eq!((len.unwrap(), &buffer[..]), (1, &b"b"[..]));
        }
    }
}

/// The completion is in flight when the operation is dropped, and arrives after other operations
/// have begun.
#[test]
fn s12_a_late_completion_reaches_no_later_operation() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        let near = share(near);
        for _ in 0..100 {
            let (old, mut old_far) = streams();
            let mut late = driver.submit(Recv::new(share(old), Vec::with_capacity(64), 0));
            begin(&driver, &mut late);
            driver.turn(Some(Duration::ZERO)).unwrap();
            old_far.write_all(b"late").unwrap();
            drop(late);
            let mut nexts: [_; 3] = std::array::from_fn(|_| {
                driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0))
            });
            nexts.iter_mut().for_each(|next| begin(&driver, next));
            driver.turn(Some(Duration::ZERO)).unwrap();
            for next in &mut nexts {
                assert!(poll_once(&driver, next).is_pending());
            }
            let [first, second, third] = nexts;
            second.cancel();
            check_code(run(&driver, second).0, code::CANCELLED);
            drop(third);
            // Until it is cancelled, the dropped receive may take the bytes.
            while driver.in_flight() > 1 {
                driver.turn(Some(LONG)).unwrap();
            }
            far.write_all(b"mine").unwrap();
            assert_eq!(run(&driver, first).1, b"mine");
        }
    }
}
