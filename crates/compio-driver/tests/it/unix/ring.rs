//! Only with a ring: one system call submits all operations.

use std::{future::poll_fn, task::Context, time::Duration};

use compio_driver::{
    BufferPool,
    op::{Nop, ReadAt, WriteAt},
};

use crate::{
    batching::enters,
    soundness::splice_ends::{add_error, with_error_queue},
    support::{drain, file, pipe, run, share, start, uring},
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

/// The data of an error queue is not kept for the next receive.
#[test]
fn dropped_stream_of_errors_returns_all_its_buffers() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    let socket = with_error_queue();
    let pool = BufferPool::new(&driver, 4, 16).unwrap();
    let fd = share(socket.try_clone().unwrap());
    let mut stream = driver.recv_stream(fd, &pool, libc::MSG_ERRQUEUE);
    let first = run(&driver, poll_fn(|cx| stream.poll_next(cx)));
    assert_eq!(&*first.unwrap().unwrap(), b"x");
    let next = stream.poll_next(&mut Context::from_waker(&driver.waker()));
    assert!(next.is_pending());
    // A ring without multishot receives takes no more before the next poll.
    for _ in 0..3 {
        add_error(&socket);
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
    drop(stream);
    drain(&driver);
    assert_eq!(pool.handed_out(), 0);
}
