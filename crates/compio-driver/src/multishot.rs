//! An operation with several answers, under way.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    arena::{Key, OpHandle, to_result},
    driver::Inner,
    operation::{Multishot, Operation},
    request::Request,
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
    Idle(O),
    InFlight(RawOp<O>),
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
            state: State::Idle(operation),
        }
    }

    /// Whether it was begun, and its end was not handed out.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::InFlight(_))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<O>> {
        if matches!(self.state, State::Idle(_))
            && let State::Idle(operation) = mem::replace(&mut self.state, State::Done)
        {
            if let Some(error) = self.driver.refusal() {
                // SAFETY: an error; the kernel has not been asked.
                return Poll::Ready(Next::End(unsafe { operation.finish(Err(error)) }));
            }
            let (flying, request) = RawOp::insert_multishot(&self.driver, operation);
            self.state = State::InFlight(flying);
            self.launch(&request);
        }
        let State::InFlight(flying) = &mut self.state else {
            panic!("polled after completion")
        };
        let next = ready!(flying.poll_next(&self.driver, cx));
        if matches!(next, Next::End(_)) {
            self.state = State::Done;
        }
        Poll::Ready(next)
    }

    fn launch(&self, request: &Request) {
        if let State::InFlight(flying) = &self.state {
            flying.launch(&self.driver, request);
        }
    }
}

impl<O: Multishot> Drop for SubmitMulti<O> {
    fn drop(&mut self) {
        if let State::InFlight(flying) = mem::replace(&mut self.state, State::Done) {
            flying.abandon(&self.driver);
        }
    }
}

/// A flight with an `O`, for those who know the driver anyway. Nothing happens when it is dropped:
/// unless its end has come, it is to be [abandoned](Self::abandon). What flies so is finished by code of
/// this crate, which does not panic.
pub(crate) struct RawOp<O>(Key, PhantomData<fn() -> O>);

impl<O: Operation> RawOp<O> {
    /// Gives the operation its place. Its request is to be [launched](Self::launch).
    pub(crate) fn insert(driver: &Inner, operation: O) -> (Self, Request) {
        // SAFETY: the handle is given up here.
        let (handle, request) = unsafe { driver.arena.insert(operation) };
        (Self(handle.key(), PhantomData), request)
    }

    fn handle(&self, driver: &Inner) -> OpHandle<O> {
        // SAFETY: boarded with an `O`, and not abandoned. Once it has been taken, the key names no
        // flight any more, which is noticed.
        unsafe { driver.arena.handle_of(self.0) }
    }

    /// `request` is what came of boarding.
    pub(crate) fn launch(&self, driver: &Rc<Inner>, request: &Request) {
        // SAFETY: the operation sits in its cell until the flight has landed.
        if let Some(answer) = unsafe { driver.begin(self.0, request) } {
            driver.arena.complete(self.0, answer);
        }
    }

    /// Asks the kernel to give the operation up. What it has answered by then still comes.
    pub(crate) fn cancel(&self, driver: &Inner) {
        driver.cancel(self.0);
    }

    /// The end of one that has one answer only. It is not to be polled afterwards.
    pub(crate) fn poll(&mut self, driver: &Inner, cx: &mut Context<'_>) -> Poll<O::Output> {
        let handle = self.handle(driver);
        ready!(find_or_wait(driver, &handle, cx, || handle
            .is_completed()
            .then_some(())));
        let (operation, answer) = handle.take(&driver.arena);
        // SAFETY: the operation has landed with this answer.
        Poll::Ready(unsafe { operation.finish(to_result(answer)) })
    }

    pub(crate) fn abandon(self, driver: &Inner) {
        driver.abandon(self.0);
    }
}

impl<O: Multishot> RawOp<O> {
    /// As [`insert`](Self::insert), for an operation that expects several answers.
    pub(crate) fn insert_multishot(driver: &Inner, operation: O) -> (Self, Request) {
        // SAFETY: the handle is given up here.
        let (handle, request) = unsafe { driver.arena.insert_multishot(operation) };
        (Self(handle.key(), PhantomData), request)
    }

    /// What comes next. It is not to be polled after the end.
    pub(crate) fn poll_next(&mut self, driver: &Inner, cx: &mut Context<'_>) -> Poll<Next<O>> {
        /// What is found of the flight.
        enum Found<T> {
            Item(T),
            End,
        }
        let handle = self.handle(driver);
        let look = || {
            let item = handle.look().map(Found::Item);
            item.or_else(|| handle.is_completed().then_some(Found::End))
        };
        Poll::Ready(match ready!(find_or_wait(driver, &handle, cx, look)) {
            Found::Item(item) => Next::Item(item),
            Found::End => {
                let (operation, answer) = handle.take(&driver.arena);
                // SAFETY: the operation has landed with this answer.
                Next::End(unsafe { operation.finish(to_result(answer)) })
            }
        })
    }
}

impl<O> fmt::Debug for RawOp<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawOp").field(&self.0).finish()
    }
}
