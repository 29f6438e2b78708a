//! What an operation is.

use std::io;

use crate::request::{Item, Request};

/// Something to be asked of a kernel: it owns what the kernel needs meanwhile, says *what* it asks,
/// and what the answer means. How it is asked is the backend's business.
///
/// The operations of this crate are in [`op`](crate::op). Others can be defined outside, with the
/// existing requests or with [`Request::Raw`].
///
/// # Safety
///
/// - Memory that the request points to lies in the operation itself or is owned by it, and stays
///   valid and in place from [`request`](Self::request) until the operation is moved, dropped or
///   finished. The operation is not moved in between. It may be leaked.
/// - That memory may be written to by the kernel, or by another thread in the case of
///   [`Request::Work`]; nothing else refers to it.
/// - What the request hands out to another thread may be used there.
pub unsafe trait Operation: 'static {
    /// What comes out: typically an [`io::Result`], and the buffer.
    type Output: 'static;

    /// Says what is asked. Called when the operation has reached its place, and again at the same place
    /// whenever the request is launched again: after the kernel has dropped it, after a wait for
    /// readiness, after EAGAIN. The kernel does not use the operation at that time.
    fn request(&mut self) -> Request;

    /// Makes the output of the answer. If the operation was abandoned, its output is dropped, which closes
    /// a descriptor in it.
    ///
    /// # Safety
    ///
    /// `answer` is an error, or the kernel's last answer to the [request](Self::request) of this operation.
    /// The kernel does not use the operation any more. Another number would become a descriptor that the
    /// program does not own, or a length that the buffer does not have:
    ///
    /// ```compile_fail,E0133
    /// use compio_driver::{Operation, op::Nop};
    ///
    /// Nop::new().finish(Ok(5));
    /// ```
    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output;
}

/// An operation that keeps the descriptors in its request open for as long as it lives, and can
/// therefore be submitted by safe code.
///
/// Operations on a bare [`RawFd`](crate::RawFd) are not: somebody may close the descriptor while
/// they wait, and another file may get its number. They go by
/// [`Poller::push`](crate::Poller::push).
///
/// # Safety
///
/// See above: each descriptor in the request is owned, or shared in ownership, by the operation.
pub unsafe trait Owned: Operation {}

/// An operation that the kernel answers several times: every answer but the last is an [`Item`].
///
/// # Safety
///
/// [`note`](Self::push_partial) and [`next`](Self::next) are called while the kernel may use the memory that
/// the request names: they leave that alone, run no code but their own, and do not panic.
pub(crate) unsafe trait Multishot: Operation {
    /// What comes out before the end.
    type Item;

    /// Takes an answer that is not the last. What it owns belongs to the operation from now on.
    /// Returns whether that is enough for now: then the operation is to be given up.
    ///
    /// # Safety
    ///
    /// `this` is valid, and nothing but the kernel uses it meanwhile.
    unsafe fn push_partial(this: *mut Self, item: Item) -> bool;

    /// Whether only a notification of the kernel is outstanding. No cancel brings it forward: io_uring
    /// answers ENOENT to one.
    ///
    /// # Safety
    ///
    /// As for [`note`](Self::push_partial).
    unsafe fn awaits_notification(_this: *mut Self) -> bool {
        false
    }

    /// The next of those that were noted and not handed out.
    ///
    /// # Safety
    ///
    /// As for [`note`](Self::push_partial).
    unsafe fn next(this: *mut Self) -> Option<Self::Item>;
}
