//! Spans and events of operations, for the feature `tracing`.
//!
//! With the feature, `operations.rs` has the spans of a driver's operations, `descriptors.rs` the resources of
//! open descriptors, and `spans.rs` the resource and the asynchronous operation that both are built on.
//! `disabled.rs` has the same interface without the feature: types of size zero, and empty functions.
//!
//! A poll of an operation is generic over its `Tracer`, so that a poll without a subscriber differs by one check.
//!
//! The names of spans, targets and fields are an interface of tokio-console: see `docs/tracing.md`.

#[cfg(feature = "tracing")]
mod descriptors;
#[cfg(not(feature = "tracing"))]
mod disabled;
#[cfg(feature = "tracing")]
mod operations;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(not(feature = "tracing"))]
pub(crate) use self::disabled::{OpTraces, closed, opened, tracer};
#[cfg(feature = "tracing")]
pub use self::spans::{AsyncOp, Entered, Resource, is_enabled};
#[cfg(feature = "tracing")]
pub(crate) use self::{
    descriptors::{closed, opened},
    operations::{OpTraces, tracer},
};
use crate::{key::Key, request::RawResult};

/// Observes a poll of an operation.
pub(crate) trait Tracer {
    /// The operation has been inserted into the arena.
    fn begin(&mut self, key: Key);

    /// The poll of an operation that has begun.
    fn enter(&mut self, key: Key);

    /// The poll is pending.
    fn pending(self);

    /// The poll returns an item, and the operation continues.
    fn item(self);

    /// The operation has completed with this result.
    fn ready(self, answer: RawResult);
}

/// The tracer of a poll that no subscriber observes.
pub(crate) struct Untraced;

impl Tracer for Untraced {
    #[inline(always)]
    fn begin(&mut self, _: Key) {}

    #[inline(always)]
    fn enter(&mut self, _: Key) {}

    #[inline(always)]
    fn pending(self) {}

    #[inline(always)]
    fn item(self) {}

    #[inline(always)]
    fn ready(self, _: RawResult) {}
}
