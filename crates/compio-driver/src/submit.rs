//! An operation as a future.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    arena::OpHandle,
    driver::{Core, Driver},
    operation::{Operation, Owned},
    request::to_result,
    trace::{self, Tracer, Untraced},
};

impl Driver {
    /// The future of an operation, for this thread. The operation begins at the first poll.
    #[inline]
    pub fn submit<O: Owned>(&self, operation: O) -> Submit<O> {
        Submit::new(self.share(), operation)
    }
}

/// The future of an operation, made by [`Driver::submit`](crate::Driver::submit).
///
/// # Cancellation
///
/// Dropping it before its first poll drops the operation, which has not begun. Dropping it later requests
/// the operation's cancellation and returns at once; buffer and descriptors stay in the driver until the
/// operation has completed. It may still succeed: [`Operation::on_orphaned`] takes its result, and drops the
/// output by default. [`cancel`](Self::cancel) instead of a drop loses nothing. Neither do dropped receives
/// of [`Driver::receive`](crate::Driver::receive) and its variants.
#[must_use = "futures do nothing unless awaited"]
pub struct Submit<O: Operation> {
    driver: Rc<Core>,
    state: State<O>,
}

enum State<O> {
    Idle(O),
    InFlight(OpHandle<O>),
    Done,
}

/// The operation is moved to its cell before it is used in place: nothing in here is pinned.
impl<O: Operation> Unpin for Submit<O> {}

impl<O: Operation> Submit<O> {
    #[inline]
    pub(crate) fn new(driver: Rc<Core>, operation: O) -> Self {
        Self {
            driver,
            state: State::Idle(operation),
        }
    }

    /// Requests the operation's cancellation. The future must still be awaited: it returns the buffer, with
    /// the error `ECANCELED` or with the result of an earlier completion. An operation that was never polled
    /// is not affected.
    pub fn cancel(&self) {
        if let State::InFlight(handle) = &self.state {
            self.driver.cancel(handle.key());
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Core> {
        &self.driver
    }

    /// Whether the operation has not begun.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle(_))
    }

    /// Whether the operation has begun, and its output was not returned yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::InFlight(_))
    }

    /// Takes an operation that has not begun, and will not. `None` if it has begun.
    pub(crate) fn take_unstarted(&mut self) -> Option<O> {
        match mem::replace(&mut self.state, State::Done) {
            State::Idle(operation) => Some(operation),
            state @ (State::InFlight(_) | State::Done) => {
                self.state = state;
                None
            }
        }
    }
}

impl<O: Operation> Future for Submit<O> {
    type Output = O::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        if trace::tracer(&self.driver).is_some() {
            return self.poll_traced(cx);
        }
        self.poll_with(cx, Untraced)
    }
}

impl<O: Operation> Submit<O> {
    #[cold]
    fn poll_traced(&mut self, cx: &mut Context<'_>) -> Poll<O::Output> {
        let driver = Rc::clone(&self.driver);
        match trace::tracer(&driver) {
            Some(tracer) => self.poll_with(cx, tracer),
            None => self.poll_with(cx, Untraced),
        }
    }

    #[inline(always)]
    fn poll_with(&mut self, cx: &mut Context<'_>, mut tracer: impl Tracer) -> Poll<O::Output> {
        let this = self;
        let driver = &this.driver;
        let arena = &driver.arena;
        let state = &raw mut this.state;
        // SAFETY: the state belongs to this future, of which no other part is used while the operation is.
        let is_new = match unsafe { &mut *state } {
            State::Idle(operation) => {
                if let Some(error) = driver.refusal() {
                    let operation = this.take_unstarted().expect("not begun");
                    // SAFETY: an error; the operation was never submitted.
                    return Poll::Ready(unsafe { operation.finish(Err(error)) });
                }
                // SAFETY: once the operation has been moved out, `done` overwrites its bytes without a drop.
                // The arena is part of the driver, which this future keeps alive.
                let (handle, request) = unsafe {
                    let done = || state.write(State::Done);
                    arena.insert_from(operation, done)
                };
                let key = handle.key();
                this.state = State::InFlight(handle);
                tracer.begin(key);
                tracer.enter(key);
                // SAFETY: the operation stays in its cell until it has completed.
                let answer = unsafe { driver.begin(key, &request) };
                if let Some(answer) = answer {
                    arena.complete(key, answer);
                }
                answer.is_none()
            }
            State::InFlight(handle) => {
                tracer.enter(handle.key());
                false
            }
            State::Done => panic!("polled after completion"),
        };
        let State::InFlight(handle) = &this.state else {
            unreachable!("begun by now");
        };
        let look = || handle.is_completed().then_some(());
        let completed = if is_new {
            wait(handle, cx, look)
        } else {
            poll_or_register(driver, handle, cx, look)
        };
        if completed.is_pending() {
            tracer.pending();
            return Poll::Pending;
        }
        let State::InFlight(handle) = mem::replace(&mut this.state, State::Done) else {
            unreachable!("begun by now");
        };
        let (operation, answer) = handle.take(arena);
        tracer.ready(answer);
        // SAFETY: the operation has completed with this result.
        Poll::Ready(unsafe { operation.finish(to_result(answer)) })
    }
}

/// The value that `look` finds of an operation. If it finds none, the task is woken when `look` may succeed.
#[inline]
pub(crate) fn poll_or_register<O: Operation, T>(
    driver: &Core,
    handle: &OpHandle<O>,
    cx: &Context<'_>,
    look: impl Fn() -> Option<T>,
) -> Poll<T> {
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    if handle.is_waiter(cx.waker()) {
        return Poll::Pending;
    }
    // A new waiter: it may be a task of another runtime.
    driver.check_attended();
    handle.set_tag(driver.arena.stamps.tag());
    wait(handle, cx, look)
}

/// As [`poll_or_register`], after `look` has found nothing. The task is not the waiter yet.
#[inline]
fn wait<O: Operation, T>(
    handle: &OpHandle<O>,
    cx: &Context<'_>,
    look: impl Fn() -> Option<T>,
) -> Poll<T> {
    let waker = cx.waker().clone();
    // The clone ran user code (Waker vtable): it may have turned the driver.
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    drop(handle.set_waiter(waker));
    Poll::Pending
}

impl<O: Operation> Drop for Submit<O> {
    fn drop(&mut self) {
        if let State::InFlight(handle) = &self.state {
            self.driver.abandon(handle.key());
        }
    }
}

impl<O: Operation> fmt::Debug for Submit<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Idle(_) => &"not begun",
            State::InFlight(handle) => handle,
            State::Done => &"done",
        };
        f.debug_tuple("Submit").field(state).finish()
    }
}
