//! Spans and events of operations, for the feature `tracing`.
//!
//! With the feature, `operations.rs` has the spans of a driver's operations, `descriptors.rs` the resources of
//! open descriptors, and `spans.rs` the resource and the asynchronous operation that both are built on.
//! `disabled.rs` has the same interface without the feature: types of size zero, and empty functions.
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
pub(crate) use self::disabled::{OpTraces, closed, opened};
#[cfg(feature = "tracing")]
pub use self::spans::{AsyncOp, Entered, Resource, is_enabled};
#[cfg(feature = "tracing")]
pub(crate) use self::{
    descriptors::{closed, opened},
    operations::OpTraces,
};
