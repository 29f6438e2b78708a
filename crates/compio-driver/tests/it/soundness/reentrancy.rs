//! User code that the driver runs, and that calls the driver or panics: wakers, destructors,
//! buffers.

use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    rc::Rc,
    sync::Arc,
    task::{Poll, RawWaker, RawWakerVTable, Wake, Waker},
    time::Duration,
};

use compio_driver::{
    Driver, Operation, Owned, Submit,
    op::{Nop, ReadAt},
    request::Request,
};
use compio_io::buf::{IoBuf, IoBufMut};
use compio_testkit::buffer::{OnDrop, on_drop};

use crate::support::{
    Bell, Canary, begin, check_code, code, drain, driver, each_backend, pipe, poll_with, run,
    share, tcp, turn_until,
};

thread_local! {
    /// The driver of this test's thread, for callbacks without an argument.
    static HERE: RefCell<Option<Rc<Driver>>> = const { RefCell::new(None) };
    static FUTURES: RefCell<Vec<Submit<Nop>>> = const { RefCell::new(Vec::new()) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn here() -> Rc<Driver> {
    HERE.with_borrow_mut(|here| Rc::clone(here.get_or_insert_with(|| Rc::new(driver()))))
}

/// A waker that calls this function.
struct Do(fn());

impl Wake for Do {
    fn wake(self: Arc<Self>) {
        CALLS.set(CALLS.get() + 1);
        self.0();
    }
}

fn doing(what: fn()) -> Waker {
    Waker::from(Arc::new(Do(what)))
}

/// Several operations complete in one turn, and the first waker runs `what`. All the other wakers
/// run, and the driver goes on.
fn check_waker(what: fn()) {
    let driver = here();
    let (bell, bell_waker) = Bell::new();
    let mut nops: Vec<_> = (0..3).map(|_| driver.submit(Nop::new())).collect();
    assert!(poll_with(&mut nops[0], &doing(what)).is_pending());
    assert!(poll_with(&mut nops[1], &bell_waker).is_pending());
    assert!(poll_with(&mut nops[2], &bell_waker).is_pending());
    let turned = catch_unwind(AssertUnwindSafe(|| {
        turn_until(&driver, || driver.in_flight() == 0);
    }));
    assert_eq!((CALLS.get(), bell.rings()), (1, 2));
    if let Err(panic) = turned {
        assert_eq!(panic.downcast_ref(), Some(&"a waker"));
    }
    for nop in nops {
        assert_eq!(run(&driver, nop).unwrap(), 0);
    }
}

#[test]
fn s27_a_waker_may_turn_the_driver() {
    check_waker(|| here().turn(Some(Duration::ZERO)).unwrap());
}

#[test]
fn s27_a_waker_may_run_an_operation() {
    check_waker(|| assert_eq!(run(&here(), here().submit(Nop::new())).unwrap(), 0));
}

#[test]
fn s27_a_waker_may_begin_and_drop_operations() {
    check_waker(|| {
        let mut nops: Vec<_> = (0..200).map(|_| here().submit(Nop::new())).collect();
        nops.iter_mut().for_each(|nop| begin(&here(), nop));
    });
}

#[test]
fn s19_a_waker_may_panic() {
    check_waker(|| panic_any("a waker"));
}

#[test]
fn s27_a_waker_may_drop_futures_that_ended_beside_it() {
    let driver = here();
    let mut first = driver.submit(Nop::new());
    assert!(poll_with(&mut first, &doing(|| FUTURES.take().clear())).is_pending());
    let mut others: Vec<_> = (0..3).map(|_| driver.submit(Nop::new())).collect();
    others.iter_mut().for_each(|nop| begin(&driver, nop));
    FUTURES.set(others);
    drain(&driver);
    assert_eq!(CALLS.get(), 1);
    assert_eq!(run(&driver, first).unwrap(), 0);
}

#[test]
fn s27_a_waker_may_shut_the_driver_down() {
    let driver = here();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let mut read = driver.submit(ReadAt::at_cursor(reader, Canary::new(&deaths)));
    begin(&driver, &mut read);
    let mut nop = driver.submit(Nop::new());
    assert!(poll_with(&mut nop, &doing(|| here().shut_down())).is_pending());
    drain(&driver);
    assert_eq!(CALLS.get(), 1);
    assert_eq!(run(&driver, nop).unwrap(), 0);
    drop(read);
    assert_eq!(deaths.get(), 1);
}

/// A panic payload whose destructor panics, too.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // The payload has no size, so that its leak is none.
        panic_any(());
    }
}

