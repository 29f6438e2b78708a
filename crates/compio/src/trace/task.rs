//! The spans of tasks, of blocking work, and of the futures of `block_on`.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

pub(crate) use compio_driver::trace::is_enabled;
use compio_executor::TaskMeta;
use tracing::{Span, trace_span};

use super::waker::TaskWaker;

/// The span of a task. Its drop ends the span.
pub(crate) struct TaskTrace(Option<Box<Active>>);

struct Active {
    span: Arc<Span>,
    waker: Option<TaskWaker>,
    /// Whether a [`DropScope`] enters the span before the drop of this value.
    has_drop_scope: bool,
}

impl TaskTrace {
    pub(crate) fn disabled() -> Self {
        Self(None)
    }

    /// The span of a task. `size` is the size of its future.
    pub(crate) fn task(meta: &TaskMeta, size: usize) -> Self {
        Self::of("task", meta, size)
    }

    /// The span of a task for blocking code of this size.
    pub(crate) fn blocking(meta: &TaskMeta, size: usize) -> Self {
        Self::of("blocking", meta, size)
    }

    /// The span of a future of this size that the caller blocks on. It gets a number as a task, although it is none:
    /// tokio-console shows it in its tables.
    #[track_caller]
    pub(crate) fn block_on(size: usize) -> Self {
        if !is_enabled() {
            return Self(None);
        }
        Self::of("block_on", &TaskMeta::new(), size)
    }

    fn of(kind: &'static str, meta: &TaskMeta, size: usize) -> Self {
        if !is_enabled() {
            return Self(None);
        }
        Self::new(kind, meta, size)
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
        if span.is_disabled() {
            return Self(None);
        }
        span.follows_from(Span::current());
        Self(Some(Box::new(Active {
            span: Arc::new(span),
            waker: None,
            has_drop_scope: false,
        })))
    }

    /// For a field before the future, if this is a field behind it: the drop of the future is within the span.
    pub(crate) fn drop_scope(&mut self) -> DropScope {
        DropScope(self.0.as_mut().map(|active| {
            active.has_drop_scope = true;
            Arc::clone(&active.span)
        }))
    }

    /// Code that runs within the span, on any thread.
    pub(crate) fn wrap<T, F: FnOnce() -> T>(&self, code: F) -> impl FnOnce() -> T + use<T, F> {
        let span = self.0.as_ref().map(|active| Arc::clone(&active.span));
        || match span {
            Some(span) => {
                let output = span.in_scope(code);
                drop(span);
                output
            }
            None => code(),
        }
    }

    pub(crate) fn in_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(active) => active.span.in_scope(code),
            None => code(),
        }
    }

    /// Polls the future within the span, with a waker that reports its use.
    #[inline]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.0 {
            None => poll(cx),
            Some(active) => active.poll(cx, poll),
        }
    }
}

impl Active {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { span, waker, .. } = self;
        let is_current = waker.as_ref().is_some_and(|waker| waker.is_for(cx.waker()));
        if !is_current {
            *waker = span.id().map(|id| TaskWaker::new(cx.waker(), &id));
        }
        span.in_scope(|| match waker {
            Some(waker) => poll(&mut Context::from_waker(&waker.lend())),
            None => poll(cx),
        })
    }
}

impl Drop for TaskTrace {
    fn drop(&mut self) {
        if let Some(active) = self.0.take()
            && active.has_drop_scope
        {
            active
                .span
                .with_subscriber(|(id, subscriber)| subscriber.exit(id));
        }
    }
}

/// The span of a task during the drop of its future: its own drop enters the span, and the drop of the
/// [`TaskTrace`] exits it.
pub(crate) struct DropScope(Option<Arc<Span>>);

impl Drop for DropScope {
    fn drop(&mut self) {
        if let Some(span) = mem::take(&mut self.0) {
            span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
        }
    }
}
