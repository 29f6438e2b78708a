//! The results of orphaned operations, which a user-defined operation observes by
//! [`Operation::on_orphaned`].

use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    mem,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio_driver::{
    Driver, Operation, Owned, Poller, SharedFd, Submit,
    op::{Nop, ReadAt},
    request::Request,
};

use crate::support::{
    Canary, LONG, begin, code, drain, each_backend, pipe, pipe_in, poll_once, run,
};

/// The call that ended an operation, and the OS error code of its result.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Finished(Result<usize, Option<i32>>),
    Orphaned(Result<usize, Option<i32>>),
}

type Ends = Rc<RefCell<Vec<End>>>;

const NOTHING: fn() = || {};

const CANCELLED: End = End::Orphaned(Err(Some(code::CANCELLED)));

/// A read that records its end. `PADDING` bytes make it large.
struct Recorded<F, const PADDING: usize = 0> {
    read: ReadAt<Canary>,
    ends: Ends,
    /// Called by `on_orphaned`.
    then: F,
    _padding: [u8; PADDING],
}

// SAFETY: the request comes from the inner operation, which does not move in here.
unsafe impl<F: FnOnce() + 'static, const PADDING: usize> Operation for Recorded<F, PADDING> {
    type Output = Canary;

    fn request(&mut self) -> Request {
        self.read.request()
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Canary {
        // SAFETY: passed on from this function.
        let (result, buffer) = unsafe { self.read.finish(answer) };
        self.ends.borrow_mut().push(End::Finished(coded(result)));
        buffer
    }

    unsafe fn on_orphaned(self, answer: io::Result<usize>) {
        // SAFETY: passed on from this function.
        let (result, _buffer) = unsafe { self.read.finish(answer) };
        self.ends.borrow_mut().push(End::Orphaned(coded(result)));
        (self.then)();
    }
}

// SAFETY: the inner operation is `Owned`.
unsafe impl<F: FnOnce() + 'static, const PADDING: usize> Owned for Recorded<F, PADDING> {}

fn coded(result: io::Result<usize>) -> Result<usize, Option<i32>> {
    result.map_err(|error| error.raw_os_error())
}

/// Submits recorded reads, and counts the drops of their buffers.
#[derive(Default)]
struct Records {
    ends: Ends,
    deaths: Rc<Cell<usize>>,
}

impl Records {
    fn operation<F, const PADDING: usize>(&self, fd: &SharedFd, then: F) -> Recorded<F, PADDING> {
        Recorded {
            read: ReadAt::at_cursor(fd.clone(), Canary::new(&self.deaths)),
            ends: Rc::clone(&self.ends),
            then,
            _padding: [0; PADDING],
        }
    }

    /// A read that has begun and waits. `then` is called when it has been orphaned.
    fn begin_then<F: FnOnce() + 'static>(
        &self,
        driver: &Driver,
        fd: &SharedFd,
        then: F,
    ) -> Submit<Recorded<F>> {
        let mut read = driver.submit(self.operation(fd, then));
        begin(driver, &mut read);
        read
    }

    fn begin(&self, driver: &Driver, fd: &SharedFd) -> Submit<Recorded<fn()>> {
        self.begin_then(driver, fd, NOTHING)
    }

    /// Checks the ends so far, and that each operation's buffer was dropped once.
    #[track_caller]
    fn check(&self, ends: &[End]) {
        assert_eq!(*self.ends.borrow(), ends);
        assert_eq!(self.deaths.get(), ends.len());
    }
}

#[test]
fn on_orphaned_of_a_read_dropped_in_flight_runs_in_a_later_turn() {
    for driver in each_backend() {
        let (records, (reader, _writer)) = (Records::default(), pipe());
        let read = records.begin(&driver, &reader);
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(read);
        records.check(&[]);
        drain(&driver);
        records.check(&[CANCELLED]);
    }
}

