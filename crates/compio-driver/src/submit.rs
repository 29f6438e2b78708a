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
    flight::{Flights, Key, to_result},
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
    Airborne(Key),
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
        if let State::Airborne(key) = self.state {
            self.driver.cancel(key);
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

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = &mut *self;
        let driver = &*this.driver;
        let (key, is_new) = match mem::replace(&mut this.state, State::Done) {
            State::Grounded(operation) => {
                if let Some(error) = driver.refuses() {
                    return Poll::Ready(operation.finish(Err(error)));
                }
                let (key, request) = driver.flights.board(operation);
                this.state = State::Airborne(key);
                // SAFETY: the operation sits in its cell until the flight has landed.
                let answer = unsafe { this.driver.begin(key, &request) };
                if let Some(answer) = answer {
                    driver.flights.land(key, answer);
                }
                (key, answer.is_none())
            }
            State::Airborne(key) => {
                this.state = State::Airborne(key);
                (key, false)
            }
            State::Done => panic!("polled after completion"),
        };
        let flights = &driver.flights;
        // SAFETY: boarded with an `O` above; the state says that it was neither taken nor abandoned.
        let take = || unsafe { flights.take::<O>(key) };
        let found = if is_new {
            wait(flights, key, cx, take)
        } else {
            find_or_wait(flights, key, cx, take)
        };
        let (operation, answer) = ready!(found);
        this.state = State::Done;
        Poll::Ready(operation.finish(to_result(answer)))
    }
}

/// What `look` finds of a flight. If that is nothing, the task is woken when there may be something.
#[inline]
pub(crate) fn find_or_wait<T>(
    flights: &Flights,
    key: Key,
    cx: &Context<'_>,
    mut look: impl FnMut() -> Option<T>,
) -> Poll<T> {
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    if flights.is_waiter(key, cx.waker()) {
        return Poll::Pending;
    }
    wait(flights, key, cx, look)
}

/// The same for a flight of which there was nothing to be found so far, and for which somebody else
/// or nobody waited.
#[inline]
fn wait<T>(
    flights: &Flights,
    key: Key,
    cx: &Context<'_>,
    mut look: impl FnMut() -> Option<T>,
) -> Poll<T> {
    let waker = cx.waker().clone();
    // That was the code of the waker's maker: it may have turned the driver.
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    drop(flights.set_waiter(key, waker));
    Poll::Pending
}

impl<O: Operation> Drop for Submit<O> {
    fn drop(&mut self) {
        if let State::Airborne(key) = self.state {
            self.driver.abandon(key);
        }
    }
}

impl<O: Operation> fmt::Debug for Submit<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Grounded(_) => &"not begun",
            State::Airborne(key) => key,
            State::Done => &"done",
        };
        f.debug_tuple("Submit").field(state).finish()
    }
}
