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
    driver::Inner,
    flight::{Seat, to_result},
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
    Grounded(O),
    Airborne(Seat<O>),
    Done,
}

/// The operation is moved to its cell before it is used in place: nothing in here is pinned.
impl<O: Operation> Unpin for Submit<O> {}

impl<O: Operation> Submit<O> {
    pub(crate) fn new(driver: Rc<Inner>, operation: O) -> Self {
        Self {
            driver,
            state: State::Grounded(operation),
        }
    }

    /// Asks the kernel to give the operation up. It must still be awaited, and hands out its
    /// buffer then, with the error `ECANCELED` or with what happened first. An operation that was
    /// never polled is not affected.
    pub fn cancel(&self) {
        if let State::Airborne(seat) = &self.state {
            self.driver.cancel(seat.key());
        }
    }

    pub(crate) fn driver(&self) -> &Rc<Inner> {
        &self.driver
    }

    /// Whether nothing was begun yet.
    pub(crate) fn is_grounded(&self) -> bool {
        matches!(self.state, State::Grounded(_))
    }

    /// Whether it was begun, and its output was not handed out.
    pub(crate) fn is_airborne(&self) -> bool {
        matches!(self.state, State::Airborne(_))
    }

    /// The operation, which is not to be begun. None if it was.
    pub(crate) fn recall(&mut self) -> Option<O> {
        match mem::replace(&mut self.state, State::Done) {
            State::Grounded(operation) => Some(operation),
            state @ (State::Airborne(_) | State::Done) => {
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
        let flights = &driver.flights;
        let state = &raw mut this.state;
        // SAFETY: it is this future's own, and nothing else of it is used while the operation is.
        let is_new = match unsafe { &mut *state } {
            State::Grounded(operation) => {
                if let Some(error) = driver.refuses() {
                    let operation = this.recall().expect("grounded");
                    // SAFETY: an error; the kernel has not been asked.
                    return Poll::Ready(unsafe { operation.finish(Err(error)) });
                }
                // SAFETY: once it has been moved out, what was in its place is not dropped. The arena is
                // the driver's, which is kept.
                let (seat, request) = unsafe {
                    let done = || state.write(State::Done);
                    flights.board_from(operation, done)
                };
                let key = seat.key();
                this.state = State::Airborne(seat);
                // SAFETY: the operation sits in its cell until the flight has landed.
                let answer = unsafe { driver.begin(key, &request) };
                if let Some(answer) = answer {
                    flights.land(key, answer);
                }
                answer.is_none()
            }
            State::Airborne(_) => false,
            State::Done => panic!("polled after completion"),
        };
        let State::Airborne(seat) = &this.state else {
            unreachable!("begun by now");
        };
        let look = || seat.has_landed().then_some(());
        ready!(if is_new {
            wait(seat, cx, look)
        } else {
            find_or_wait(driver, seat, cx, look)
        });
        let State::Airborne(seat) = mem::replace(&mut this.state, State::Done) else {
            unreachable!("begun by now");
        };
        let (operation, answer) = seat.take(flights);
        // SAFETY: the operation has landed with this answer.
        Poll::Ready(unsafe { operation.finish(to_result(answer)) })
    }
}

/// What `look` finds of a flight. If that is nothing, the task is woken when there may be something.
#[inline]
pub(crate) fn find_or_wait<O: Operation, T>(
    driver: &Inner,
    seat: &Seat<O>,
    cx: &Context<'_>,
    look: impl Fn() -> Option<T>,
) -> Poll<T> {
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    if seat.is_waiter(cx.waker()) {
        return Poll::Pending;
    }
    // Another task than before: it may be one of another runtime.
    driver.check_attended();
    wait(seat, cx, look)
}

/// The same for a flight of which there was nothing to be found so far, and for which somebody else
/// or nobody waited.
#[inline]
fn wait<O: Operation, T>(
    seat: &Seat<O>,
    cx: &Context<'_>,
    look: impl Fn() -> Option<T>,
) -> Poll<T> {
    let waker = cx.waker().clone();
    // That was the code of the waker's maker: it may have turned the driver.
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    drop(seat.set_waiter(waker));
    Poll::Pending
}

impl<O: Operation> Drop for Submit<O> {
    fn drop(&mut self) {
        if let State::Airborne(seat) = &self.state {
            self.driver.abandon(seat.key());
        }
    }
}

impl<O: Operation> fmt::Debug for Submit<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Grounded(_) => &"not begun",
            State::Airborne(seat) => seat,
            State::Done => &"done",
        };
        f.debug_tuple("Submit").field(state).finish()
    }
}
