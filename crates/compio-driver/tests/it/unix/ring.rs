//! Only with a ring: one system call submits all operations.

use compio_driver::op::{Nop, ReadAt, WriteAt};

use crate::{
    batching::enters,
    support::{file, pipe, run, start, uring},
};

#[test]
fn many_operations_go_with_one_enter() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    assert_eq!(enters(&driver, [Nop::new(); 200]), 1);
    let (reader, writer) = pipe();
    let (written, _) = run(&driver, driver.submit(WriteAt::at_cursor(writer, [1; 200])));
    assert_eq!(written.unwrap(), 200);
    let reads = (0..200).map(|_| ReadAt::at_cursor(reader.clone(), vec![0; 1]));
    assert_eq!(enters(&driver, reads), 1);
}

#[test]
fn more_operations_than_the_queue_holds_need_few_enters() {
    let Some(builder) = uring() else { return };
    let driver = builder.entries(64).build().unwrap();
    let count = enters(&driver, [Nop::new(); 640]);
    assert!((10..=13).contains(&count), "{count}");
}

/// Reads from the page cache bypass the ring, with a budget so that other tasks have their turn.
#[test]
fn reads_from_the_page_cache_complete_inline() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    let (_file, fd) = file(b"0123456789");
    let read = || driver.submit(ReadAt::new(fd.clone(), 3, vec![0; 4]));
    let mut at_once = 0;
    let waiting = loop {
        let mut read = read();
        match start(&driver, &mut read) {
            Some((read, buffer)) => assert_eq!((read.unwrap(), &buffer[..]), (4, &b"3456"[..])),
            None => break read,
        }
        at_once += 1;
    };
    assert!((1..100).contains(&at_once), "{at_once}");
    assert_eq!(run(&driver, waiting).1, b"3456");
    // The budget is full again.
    assert!(start(&driver, &mut read()).is_some());
}