#[test]
fn on_orphaned_of_a_completed_read_runs_in_the_drop_of_its_future() {
    for driver in each_backend() {
        let (records, (reader, mut writer)) = (Records::default(), pipe_in());
        let read = records.begin(&driver, &reader);
        writer.write_all(b"ab").unwrap();
        drain(&driver);
        records.check(&[]);
        drop(read);
        records.check(&[End::Orphaned(Ok(2))]);
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(driver);
        records.check(&[End::Orphaned(Ok(2))]);
    }
}

/// The kernel has completed the read, or completes it before the cancel.
#[test]
fn on_orphaned_of_a_read_dropped_beside_its_completion_runs_once() {
    for driver in each_backend() {
        for round in 0..50 {
            let (records, (reader, mut writer)) = (Records::default(), pipe_in());
            let read = records.begin(&driver, &reader);
            if round % 2 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            writer.write_all(b"ab").unwrap();
            drop(read);
            drain(&driver);
            let is_complete = *records.ends.borrow() == [End::Orphaned(Ok(2))];
            let end = if is_complete {
                End::Orphaned(Ok(2))
            } else {
                CANCELLED
            };
            records.check(&[end]);
        }
    }
}

#[test]
fn on_orphaned_of_a_boxed_operation_runs_once() {
    for driver in each_backend() {
        let (records, (reader, mut writer)) = (Records::default(), pipe_in());
        let operation: [Recorded<fn(), 5000>; 2] =
            [(); 2].map(|()| records.operation(&reader, NOTHING));
        let [one, other] = operation;
        let mut one = driver.submit(one);
        begin(&driver, &mut one);
        writer.write_all(b"ab").unwrap();
        drain(&driver);
        drop(one);
        records.check(&[End::Orphaned(Ok(2))]);
        let mut other = driver.submit(other);
        begin(&driver, &mut other);
        drop(other);
        drain(&driver);
        records.check(&[End::Orphaned(Ok(2)), CANCELLED]);
    }
}

#[test]
fn on_orphaned_of_an_awaited_read_never_runs() {
    for driver in each_backend() {
        let (records, (reader, mut writer)) = (Records::default(), pipe_in());
        let read = records.begin(&driver, &reader);
        writer.write_all(b"ab").unwrap();
        drop(run(&driver, read));
        // Complete at its launch, on the backends that try first.
        writer.write_all(b"c").unwrap();
        let again: Recorded<fn()> = records.operation(&reader, NOTHING);
        drop(run(&driver, driver.submit(again)));
        drop(driver);
        records.check(&[End::Finished(Ok(2)), End::Finished(Ok(1))]);
    }
}

#[test]
fn on_orphaned_of_a_cancelled_read_never_runs() {
    for driver in each_backend() {
        let (records, (reader, _writer)) = (Records::default(), pipe());
        let read = records.begin(&driver, &reader);
        read.cancel();
        drop(run(&driver, read));
        records.check(&[End::Finished(Err(Some(code::CANCELLED)))]);
    }
}

#[test]
fn on_orphaned_of_a_read_that_has_not_begun_never_runs() {
    for driver in each_backend() {
        let (records, (reader, _writer)) = (Records::default(), pipe());
        let idle: Recorded<fn()> = records.operation(&reader, NOTHING);
        drop(driver.submit(idle));
        drop(driver);
        assert_eq!(*records.ends.borrow(), []);
        assert_eq!(records.deaths.get(), 1);
    }
}

#[test]
fn on_orphaned_of_a_pushed_read_never_runs() {
    for driver in each_backend() {
        let (records, (reader, mut writer)) = (Records::default(), pipe_in());
        let mut pushed: [Recorded<fn()>; 2] = [(); 2].map(|()| records.operation(&reader, NOTHING));
        for (number, read) in pushed.iter_mut().enumerate() {
            // SAFETY: the operations stay here until their entries arrive.
            unsafe { driver.push(read, number) }.unwrap();
        }
        writer.write_all(b"a").unwrap();
        driver.poll_one(Some(LONG)).unwrap();
        // Ends the other one.
        driver.shut_down();
        driver.poll_one(Some(Duration::ZERO)).unwrap();
        drop(pushed);
        drop(driver);
        assert_eq!(*records.ends.borrow(), []);
        assert_eq!(records.deaths.get(), 2);
    }
}

