//! The interface of traces without the feature `tracing`: nothing at run time.

use super::Untraced;
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

/// The tracer of the next poll, if a subscriber observes it: never.
#[inline(always)]
pub(crate) fn tracer(_: &Core) -> Option<Untraced> {
    None
}

#[inline(always)]
pub(crate) fn opened(_: RawFd) {}

#[inline(always)]
pub(crate) fn closed(_: RawFd) {}
