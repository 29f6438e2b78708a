//! Futures that are dropped while the kernel has their operation.

use std::{
    cell::RefCell,
    io::{Read, Write},
    rc::Rc,
    thread,
};

use compio_driver::{
    Driver, Submit,
    op::{ReadAt, Recv},
};

use crate::support::{Canary, begin, drain, driver, pipe, share, streams, waiting_read};

#[test]
fn a_dropped_receive_leaves_later_bytes_where_they_are() {
    let driver = driver();
    let (one, mut other) = streams();
    let mut recv = driver.submit(Recv::new(share(one.try_clone().unwrap()), vec![0; 8], 0));
    begin(&driver, &mut recv);
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    drop(recv);
    drain(&driver);
    other.write_all(b"later").unwrap();
    drop(other);
    let mut text = String::new();
    (&one).read_to_string(&mut text).unwrap();
    assert_eq!(text, "later");
}

#[test]
fn a_future_may_be_dropped_in_a_thread_locals_destructor() {
    thread_local! {
        static LATE: RefCell<Option<(Submit<ReadAt<Canary>>, Driver)>> =
            const { RefCell::new(None) };
    }
    thread::spawn(|| {
        let driver = driver();
        let (reader, _writer) = pipe();
        let read = waiting_read(&driver, &reader, &Rc::default());
        LATE.set(Some((read, driver)));
    })
    .join()
    .unwrap();
}

#[test]
fn a_driver_may_be_dropped_before_its_futures_in_a_thread_locals_destructor() {
    thread_local! {
        static LATE: RefCell<Option<(Driver, Submit<ReadAt<Canary>>)>> =
            const { RefCell::new(None) };
    }
    thread::spawn(|| {
        let driver = driver();
        let (reader, _writer) = pipe();
        let read = waiting_read(&driver, &reader, &Rc::default());
        LATE.set(Some((driver, read)));
    })
    .join()
    .unwrap();
}