/// Only one of two panics can be passed on, and the other payload has a destructor, too.
#[test]
fn s19_wakers_may_panic_with_something_that_panics_when_dropped() {
    let driver = driver();
    let (bell, bell_waker) = Bell::new();
    let deaths = Rc::default();
    let (reader, writer) = pipe();
    let mut orphan = driver.submit(ReadAt::at_cursor(reader, Canary::new(&deaths)));
    begin(&driver, &mut orphan);
    let mut nops: Vec<_> = (0..3).map(|_| driver.submit(Nop::new())).collect();
    for nop in &mut nops[..2] {
        assert!(poll_with(nop, &doing(|| panic_any(Bomb))).is_pending());
    }
    assert!(poll_with(&mut nops[2], &bell_waker).is_pending());
    drop((orphan, writer));
    let panic = catch_unwind(AssertUnwindSafe(|| drain(&driver))).unwrap_err();
    assert!(panic.is::<Bomb>());
    std::mem::forget(panic);
    drain(&driver);
    assert_eq!((bell.rings(), deaths.get()), (1, 1));
}

#[test]
fn s19_a_driver_may_die_while_its_wakers_panic() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let mut reads: Vec<_> = (0..2)
        .map(|_| driver.submit(ReadAt::at_cursor(reader.clone(), Canary::new(&deaths))))
        .collect();
    for read in &mut reads {
        assert!(poll_with(read, &doing(|| panic_any(Bomb))).is_pending());
    }
    drop(driver);
    drop(reads);
    assert_eq!((CALLS.get(), deaths.get()), (2, 2));
}

/// An operation whose output calls this function when it is dropped.
struct Then(fn());

struct Doing(fn());

impl Drop for Doing {
    fn drop(&mut self) {
        CALLS.set(CALLS.get() + 1);
        self.0();
    }
}

// SAFETY: the request points to nothing.
unsafe impl Operation for Then {
    type Output = Doing;

    fn request(&mut self) -> Request {
        Request::Nop
    }

