//! An operation with several answers, under way.

use std::{
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    driver::Inner,
    flight::{Seat, to_result},
    operation::Multishot,
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
    Airborne(Seat<O>),
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
        if let State::Airborne(seat) = &self.state {
            self.driver.cancel(seat.key());
        }
    }

    /// Whether it was begun, and is not over.
    pub(crate) fn is_airborne(&self) -> bool {
        matches!(self.state, State::Airborne(_))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<O>> {
        if let State::Grounded(_) = self.state
            && let Some(error) = self.begin()
        {
            return Poll::Ready(error);
        }
        let State::Airborne(seat) = &self.state else {
            panic!("polled after completion");
        };
        /// What is found of the flight.
        enum Found<T> {
            Item(T),
            End,
        }
        let look = || {
            let item = seat.look().map(Found::Item);
            item.or_else(|| seat.has_landed().then_some(Found::End))
        };
        match ready!(find_or_wait(seat, cx, look)) {
            Found::Item(item) => Poll::Ready(Next::Item(item)),
            Found::End => {
                let State::Airborne(seat) = mem::replace(&mut self.state, State::Done) else {
                    unreachable!("seen above");
                };
                let (operation, answer) = seat.take(&self.driver.flights);
                Poll::Ready(Next::End(operation.finish(to_result(answer))))
            }
        }
    }

    /// Begins what has not been begun; or returns its end, if it is not to be.
    fn begin(&mut self) -> Option<Next<O>> {
        let State::Grounded(operation) = mem::replace(&mut self.state, State::Done) else {
            unreachable!("seen by the caller");
        };
        if let Some(error) = self.driver.refuses() {
            return Some(Next::End(operation.finish(Err(error))));
        }
        // SAFETY: the arena is the driver's, which is kept.
        let (seat, request) = unsafe { self.driver.flights.board_multi(operation) };
        let key = seat.key();
        self.state = State::Airborne(seat);
        // SAFETY: the operation sits in its cell until the flight has landed.
        if let Some(answer) = unsafe { self.driver.begin(key, &request) } {
            self.driver.flights.land(key, answer);
        }
        None
    }
}

impl<O: Multishot> Drop for SubmitMulti<O> {
    fn drop(&mut self) {
        if let State::Airborne(seat) = &self.state {
            self.driver.abandon(seat.key());
        }
    }
}
