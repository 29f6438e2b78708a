//! Multishot operations in flight.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    arena::OpHandle,
    driver::Core,
    key::Key,
    operation::{Multishot, Operation},
    request::{Request, to_result},
    submit::poll_or_register,
    trace::{self, Tracer, Untraced},
};

/// Polls a multishot operation. Dropping it cancels the operation, as with [`Submit`](crate::Submit). The
/// operation's output owns the items that were not taken.
pub(crate) struct SubmitMulti<O: Multishot> {
    driver: Rc<Core>,
    state: State<O>,
}

enum State<O> {
    Idle(O),
    InFlight(RawOp<O>),
    Done,
}

/// The next item, or the end.
pub(crate) enum Next<O: Multishot> {
    Item(O::Item),
    /// The final output. The caller must not poll any more.
    End(O::Output),
}

/// The operation is moved to its cell before it is used in place: nothing in here is pinned.
impl<O: Multishot> Unpin for SubmitMulti<O> {}

impl<O: Multishot> SubmitMulti<O> {
    pub(crate) fn new(driver: Rc<Core>, operation: O) -> Self {
        Self {
            driver,
            state: State::Idle(operation),
        }
    }

    /// Whether the operation has begun, and its end was not returned yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::InFlight(_))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<O>> {
        if matches!(self.state, State::Idle(_))
            && let State::Idle(operation) = mem::replace(&mut self.state, State::Done)
        {
            if let Some(error) = self.driver.refusal() {
                // SAFETY: an error; the operation was never submitted.
                return Poll::Ready(Next::End(unsafe { operation.finish(Err(error)) }));
            }
            let (handle, request) = RawOp::insert_multishot(&self.driver, operation);
            self.state = State::InFlight(handle);
            self.submit(&request);
        }
        let State::InFlight(handle) = &mut self.state else {
            panic!("polled after completion")
        };
        let next = ready!(handle.poll_next(&self.driver, cx));
        if matches!(next, Next::End(_)) {
            self.state = State::Done;
        }
        Poll::Ready(next)
    }

    fn submit(&self, request: &Request) {
        if let State::InFlight(handle) = &self.state {
            handle.submit(&self.driver, request);
        }
    }
}

impl<O: Ends> SubmitMulti<O> {
    /// The end of an operation that has begun, and whose end was not returned yet.
    pub(crate) fn into_ending(mut self) -> Ending<O::End> {
        let State::InFlight(RawOp(key, _)) = mem::replace(&mut self.state, State::Done) else {
            panic!("it is not in flight")
        };
        Ending {
            driver: Rc::clone(&self.driver),
            key: Some(key),
            poll: poll_end::<O>,
        }
    }
}

/// A multishot operation whose end has a value of interest, whatever the operation's type.
pub(crate) trait Ends: Multishot {
    type End: 'static;

    fn end_of(output: Self::Output) -> Self::End;
}

/// The end of an operation in flight, without the operation's type. Its other items are lost. Dropping it
/// cancels the operation, as with [`SubmitMulti`].
pub(crate) struct Ending<T> {
    driver: Rc<Core>,
    /// `None` after the end.
    key: Option<Key>,
    /// [`poll_end`] of the operation's type.
    poll: fn(&Core, Key, &mut Context<'_>) -> Poll<T>,
}

fn poll_end<O: Ends>(driver: &Core, key: Key, cx: &mut Context<'_>) -> Poll<O::End> {
    let mut operation = RawOp::<O>(key, PhantomData);
    loop {
        if let Next::End(output) = ready!(operation.poll_next(driver, cx)) {
            return Poll::Ready(O::end_of(output));
        }
    }
}

impl<T> Ending<T> {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let key = self.key.expect("polled after completion");
        let end = ready!((self.poll)(&self.driver, key, cx));
        self.key = None;
        Poll::Ready(end)
    }
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.driver.abandon(key);
        }
    }
}

impl<O: Multishot> Drop for SubmitMulti<O> {
    fn drop(&mut self) {
        if let State::InFlight(handle) = mem::replace(&mut self.state, State::Done) {
            handle.abandon(&self.driver);
        }
    }
}

