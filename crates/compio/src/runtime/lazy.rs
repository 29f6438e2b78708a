//! Futures that are created at their first poll, when their runtime is known.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

/// A future that `make` creates at the first poll, when the runtime is known.
///
/// An `async` block does the same, but stores its captures beside the inner future. Waiting connections
/// would pay for that memory, once for each nested block.
pub(crate) fn lazy<M, F>(make: M) -> AtFirstPoll<M, F>
where
    M: FnOnce() -> F,
    F: Future + Unpin,
{
    AtFirstPoll::New(make)
}

pub(crate) enum AtFirstPoll<M, F> {
    New(M),
    /// `make` has panicked.
    Broken,
    Made(F),
}

/// `make` is moved before it is called, so the future may move as well.
impl<M, F: Unpin> Unpin for AtFirstPoll<M, F> {}

impl<M, F> Future for AtFirstPoll<M, F>
where
    M: FnOnce() -> F,
    F: Future + Unpin,
{
    type Output = F::Output;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            match &mut *self {
                Self::Made(future) => return Pin::new(future).poll(cx),
                Self::New(_) => {}
                Self::Broken => panic!("polled after a panic"),
            }
            if let Self::New(make) = mem::replace(&mut *self, Self::Broken) {
                *self = Self::Made(make());
            }
        }
    }
}
