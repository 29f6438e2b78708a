//! The contract of an operation: the traits [`Operation`], [`Owned`] and `Multishot`.

use std::io;

use crate::request::{Item, Request};

/// One operation of a kernel: it owns the memory that the kernel uses, describes the request, and
/// converts the result. The backend decides how to submit the request.
///
/// The operations of this crate are in [`op`](crate::op). Others can be defined outside, with the
/// existing requests or with [`Request::Raw`].
///
/// # Safety
///
/// - Memory that the request points to is in the operation itself or owned by it, and stays
///   valid and in place from [`request`](Self::request) until the operation is moved, dropped or
///   finished. The operation is not moved in between. It may be leaked.
/// - That memory may be written to by the kernel, or by another thread in the case of
///   [`Request::Work`]; nothing else refers to it.
/// - If the request passes memory to another thread, that thread may use it.
pub unsafe trait Operation: 'static {
    /// The output: typically an [`io::Result`], and the buffer.
    type Output: 'static;

    /// Returns the request. Called when the operation is at its final address, and again at the same
    /// address whenever the request is launched again: after the kernel has dropped it, after a wait for
    /// readiness, after EAGAIN. The kernel does not use the operation at that time.
    fn request(&mut self) -> Request;

    /// Converts the kernel's result to the output. If the operation was orphaned, its output is dropped,
    /// which closes a descriptor in it.
    ///
    /// # Safety
    ///
    /// `answer` is an error, or the kernel's final result of this operation's [request](Self::request).
    /// The kernel does not use the operation any more. Any other number would become a descriptor that the
    /// program does not own, or a length that the buffer does not have:
    ///
    /// ```compile_fail,E0133
    /// use compio::driver::{Operation, op::Nop};
    ///
    /// Nop::new().finish(Ok(5));
    /// ```
    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output;
}

/// An operation that keeps the descriptors in its request open for as long as it lives, and can
/// therefore be submitted by safe code.
///
/// Operations on a bare [`RawFd`](crate::RawFd) do not: other code may close the descriptor while
/// they wait, and its number may be reused for another file. Push them with
/// [`Poller::push`](crate::Poller::push).
///
/// # Safety
///
/// The operation owns each descriptor in the request, or shares its ownership.
pub unsafe trait Owned: Operation {}

/// A multishot operation: the kernel completes it several times. Every completion but the last is an
/// [`Item`].
///
/// # Safety
///
/// [`push_partial`](Self::push_partial) and [`next`](Self::next) are called while the kernel may use the
/// memory that the request names: they do not access it, run no user code, and do not panic.
pub(crate) unsafe trait Multishot: Operation {
    /// The value of one completion before the last.
    type Item;

    /// Takes a completion that is not the last. The operation becomes the owner of its descriptor or buffer.
    /// Returns whether there are enough items for now: then the caller cancels the operation.
    ///
    /// # Safety
    ///
    /// `this` is valid, and only the kernel uses it during the call.
    unsafe fn push_partial(this: *mut Self, item: Item) -> bool;

    /// Whether only a notification of the kernel is outstanding. A cancel request does not speed it up:
    /// io_uring completes it with ENOENT.
    ///
    /// # Safety
    ///
    /// As for [`push_partial`](Self::push_partial).
    unsafe fn awaits_notification(_this: *mut Self) -> bool {
        false
    }

    /// The next item that was pushed and not returned yet.
    ///
    /// # Safety
    ///
    /// As for [`push_partial`](Self::push_partial).
    unsafe fn next(this: *mut Self) -> Option<Self::Item>;
}