#[test]
fn on_orphaned_runs_during_the_shutdown() {
    for driver in each_backend() {
        let (records, (reader, _writer)) = (Records::default(), pipe());
        drop(records.begin(&driver, &reader));
        drop(driver);
        records.check(&[CANCELLED]);
    }
}

#[test]
fn on_orphaned_of_a_future_that_outlives_its_driver_runs_in_its_drop() {
    for driver in each_backend() {
        let (records, (reader, _writer)) = (Records::default(), pipe());
        let read = records.begin(&driver, &reader);
        drop(driver);
        records.check(&[]);
        drop(read);
        records.check(&[CANCELLED]);
    }
}

#[test]
fn on_orphaned_of_a_forgotten_future_never_runs() {
    for driver in each_backend() {
        let (records, (reader, _writer)) = (Records::default(), pipe());
        mem::forget(records.begin(&driver, &reader));
        drop(driver);
        records.check(&[]);
    }
}

#[test]
fn a_panic_of_on_orphaned_is_contained() {
    for driver in each_backend() {
        let (records, (reader, mut writer)) = (Records::default(), pipe_in());
        let panicking = || panic!("on purpose");
        // In flight.
        drop(records.begin_then(&driver, &reader, panicking));
        drop(records.begin(&driver, &reader));
        drain(&driver);
        records.check(&[CANCELLED, CANCELLED]);
        // Complete.
        let read = records.begin_then(&driver, &reader, panicking);
        writer.write_all(b"ab").unwrap();
        drain(&driver);
        drop(read);
        assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
        drop(records.begin_then(&driver, &reader, panicking));
        drop(driver);
        records.check(&[CANCELLED, CANCELLED, End::Orphaned(Ok(2)), CANCELLED]);
    }
}

#[test]
fn on_orphaned_may_use_its_driver() {
    for driver in each_backend() {
        let driver = Rc::new(driver);
        let (records, (reader, mut writer)) = (Rc::new(Records::default()), pipe_in());
        let (same, inner, fd) = (Rc::clone(&driver), Rc::clone(&records), reader.clone());
        let read = records.begin_then(&driver, &reader, move || {
            run(&same, same.submit(Nop::new())).unwrap();
            drop(inner.begin(&same, &fd));
            drain(&same);
        });
        writer.write_all(b"ab").unwrap();
        drain(&driver);
        drop(read);
        records.check(&[End::Orphaned(Ok(2)), CANCELLED]);
        assert_eq!(driver.in_flight(), 0);
    }
}

#[test]
fn on_orphaned_may_use_another_driver_of_its_thread() {
    for driver in each_backend() {
        let other = Rc::new(Driver::new().unwrap());
        let (records, (reader, _writer)) = (Records::default(), pipe());
        // A handle of Windows belongs to the first driver that uses it.
        let (their_reader, _their_writer) = pipe();
        let theirs = Rc::new(RefCell::new(Some(records.begin(&other, &their_reader))));
        let (another, drops) = (Rc::clone(&other), Rc::clone(&theirs));
        drop(records.begin_then(&driver, &reader, move || {
            drop(drops.take());
            drain(&another);
        }));
        drain(&driver);
        records.check(&[CANCELLED, CANCELLED]);
        assert_eq!((driver.in_flight(), other.in_flight()), (0, 0));
    }
}

/// The driver refuses new operations by then.
#[test]
fn on_orphaned_during_the_shutdown_may_submit() {
    for driver in each_backend() {
        let driver = Rc::new(driver);
        let (records, (reader, _writer)) = (Records::default(), pipe());
        let weak = Rc::downgrade(&driver);
        let refused = Rc::new(RefCell::new(None));
        let answer = Rc::clone(&refused);
        drop(records.begin_then(&driver, &reader, move || {
            let driver = weak.upgrade().expect("it is being shut down");
            let mut nop = driver.submit(Nop::new());
            answer.replace(Some(poll_once(&driver, &mut nop).map(|nop| nop.is_err())));
        }));
        driver.shut_down();
        records.check(&[CANCELLED]);
        let refused = refused.take();
        assert_eq!(refused, Some(Poll::Ready(true)));
    }
}
