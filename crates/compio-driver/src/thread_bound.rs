//! [`StaysOnItsThread`]: the reason in a compiler message about `Send` or `Sync`.

use std::{fmt, marker::PhantomData, ops::Deref};

/// A pointer or a handle that must not leave the thread that made it.
///
/// The compiler's message shows its name and the note of `MayLeaveItsThread` if a task, a
/// file or a socket would move to another thread.
pub struct StaysOnItsThread<P, Proof = ()> {
    pointer: P,
    proof: PhantomData<Proof>,
}

/// Implemented by no type.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "files, sockets and operations of compio stay on the thread that made them",
    label = "this can be sent to or shared with another thread",
    note = "start the task by `compio::task::spawn`, which needs no `Send`; a file or a socket goes to \
            another thread as the type of std: `into_std` here, `from_std` there"
)]
pub trait MayLeaveItsThread {}

// SAFETY: no type implements the trait, so that no value is `Send`. The implementation only replaces
// the compiler's own message.
unsafe impl<P, Proof: MayLeaveItsThread> Send for StaysOnItsThread<P, Proof> {}

// SAFETY: no type implements the trait, so that no value is `Sync`.
unsafe impl<P, Proof: MayLeaveItsThread> Sync for StaysOnItsThread<P, Proof> {}

impl<P> StaysOnItsThread<P> {
    /// Binds a pointer to this thread.
    pub const fn new(pointer: P) -> Self {
        Self {
            pointer,
            proof: PhantomData,
        }
    }
}

impl<P> Deref for StaysOnItsThread<P> {
    type Target = P;

    #[inline]
    fn deref(&self) -> &P {
        &self.pointer
    }
}

impl<P: Clone> Clone for StaysOnItsThread<P> {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.pointer.clone())
    }
}

impl<P: fmt::Debug> fmt::Debug for StaysOnItsThread<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pointer.fmt(f)
    }
}
