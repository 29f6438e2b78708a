//! A future that runs on the reactor's thread, and ends with its caller.

use std::{
    fmt, mem, panic,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    join::JoinHandle,
    reactor::{Reactor, drop_sent},
};

/// The future of [`run`](super::run()).
#[must_use = "it runs when it is polled"]
pub struct Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    state: State<F>,
}

enum State<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Unstarted(F),
    Started(JoinHandle<F::Output>),
    Ended,
}

impl<F> Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    pub(super) fn new(future: F) -> Self {
        Self {
            state: State::Unstarted(future),
        }
    }
}

/// The future moves before its first poll, and is not polled in here.
impl<F> Unpin for Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
}

impl<F> Future for Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let State::Unstarted(_) = self.state {
            let reactor = Reactor::get();
            if let State::Unstarted(future) = mem::replace(&mut self.state, State::Ended) {
                self.state = State::Started(JoinHandle::spawn(reactor, future));
            }
        }
        let State::Started(task) = &mut self.state else {
            panic!("`Run` was polled after its end");
        };
        let result = ready!(Pin::new(task).poll(cx));
        self.state = State::Ended;
        match result {
            Ok(output) => Poll::Ready(output),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => panic::resume_unwind(payload),
                Err(error) => panic!("tokio's runtime has ended: {error}"),
            },
        }
    }
}

impl<F> Drop for Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn drop(&mut self) {
        match mem::replace(&mut self.state, State::Ended) {
            // Without a reactor there is no object of tokio that needs its context.
            State::Unstarted(future) => match Reactor::existing() {
                Some(reactor) => drop_sent(reactor, future),
                None => drop(future),
            },
            State::Started(task) => task.abort(),
            State::Ended => {}
        }
    }
}

impl<F> fmt::Debug for Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unstarted(_) => "unstarted",
            State::Started(_) => "started",
            State::Ended => "ended",
        };
        f.debug_struct("Run").field("state", &state).finish()
    }
}
