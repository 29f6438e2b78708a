//! Shutdown of a driver with operations in flight.

use std::{cell::Cell, rc::Rc, thread, time::Duration};

use compio_driver::{
    Driver, DriverBuilder, Poller, SharedFd, Submit,
    op::{Blocking, Nop, ReadAt},
};

use crate::support::{Canary, begin, driver, pipe};

pub(crate) fn waiting_reads(
    driver: &Driver,
    fd: &SharedFd,
    deaths: &Rc<Cell<usize>>,
) -> [Submit<ReadAt<Canary>>; 3] {
    let mut reads =
        [(); 3].map(|()| driver.submit(ReadAt::at_cursor(fd.clone(), Canary::new(deaths))));
    reads.iter_mut().for_each(|read| begin(driver, read));
    reads
}

#[test]
fn pushed_operations_end_before_the_driver_is_gone() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let mut ops = [(); 3].map(|()| ReadAt::at_cursor(reader.clone(), vec![0; 8]));
    for (number, op) in ops.iter_mut().enumerate() {
        // SAFETY: the operations stay here, and the driver is dropped before them.
        unsafe { driver.push(op, number) }.unwrap();
    }
    driver.shut_down();
    let mut entries = Vec::new();
    driver.poll(Some(Duration::ZERO), &mut entries).unwrap();
    assert_eq!(entries.len(), 3);
    let mut nop = Nop::new();
    // SAFETY: the driver refuses the operation.
    unsafe { driver.push(&mut nop, 9) }.unwrap_err();
    drop(driver);
}

#[test]
fn a_driver_with_unlimited_shutdown_timeout_shuts_down() {
    let builder = DriverBuilder::new().shutdown_timeout(Duration::MAX);
    let driver = builder.build().unwrap();
    let mut work = driver.submit(Blocking::new(thread::yield_now));
    begin(&driver, &mut work);
    drop(driver);
}

#[test]
fn a_second_shut_down_has_no_effect() {
    let driver = driver();
    assert!(!driver.is_shut_down());
    driver.shut_down();
    assert!(driver.is_shut_down());
    driver.shut_down();
    driver.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(driver.in_flight(), 0);
}
