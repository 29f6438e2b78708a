//! The spans of tasks, of blocking work, and of the futures of `block_on`.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

pub(crate) use compio_driver::trace::is_enabled;
use compio_executor::TaskMeta;
use pin_project_lite::pin_project;
use tracing::{Span, trace_span};

use super::waker::TaskWaker;

/// The span of a task. It ends with the last of its copies.
pub(crate) struct TaskTrace(Arc<Span>);

impl TaskTrace {
    /// The span of a task. `size` is the size of its future.
    pub(crate) fn task(meta: &TaskMeta, size: usize) -> Self {
        Self::new("task", meta, size)
    }

    /// The span of a task for blocking code of this size.
    pub(crate) fn blocking(meta: &TaskMeta, size: usize) -> Self {
        Self::new("blocking", meta, size)
    }

    /// The span of a future of this size that the caller blocks on. It gets a number as a task, although it is none:
    /// tokio-console shows it in its tables.
    #[track_caller]
    pub(crate) fn block_on(size: usize) -> Self {
        Self::new("block_on", &TaskMeta::new(), size)
    }

    #[cold]
    fn new(kind: &'static str, meta: &TaskMeta, size: usize) -> Self {
        let location = meta.location();
        // Without a parent, which would stay open as long as the new task.
        let span = trace_span!(
            target: "compio::task",
            parent: None,
            "runtime.spawn",
            kind,
            task.name = meta.name(),
            task.id = meta.id().number(),
            size.bytes = size as u64,
            loc.file = location.file(),
            loc.line = u64::from(location.line()),
            loc.col = u64::from(location.column()),
        );
        span.follows_from(Span::current());
        Self(Arc::new(span))
    }

    /// The future, with its polls and its drop within the span.
    pub(crate) fn around<F>(self, future: F) -> Traced<F> {
        Traced {
            drop_scope: DropScope(Arc::clone(&self.0)),
            future,
            poll_scope: PollScope {
                span: self.0,
                waker: None,
            },
        }
    }

    /// Code that runs within the span, on any thread.
    pub(crate) fn wrap<T, F: FnOnce() -> T>(&self, code: F) -> impl FnOnce() -> T + use<T, F> {
        let span = Arc::clone(&self.0);
        move || span.in_scope(code)
    }

    pub(crate) fn in_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        self.0.in_scope(code)
    }
}

pin_project! {
    /// A future within the span of its task.
    pub(crate) struct Traced<F> {
        // Fields are dropped in this order: the future within the span.
        drop_scope: DropScope,
        #[pin]
        future: F,
        poll_scope: PollScope,
    }
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let PollScope { span, waker } = this.poll_scope;
        let is_current = waker.as_ref().is_some_and(|waker| waker.is_for(cx.waker()));
        if !is_current {
            *waker = span.id().map(|id| TaskWaker::new(cx.waker(), &id));
        }
        span.in_scope(|| match waker {
            Some(waker) => this.future.poll(&mut Context::from_waker(&waker.lend())),
            // The subscriber does not want the span.
            None => this.future.poll(cx),
        })
    }
}

/// Its drop enters the span.
struct DropScope(Arc<Span>);

impl Drop for DropScope {
    fn drop(&mut self) {
        self.0
            .with_subscriber(|(id, subscriber)| subscriber.enter(id));
    }
}

/// The span of a poll. Its drop exits the span that the drop of [`DropScope`] has entered.
struct PollScope {
    span: Arc<Span>,
    waker: Option<TaskWaker>,
}

impl Drop for PollScope {
    fn drop(&mut self) {
        self.span
            .with_subscriber(|(id, subscriber)| subscriber.exit(id));
    }
}
