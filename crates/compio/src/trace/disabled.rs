//! The interface of traces without the feature `tracing`: nothing at run time.

use std::task::{Context, Poll};

use compio_executor::TaskMeta;
#[cfg(feature = "time")]
use std::time::Instant;

#[inline(always)]
pub(crate) fn is_enabled() -> bool {
    false
}

/// The span of a task.
pub(crate) struct TaskTrace;

impl TaskTrace {
    #[inline(always)]
    pub(crate) fn disabled() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn task(_: &TaskMeta, _: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn blocking(_: &TaskMeta, _: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn block_on(_: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn drop_scope(&mut self) -> DropScope {
        DropScope
    }

    #[inline(always)]
    pub(crate) fn wrap<T, F: FnOnce() -> T>(&self, code: F) -> F {
        code
    }

    #[inline(always)]
    pub(crate) fn in_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        code()
    }

    #[inline(always)]
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        poll(cx)
    }
}

/// The span of a task during the drop of its future.
pub(crate) struct DropScope;

/// The spans of a timer.
#[cfg(feature = "time")]
pub(crate) struct TimerTrace;

#[cfg(feature = "time")]
impl TimerTrace {
    #[inline(always)]
    pub(crate) fn new(_: &'static str, _: Instant) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn reset(&mut self, _: Instant) {}

    #[inline(always)]
    pub(crate) fn poll<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        poll()
    }
}