/// The key of an operation `O` in flight, for callers that have the driver at hand. Its drop does nothing:
/// the caller must [abandon](Self::abandon) it, unless it has polled the end. Only crate-internal operations
/// are used this way; their `finish` never panics.
pub(crate) struct RawOp<O>(Key, PhantomData<fn() -> O>);

impl<O: Operation> RawOp<O> {
    /// Inserts the operation into the arena. The caller must [submit](Self::submit) its request.
    pub(crate) fn insert(driver: &Core, operation: O) -> (Self, Request) {
        // SAFETY: the handle is dropped here.
        let (handle, request) = unsafe { driver.arena.insert(operation) };
        (Self(handle.key(), PhantomData), request)
    }

    fn handle(&self, driver: &Core) -> OpHandle<O> {
        // SAFETY: inserted as an `O`, and not abandoned. Once the operation has been taken, the key is
        // stale, which the arena detects.
        unsafe { driver.arena.handle_of(self.0) }
    }

    /// Submits the operation. `request` was returned by [`insert`](Self::insert).
    pub(crate) fn submit(&self, driver: &Rc<Core>, request: &Request) {
        if let Some(mut tracer) = trace::tracer(driver) {
            tracer.begin(self.0);
        }
        // SAFETY: the operation stays in its cell until it has completed.
        if let Some(answer) = unsafe { driver.begin(self.0, request) } {
            driver.arena.complete(self.0, answer);
        }
    }

    /// Requests the operation's cancellation. Earlier completions are still returned.
    pub(crate) fn cancel(&self, driver: &Core) {
        driver.cancel(self.0);
    }

    /// The output of an operation with a single completion. The caller must not poll it afterwards.
    pub(crate) fn poll(&mut self, driver: &Core, cx: &mut Context<'_>) -> Poll<O::Output> {
        match trace::tracer(driver) {
            Some(tracer) => self.poll_with(driver, cx, tracer),
            None => self.poll_with(driver, cx, Untraced),
        }
    }

    fn poll_with(
        &mut self,
        driver: &Core,
        cx: &mut Context<'_>,
        mut tracer: impl Tracer,
    ) -> Poll<O::Output> {
        let handle = self.handle(driver);
        tracer.enter(self.0);
        let look = || handle.is_completed().then_some(());
        if poll_or_register(driver, &handle, cx, look).is_pending() {
            tracer.pending();
            return Poll::Pending;
        }
        let (operation, answer) = handle.take(&driver.arena);
        tracer.ready(answer);
        // SAFETY: the operation has completed with this result.
        Poll::Ready(unsafe { operation.finish(to_result(answer)) })
    }

    pub(crate) fn abandon(self, driver: &Core) {
        driver.abandon(self.0);
    }
}

impl<O: Multishot> RawOp<O> {
    /// As [`insert`](Self::insert), for a multishot operation.
    pub(crate) fn insert_multishot(driver: &Core, operation: O) -> (Self, Request) {
        // SAFETY: the handle is dropped here.
        let (handle, request) = unsafe { driver.arena.insert_multishot(operation) };
        (Self(handle.key(), PhantomData), request)
    }

    /// The next item or the end. The caller must not poll it after the end.
    pub(crate) fn poll_next(&mut self, driver: &Core, cx: &mut Context<'_>) -> Poll<Next<O>> {
        match trace::tracer(driver) {
            Some(tracer) => self.poll_next_with(driver, cx, tracer),
            None => self.poll_next_with(driver, cx, Untraced),
        }
    }

    fn poll_next_with(
        &mut self,
        driver: &Core,
        cx: &mut Context<'_>,
        mut tracer: impl Tracer,
    ) -> Poll<Next<O>> {
        /// The state of the operation.
        enum Found<T> {
            Item(T),
            End,
        }
        let handle = self.handle(driver);
        let look = || {
            let item = handle.look().map(Found::Item);
            item.or_else(|| handle.is_completed().then_some(Found::End))
        };
        tracer.enter(self.0);
        let Poll::Ready(found) = poll_or_register(driver, &handle, cx, look) else {
            tracer.pending();
            return Poll::Pending;
        };
        Poll::Ready(match found {
            Found::Item(item) => {
                tracer.item();
                Next::Item(item)
            }
            Found::End => {
                let (operation, answer) = handle.take(&driver.arena);
                tracer.ready(answer);
                // SAFETY: the operation has completed with this result.
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