    unsafe fn finish(self, _: io::Result<usize>) -> Doing {
        Doing(self.0)
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Then {}

/// Orphaned operations, the first of which runs `what` when it is released. The driver goes on.
fn check_destructor(what: fn()) {
    let driver = here();
    let mut in_the_air: Vec<_> = [what, || (), || ()]
        .map(|then| driver.submit(Then(then)))
        .into();
    for then in &mut in_the_air {
        assert!(poll_with(then, Waker::noop()).is_pending());
    }
    drop(in_the_air);
    drain(&driver);
    assert_eq!(CALLS.get(), 3);

    let mut landed = driver.submit(Then(what));
    assert!(poll_with(&mut landed, Waker::noop()).is_pending());
    drain(&driver);
    drop(landed);
    assert_eq!(CALLS.get(), 4);
    assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
}

#[test]
fn s27_a_destructor_may_turn_the_driver() {
    check_destructor(|| here().turn(Some(Duration::ZERO)).unwrap());
}

#[test]
fn s27_a_destructor_may_run_an_operation() {
    check_destructor(|| assert_eq!(run(&here(), here().submit(Nop::new())).unwrap(), 0));
}

#[test]
fn s19_a_destructor_may_panic() {
    check_destructor(|| panic!("a destructor"));
}

#[test]
fn s27_a_destructor_may_shut_the_driver_down() {
    let driver = here();
    let mut then = driver.submit(Then(|| here().shut_down()));
    assert!(poll_with(&mut then, Waker::noop()).is_pending());
    drop(then);
    drain(&driver);
    assert_eq!(CALLS.get(), 1);
}

/// A waker whose clone turns the driver: the operation may complete between the check and the
/// registration.
#[test]
fn s27_a_wake_is_not_lost_while_the_waker_is_cloned() {
    unsafe fn clone(data: *const ()) -> RawWaker {
        here().turn(Some(Duration::ZERO)).unwrap();
        RawWaker::new(data, &VTABLE)
    }
    unsafe fn wake(_: *const ()) {
        CALLS.set(CALLS.get() + 1);
    }
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| {});
    // SAFETY: the functions use nothing of the data.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };

    let driver = here();
    let mut nop = driver.submit(Nop::new());
    let is_ready = poll_with(&mut nop, &waker).is_ready();
    drain(&driver);
    assert!(is_ready || CALLS.get() == 1, "the wake is lost");
}

/// A buffer that calls this function when the driver asks for its pointer.
struct Asked(Vec<u8>, fn());

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for Asked {
    fn as_init(&self) -> &[u8] {
        &self.0
    }

    fn buf_capacity(&self) -> usize {
        self.0.capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBufMut for Asked {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        self.1();
        // SAFETY: passed on from this function.
        unsafe { self.0.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.0.set_init(len) };
    }
}

#[test]
fn s27_a_buffer_may_use_the_driver() {
    let driver = here();
    let (reader, writer) = pipe();
    drop(writer);
    let buffer = Asked(Vec::with_capacity(8), || {
        assert_eq!(run(&here(), here().submit(Nop::new())).unwrap(), 0);
    });
    let read = driver.submit(ReadAt::at_cursor(reader, buffer));
    assert_eq!(run(&driver, read).0.unwrap(), 0);
}

#[test]
fn s27_a_buffer_may_shut_the_driver_down() {
    let driver = here();
    let (reader, _writer) = pipe();
    let buffer = Asked(Vec::with_capacity(8), || {
        here().shut_down();
        assert_eq!(here().in_flight(), 0);
        CALLS.set(1);
    });
    let mut read = driver.submit(ReadAt::at_cursor(reader, buffer));
    let Poll::Ready((len, _)) = poll_with(&mut read, Waker::noop()) else {
        panic!("it was begun");
    };
    check_code(len, code::CANCELLED);
    assert_eq!((CALLS.get(), driver.in_flight()), (1, 0));
}

#[test]
fn s19_a_buffer_that_panics_leaves_nothing_behind() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let buffer = Asked(Vec::with_capacity(8), || panic!("a buffer"));
    let mut read = driver.submit(ReadAt::at_cursor(reader.clone(), buffer));
    catch_unwind(AssertUnwindSafe(|| {
        poll_with(&mut read, Waker::noop()).is_ready()
    }))
    .unwrap_err();
    assert_eq!(driver.in_flight(), 0);
    reader.try_unwrap().expect("the operation is gone");
    drop(read);
    driver.turn(Some(Duration::ZERO)).unwrap();
}

#[test]
fn s19_a_finish_that_panics_leaves_nothing_behind() {
    struct Faulty {
        _count: Rc<()>,
    }
    // SAFETY: the request points to nothing.
    unsafe impl Operation for Faulty {
        type Output = ();

        fn request(&mut self) -> Request {
            Request::Nop
        }

        unsafe fn finish(self, _: io::Result<usize>) {
            panic!("a finish");
        }
    }
    // SAFETY: no descriptor is named.
    unsafe impl Owned for Faulty {}

    let driver = driver();
    let count = Rc::new(());
    let faulty = || {
        let _count = Rc::clone(&count);
        driver.submit(Faulty { _count })
    };
    let (mut awaited, mut dropped) = (faulty(), faulty());
    assert!(poll_with(&mut awaited, Waker::noop()).is_pending());
    assert!(poll_with(&mut dropped, Waker::noop()).is_pending());
    drop(dropped);
    drain(&driver);
    catch_unwind(AssertUnwindSafe(|| {
        poll_with(&mut awaited, Waker::noop()).is_ready()
    }))
    .unwrap_err();
    assert_eq!((Rc::strong_count(&count), driver.in_flight()), (1, 0));
    driver.turn(Some(Duration::ZERO)).unwrap();
    let nop = driver.submit(Nop::new());
    assert_eq!(run(&driver, nop).unwrap(), 0);
}

/// A buffer that runs code when it is dropped.
struct Dropping<F: FnOnce() + 'static>(Vec<u8>, OnDrop<F>);

// SAFETY: the vector's contract is this type's.
unsafe impl<F: FnOnce() + 'static> IoBuf for Dropping<F> {
    fn as_init(&self) -> &[u8] {
        &self.0
    }

