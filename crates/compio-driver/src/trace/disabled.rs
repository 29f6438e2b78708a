//! The interface of traces without the feature `tracing`: nothing at run time.

use crate::{driver::Core, key::Key, request::RawResult, sys::RawFd};

/// The spans of a driver's operations.
pub(crate) struct OpTraces;

impl OpTraces {
    pub(crate) fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn on_partial(&self, _: Key, _: RawResult) {}

    #[inline(always)]
    pub(crate) fn abandon(&self, _: Key) {}
}

impl Core {
    #[inline(always)]
    pub(crate) fn trace_begin(&self, _: Key) {}

    #[inline(always)]
    pub(crate) fn trace_poll(&self, _: Key) -> Polling {
        Polling
    }
}

/// A poll of an operation.
pub(crate) struct Polling;

impl Polling {
    #[inline(always)]
    pub(crate) fn pending(self) {}

    #[inline(always)]
    pub(crate) fn item(self) {}

    #[inline(always)]
    pub(crate) fn ready(self, _: RawResult) {}
}

#[inline(always)]
pub(crate) fn opened(_: RawFd) {}

#[inline(always)]
pub(crate) fn closed(_: RawFd) {}
