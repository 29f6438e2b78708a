//! An operation as a future.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    arena::{OpHandle, to_result},
    driver::Inner,
    operation::Operation,
};

/// The future of an operation, made by [`Driver::submit`](crate::Driver::submit).
///
/// # Cancellation
///
/// Dropping it before its first poll drops the operation: nothing was begun. Dropping it later
/// asks the kernel to give the operation up and returns at once; buffer and descriptors stay where
/// they are until the kernel has answered. The operation may still succeed then: its output is
/// dropped. [`cancel`](Self::cancel) instead of a drop loses nothing, nor do the receives that
/// [`Driver::receive`](crate::Driver::receive) and its like make.
#[must_use = "futures do nothing unless awaited"]
pub struct Submit<O: Operation> {
    driver: Rc<Inner>,
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
    pub(crate) fn new(driver: Rc<Inner>, operation: O) -> Self {
        Self {
            driver,
            state: State::Idle(operation),
        }
    }

    /// Asks the kernel to give the operation up. It must still be awaited, and hands out its
    /// buffer then, with the error `ECANCELED` or with what happened first. An operation that was
    /// never polled is not affected.
    pub fn cancel(&self) {
        if let State::InFlight(handle) = &self.state {
            self.driver.cancel(handle.key());
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Inner> {
        &self.driver
    }

    /// Whether nothing was begun yet.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle(_))
    }

    /// Whether it was begun, and its output was not handed out.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::InFlight(_))
    }

    /// The operation, which is not to be begun. None if it was.
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
        let this = &mut *self;
        let driver = &this.driver;
        let arena = &driver.arena;
        let state = &raw mut this.state;
        // SAFETY: it is this future's own, and nothing else of it is used while the operation is.
        let is_new = match unsafe { &mut *state } {
            State::Idle(operation) => {
                if let Some(error) = driver.refusal() {
                    let operation = this.take_unstarted().expect("grounded");
                    // SAFETY: an error; the kernel has not been asked.
                    return Poll::Ready(unsafe { operation.finish(Err(error)) });
                }
                // SAFETY: once it has been moved out, what was in its place is not dropped. The arena is
                // the driver's, which is kept.
                let (handle, request) = unsafe {
                    let done = || state.write(State::Done);
                    arena.insert_from(operation, done)
                };
                let key = handle.key();
                this.state = State::InFlight(handle);
                // SAFETY: the operation sits in its cell until the flight has landed.
                let answer = unsafe { driver.begin(key, &request) };
                if let Some(answer) = answer {
                    arena.complete(key, answer);
                }
                answer.is_none()
            }
            State::InFlight(_) => false,
            State::Done => panic!("polled after completion"),
        };
        let State::InFlight(handle) = &this.state else {
            unreachable!("begun by now");
        };
        let look = || handle.is_completed().then_some(());
        ready!(if is_new {
            wait(handle, cx, look)
        } else {
            find_or_wait(driver, handle, cx, look)
        });
        let State::InFlight(handle) = mem::replace(&mut this.state, State::Done) else {
            unreachable!("begun by now");
        };
        let (operation, answer) = handle.take(arena);
        // SAFETY: the operation has landed with this answer.
        Poll::Ready(unsafe { operation.finish(to_result(answer)) })
    }
}

/// What `look` finds of a flight. If that is nothing, the task is woken when there may be something.
#[inline]
pub(crate) fn find_or_wait<O: Operation, T>(
    driver: &Inner,
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
    // Another task than before: it may be one of another runtime.
    driver.check_attended();
    wait(handle, cx, look)
}

/// The same for a flight of which there was nothing to be found so far, and for which somebody else
/// or nobody waited.
#[inline]
fn wait<O: Operation, T>(
    handle: &OpHandle<O>,
    cx: &Context<'_>,
    look: impl Fn() -> Option<T>,
) -> Poll<T> {
    let waker = cx.waker().clone();
    // That was the code of the waker's maker: it may have turned the driver.
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
