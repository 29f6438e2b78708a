//! Operations as futures: polling, waking, and cancelling without losing anything.

use std::{sync::Arc, task::Poll};

use compio_driver::{
    Driver, SharedFd, Submit,
    op::{Nop, ReadAt, WriteAt},
};

use crate::support::{
    Bell, begin, check_code, check_returned, code, drain, driver, pipe, poll_once, poll_with, run,
    start, turn_until,
};

fn read(driver: &Driver, fd: &SharedFd) -> Submit<ReadAt<Vec<u8>>> {
    driver.submit(ReadAt::at_cursor(fd.clone(), b"old".to_vec()))
}

fn write(driver: &Driver, fd: &SharedFd, text: &'static str) {
    let write = driver.submit(WriteAt::at_cursor(fd.clone(), text));
    assert_eq!(run(driver, write).0.unwrap(), text.len());
}

/// Compiles only if `T` is not `Send`: otherwise there are two candidates for `_`.
macro_rules! assert_stays_on_its_thread {
    ($($type:ty),*) => {$(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn check() {}
            }
            struct IsSend;
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
            let _ = <$type as Ambiguous<_>>::check;
        };
    )*};
}

assert_stays_on_its_thread!(Driver, Submit<Nop>, SharedFd);

#[test]
#[should_panic(expected = "polled after completion")]
fn polled_after_its_completion_it_panics() {
    let driver = driver();
    let mut nop = driver.submit(Nop::new());
    assert_eq!(run(&driver, &mut nop).unwrap(), 0);
    let _ = poll_once(&driver, &mut nop);
}

#[test]
fn a_cancelled_operation_gives_its_buffer_back() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let mut read = read(&driver, &reader);
    begin(&driver, &mut read);
    read.cancel();
    read.cancel();
    check_returned(run(&driver, read), code::CANCELLED, b"old");
}

#[test]
fn a_cancel_before_the_first_poll_has_no_effect() {
    let driver = driver();
    let (reader, writer) = pipe();
    let mut read = read(&driver, &reader);
    read.cancel();
    begin(&driver, &mut read);
    write(&driver, &writer, "new");
    assert_eq!(run(&driver, read).1, b"new");
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let driver = driver();
    let (reader, writer) = pipe();
    let mut read = read(&driver, &reader);
    begin(&driver, &mut read);
    write(&driver, &writer, "new");
    drain(&driver);
    read.cancel();
    assert_eq!(run(&driver, read).1, b"new");
}

/// The kernel gets the bytes and the cancel request at once. No byte is lost in either order.
#[test]
fn a_cancel_at_the_same_moment_loses_no_byte() {
    let driver = driver();
    for _ in 0..100 {
        let (reader, writer) = pipe();
        let mut first = read(&driver, &reader);
        begin(&driver, &mut first);
        driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        let mut write = driver.submit(WriteAt::at_cursor(writer, "new"));
        let written = start(&driver, &mut write);
        first.cancel();
        let (len, buffer) = run(&driver, first);
        let written = written.unwrap_or_else(|| run(&driver, write));
        written.0.unwrap();
        match len {
            Ok(len) => assert_eq!((len, &buffer[..]), (3, &b"new"[..])),
            Err(error) => {
                check_code::<()>(Err(error), code::CANCELLED);
                assert_eq!(run(&driver, read(&driver, &reader)).1, b"new");
            }
        }
    }
}

#[test]
fn the_last_waker_is_woken_once() {
    let driver = driver();
    let (reader, writer) = pipe();
    let ((first, first_waker), (last, last_waker)) = (Bell::new(), Bell::new());
    let mut read = read(&driver, &reader);
    for waker in [&first_waker, &last_waker, &last_waker] {
        assert!(poll_with(&mut read, waker).is_pending());
    }
    write(&driver, &writer, "new");
    turn_until(&driver, || last.rings() > 0);
    drain(&driver);
    assert_eq!((first.rings(), last.rings()), (0, 1));
    assert!(poll_with(&mut read, &last_waker).is_ready());
}

#[test]
fn no_waker_is_kept_longer_than_needed() {
    let driver = driver();
    let (reader, writer) = pipe();
    let (bell, waker) = Bell::new();
    let count = || Arc::strong_count(&bell);
    let (mut ended, mut dropped) = (read(&driver, &reader), read(&driver, &reader));
    let before = count();
    assert!(poll_with(&mut ended, &waker).is_pending());
    assert!(poll_with(&mut dropped, &waker).is_pending());
    assert_eq!(count(), before + 2);
    drop(dropped);
    assert_eq!(count(), before + 1);
    write(&driver, &writer, "new");
    drain(&driver);
    assert_eq!(count(), before);
    assert!(poll_with(&mut ended, &waker).is_ready());
}

#[test]
fn operations_end_in_any_order() {
    let driver = driver();
    let pipes: Vec<_> = (0..300).map(|_| pipe()).collect();
    let mut reads: Vec<_> = pipes.iter().map(|(end, _)| read(&driver, end)).collect();
    for read in &mut reads {
        begin(&driver, read);
    }
    assert_eq!(driver.in_flight(), 300);
    for (_, writer) in pipes.iter().rev() {
        write(&driver, writer, "new");
    }
    for read in reads {
        assert_eq!(run(&driver, read).1, b"new");
    }
}

#[test]
fn after_the_shut_down_nothing_begins() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let (mut begun, mut new) = (read(&driver, &reader), read(&driver, &reader));
    begin(&driver, &mut begun);
    driver.shut_down();
    assert_eq!(driver.in_flight(), 0);
    let Poll::Ready(ended) = poll_once(&driver, &mut begun) else {
        panic!("it has ended");
    };
    check_returned(ended, code::CANCELLED, b"old");
    let Poll::Ready((len, buffer)) = poll_once(&driver, &mut new) else {
        panic!("it is refused");
    };
    assert!(len.unwrap_err().to_string().contains("shut down"));
    assert_eq!(buffer, b"old");
}
