//! An operation with several answers, under way.

use std::{
    mem,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    driver::Inner,
    flight::{Key, to_result},
    operation::Multishot,
};

/// The end that polls it. Dropping it gives the operation up, as with
/// [`Submit`](crate::Submit); what was noted and not handed out is dropped.
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
        let mut waker = None;
        loop {
            // SAFETY: boarded with an `O` above; the state says that it was neither taken nor
            // abandoned.
            unsafe {
                if let Some(item) = self.driver.flights.look::<O>(key) {
                    return Poll::Ready(Next::Item(item));
                }
                if let Some((operation, answer)) = self.driver.flights.take::<O>(key) {
                    self.state = State::Done;
                    return Poll::Ready(Next::End(operation.finish(to_result(answer))));
                }
            }
            if let Some(waker) = waker.take() {
                drop(self.driver.flights.set_waiter(key, waker));
                return Poll::Pending;
            }
            if self.driver.flights.is_waiter(key, cx.waker()) {
                return Poll::Pending;
            }
            // The code of the waker's maker: it may turn the driver, so look once more.
            waker = Some(cx.waker().clone());
        }
    }
}

impl<O: Multishot> Drop for SubmitMulti<O> {
    fn drop(&mut self) {
        if let State::Airborne(key) = self.state {
            self.driver.abandon(key);
        }
    }
}