    fn buf_capacity(&self) -> usize {
        self.0.capacity()
    }
}

// SAFETY: likewise.
unsafe impl<F: FnOnce() + 'static> IoBufMut for Dropping<F> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.0.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: likewise.
        unsafe { self.0.set_init(len) }
    }
}

/// Two orphans of one descriptor complete in one turn. The destructor of the first one's buffer waits for the
/// second one, because it receives from the same descriptor.
#[test]
fn s27_destructor_of_orphan_waits_for_orphan_of_same_turn() {
    for driver in each_backend() {
        let driver = Rc::new(driver);
        let (mut peer, socket) = tcp();
        let fd = share(socket);
        let received = Rc::new(RefCell::new(None));
        let buffer = || {
            let (driver, fd, received) = (Rc::clone(&driver), fd.clone(), Rc::clone(&received));
            let receive = move || {
                if received.borrow().is_none() {
                    received.replace(Some(Vec::new()));
                    let receive = driver.receive(&fd, Vec::with_capacity(8));
                    received.replace(Some(run(&driver, receive).1));
                }
            };
            Dropping(Vec::with_capacity(1), on_drop(receive))
        };
        let mut futures = [(); 2].map(|()| driver.receive(&fd, buffer()));
        for future in &mut futures {
            begin(&driver, future);
        }
        driver.turn(Some(Duration::ZERO)).unwrap();
        peer.write_all(b"ab").unwrap();
        drop(futures);
        peer.write_all(b"c").unwrap();
        turn_until(&driver, || {
            received
                .borrow()
                .as_ref()
                .is_some_and(|bytes| !bytes.is_empty())
        });
        let first = received.take().unwrap();
        assert!(b"abc".starts_with(&first), "{:?}", driver.backend());
    }
}

/// A buffer that panics when the driver asks for its room.
struct Refusing;

// SAFETY: it is empty.
unsafe impl IoBuf for Refusing {
    fn as_init(&self) -> &[u8] {
        &[]
    }

    fn buf_capacity(&self) -> usize {
        8
    }
}

// SAFETY: it never returns room.
unsafe impl IoBufMut for Refusing {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        panic!("a buffer that panics")
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

#[test]
fn s27_panic_of_buffer_leaves_unread_bytes_for_next_receive() {
    for driver in each_backend() {
        let (mut peer, socket) = tcp();
        let fd = share(socket);
        let mut dropped = driver.receive(&fd, Vec::with_capacity(8));
        begin(&driver, &mut dropped);
        peer.write_all(b"abcd").unwrap();
        turn_until(&driver, || driver.in_flight() == 0);
        drop(dropped);
        let mut panicking = driver.receive(&fd, Refusing);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            poll_with(&mut panicking, Waker::noop())
        }));
        assert!(polled.is_err(), "the buffer panics");
        let receive = driver.receive(&fd, Vec::with_capacity(8));
        assert_eq!(run(&driver, receive).1, b"abcd", "{:?}", driver.backend());
    }
}
