//! Operations that continue after their owner was dropped. This crate has no runtime: a runtime
//! registers itself here. Called by `reusable_future`.

use std::{
    cell::Cell,
    pin::Pin,
    rc::{Rc, Weak},
};

/// An operation without an owner.
#[doc(hidden)]
pub type Detached = Pin<Box<dyn Future<Output = ()>>>;

/// A runtime that finishes operations without an owner.
#[doc(hidden)]
pub trait DetachedRunner {
    /// Polls the operation until it is ready, or drops it. A dropped operation
    /// [aborts](crate::io::AsyncWrite::abort) its writer.
    fn run(self: Rc<Self>, operation: Detached);
}

/// Finds the runtime of the operations that begin now.
#[doc(hidden)]
pub type FindRunner = fn() -> Option<Weak<dyn DetachedRunner>>;

// Thread-local: a lock could be held at the moment of a fork.
thread_local! {
    static FIND: Cell<Option<FindRunner>> = const { Cell::new(None) };
}

/// Registers the runtimes of this thread to finish operations of dropped owners, such as the last write
/// of a [`PollWriter`](crate::io::PollWriter).
#[doc(hidden)]
#[doc(hidden)]
pub fn set_detached_runner(find: FindRunner) {
    FIND.set(Some(find));
}

/// The runtime of an operation that begins now.
pub(crate) fn runner() -> Option<Weak<dyn DetachedRunner>> {
    FIND.get()?()
}
