//! Shared code of the scenarios: loops, probes, wakers.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    panic,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use compio_executor::{Executor, JoinError, JoinHandle, MainWaker};
use compio_testkit::buffer::{OnDrop, on_drop};

/// The number of tries of a random test.
pub(crate) const ROUNDS: usize = if cfg!(miri) { 2 } else { 200 };

/// An executor without remote wakes.
pub(crate) fn executor() -> Executor {
    Executor::new(Waker::noop().clone())
}

/// Ticks until nothing is ready.
pub(crate) fn run(executor: &Executor) {
    while executor.tick(64).has_ready {}
}

pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a task that has ended.
#[track_caller]
pub(crate) fn result<T>(mut handle: JoinHandle<T>) -> Result<T, JoinError> {
    match poll_once(&mut handle) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the task has not ended"),
    }
}

#[track_caller]
pub(crate) fn check_cancelled<T>(handle: JoinHandle<T>) {
    match result(handle) {
        Ok(_) => panic!("the task was not cancelled, but yielded"),
        Err(error) => assert!(error.is_cancelled(), "{error}"),
    }
}

#[track_caller]
pub(crate) fn check_panicked<T>(handle: JoinHandle<T>, message: &str) {
    match result(handle) {
        Ok(_) => panic!("the task did not panic, but yielded"),
        Err(error) => {
            assert_eq!(
                error.to_string(),
                format!("{} panicked: {message}", error.task())
            );
        }
    }
}

/// Runs a future to its end, parking the thread in between.
pub(crate) fn block_on<F: Future>(executor: &Executor, unpark: Waker, future: F) -> F::Output {
    let main = MainWaker::new(unpark);
    let mut future = pin!(future);
    loop {
        if main.take_woken()
            && let Poll::Ready(output) =
                future.as_mut().poll(&mut Context::from_waker(main.waker()))
        {
            return output;
        }
        if !executor.tick(64).has_ready && !main.is_woken() {
            thread::park();
        }
    }
}

/// An `unpark` for this thread's `thread::park`.
pub(crate) fn unpark_here() -> Waker {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            self.0.unpark();
        }
    }
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Counts its drops, and insists that they are at home.
pub(crate) struct Probe {
    drops: Rc<Cell<usize>>,
    home: thread::ThreadId,
}

impl Probe {
    pub(crate) fn new(drops: &Rc<Cell<usize>>) -> Self {
        Self {
            drops: drops.clone(),
            home: thread::current().id(),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        assert_eq!(self.home, thread::current().id());
        self.drops.set(self.drops.get() + 1);
    }
}

/// Panics when it is dropped, without a message on the screen.
pub(crate) fn bomb(message: &'static str) -> OnDrop<impl FnOnce()> {
    on_drop(move || panic::resume_unwind(Box::new(message)))
}

/// Panics without a message on the screen.
pub(crate) fn quiet_panic(message: &'static str) -> ! {
    panic::resume_unwind(Box::new(message))
}

/// Where a task leaves its waker.
pub(crate) type Slot = Rc<RefCell<Option<Waker>>>;

/// Pending forever; leaves its waker at the first poll, and counts the polls.
pub(crate) fn leave_waker(
    slot: &Slot,
    polls: &Rc<Cell<usize>>,
) -> impl Future<Output = ()> + use<> {
    let (slot, polls) = (slot.clone(), polls.clone());
    poll_fn(move |cx| {
        polls.set(polls.get() + 1);
        slot.borrow_mut().get_or_insert_with(|| cx.waker().clone());
        Poll::Pending
    })
}

/// A task that left its waker, and waits; and how often it was polled.
pub(crate) fn waiting_task(executor: &Executor) -> (JoinHandle<()>, Waker, Rc<Cell<usize>>) {
    let (slot, polls) = (Slot::default(), Rc::default());
    let handle = executor.spawn(leave_waker(&slot, &polls));
    run(executor);
    let waker = slot.take().expect("it was polled");
    (handle, waker, polls)
}
