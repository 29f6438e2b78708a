//! An operation with several answers, under way.

use std::{
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    driver::Inner,
    flight::{Key, to_result},
    operation::Multishot,
    request::Answer,
    submit::find_or_wait,
};

/// The end that polls it. Dropping it gives the operation up, as with
/// [`Submit`](crate::Submit); what was noted and not handed out is the
/// output's affair.
pub(crate) struct SubmitMulti<O: Multishot> {
    driver: Rc<Inner>,
    state: State<O>,
}

enum State<O> {
    Grounded(O),
    Airborne(Key),
    Done,
}

/// What comes next.
pub(crate) enum Next<O: Multishot> {
    Item(O::Item),
    /// The last. Nothing is to be polled any more.
    End(O::Output),
}

/// The operation is moved to its cell before it is used in place: nothing in here is pinned.
impl<O: Multishot> Unpin for SubmitMulti<O> {}

impl<O: Multishot> SubmitMulti<O> {
    pub(crate) fn new(driver: Rc<Inner>, operation: O) -> Self {
        Self {
            driver,
            state: State::Grounded(operation),
        }
    }

    /// Asks the kernel to give the operation up. What it has answered by then still comes.
    pub(crate) fn cancel(&self) {
        if let State::Airborne(key) = self.state {
            self.driver.cancel(key);
        }
    }

    /// Whether it was begun, and is not over.
    pub(crate) fn is_airborne(&self) -> bool {
        matches!(self.state, State::Airborne(_))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<O>> {
        let key = match mem::replace(&mut self.state, State::Done) {
            State::Grounded(operation) => {
                if let Some(error) = self.driver.refuses() {
                    return Poll::Ready(Next::End(operation.finish(Err(error))));
                }
                let (key, request) = self.driver.flights.board_multi(operation);
                self.state = State::Airborne(key);
                // SAFETY: the operation sits in its cell until the flight has landed.
                if let Some(answer) = unsafe { self.driver.begin(key, &request) } {
                    self.driver.flights.land(key, answer);
                }
                key
            }
            State::Airborne(key) => {
                self.state = State::Airborne(key);
                key
            }
            State::Done => panic!("polled after completion"),
        };
        /// What is found of the flight.
        enum Found<O: Multishot> {
            Item(O::Item),
            End(O, Answer),
        }
        let flights = &self.driver.flights;
        let look = || {
            // SAFETY: boarded with an `O` above; the state says that it was neither taken nor
            // abandoned.
            unsafe {
                if let Some(item) = flights.look::<O>(key) {
                    return Some(Found::Item(item));
                }
                let (operation, answer) = flights.take::<O>(key)?;
                Some(Found::End(operation, answer))
            }
        };
        Poll::Ready(match ready!(find_or_wait(flights, key, cx, look)) {
            Found::Item(item) => Next::Item(item),
            Found::End(operation, answer) => {
                self.state = State::Done;
                Next::End(operation.finish(to_result(answer)))
            }
        })
    }
}

impl<O: Multishot> Drop for SubmitMulti<O> {
    fn drop(&mut self) {
        if let State::Airborne(key) = self.state {
            self.driver.abandon(key);
        }
    }
}
