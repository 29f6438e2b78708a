//! The contract of an operation: the traits [`Operation`], [`Owned`] and `Multishot`.

use std::io;

use crate::{
    metrics::OpKind,
    request::{Item, RawFd, Request},
};

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
///   [`Request::Blocking`]; nothing else refers to it.
/// - If the request passes memory to another thread, that thread may use it.
pub unsafe trait Operation: 'static {
    /// The output: typically an [`io::Result`], and the buffer.
    type Output: 'static;

    /// The kind of the operation, for counters and records.
    const KIND: OpKind = OpKind::Other;

    /// The descriptor that the operation waits for, for records. `None` if it has none.
    ///
    /// # Safety
    ///
    /// `this` points to an operation whose [request](Self::request) may be in flight: the kernel, or another
    /// thread in the case of [`Request::Blocking`], may write to its memory. The function reads only fields that
    /// they do not write, and forms no reference to the whole.
    unsafe fn descriptor(this: *const Self) -> Option<RawFd>
    where
        Self: Sized,
    {
        let _ = this;
        None
    }

    /// Returns the request. Called when the operation is at its final address, and again at the same
    /// address whenever the request is submitted again: after the kernel has dropped it, after a wait for
    /// readiness, after EAGAIN. The kernel does not use the operation at that time.
    fn request(&mut self) -> Request;

    /// Converts the kernel's result to the output.
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

    /// Takes the result of an orphaned operation: its future was dropped after the operation had begun. The
    /// driver calls this function in place of [`finish`](Self::finish). The default finishes the operation
    /// and drops its output, which closes a descriptor in it. An operation overrides it to keep a result that
    /// has no other copy, such as received bytes.
    ///
    /// It runs exactly once for an orphaned operation, on the driver's thread:
    ///
    /// - If the operation was in flight when its future was dropped: during the [turn](crate::Driver::turn)
    ///   that reaps the final completion. A shutdown of the driver reaps all completions.
    /// - If the operation had completed, and its future was dropped without another poll: during that drop.
    ///
    /// It never runs for an operation that has not begun, for one that was [pushed](crate::Poller::push), nor
    /// for one that the driver leaks because the [shutdown
    /// timeout](crate::DriverBuilder::shutdown_timeout) has passed.
    ///
    /// No state of the driver is borrowed. The function may begin other operations and turn the driver, also
    /// while it shuts down: then the driver refuses new operations.
    ///
    /// # Panics
    ///
    /// A panic of this function is reported by the panic hook. The driver discards it, and continues with
    /// other operations. The same holds for the drop of the output.
    ///
    /// # Safety
    ///
    /// As for [`finish`](Self::finish).
    ///
    /// # Examples
    ///
    /// A read that keeps its bytes when its future is dropped:
    ///
    /// ```
    /// use std::{cell::RefCell, io, rc::Rc};
    ///
    /// use compio_driver::{
    ///     Operation, Owned,
    ///     op::ReadAt,
    ///     request::Request,
    /// };
    ///
    /// struct LosslessRead {
    ///     read: ReadAt<Vec<u8>>,
    ///     unread: Rc<RefCell<Vec<u8>>>,
    /// }
    ///
    /// // SAFETY: the request comes from the inner operation, which does not move in here.
    /// unsafe impl Operation for LosslessRead {
    ///     type Output = (io::Result<usize>, Vec<u8>);
    ///
    ///     fn request(&mut self) -> Request {
    ///         self.read.request()
    ///     }
    ///
    ///     unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
    ///         // SAFETY: passed on from this function.
    ///         unsafe { self.read.finish(answer) }
    ///     }
    ///
    ///     unsafe fn on_orphaned(self, answer: io::Result<usize>) {
    ///         let unread = Rc::clone(&self.unread);
    ///         // SAFETY: passed on from this function.
    ///         if let (Ok(len), buffer) = unsafe { self.finish(answer) } {
    ///             unread.borrow_mut().extend_from_slice(&buffer[..len]);
    ///         }
    ///     }
    /// }
    ///
    /// // SAFETY: the inner operation is `Owned`.
    /// unsafe impl Owned for LosslessRead {}
    /// ```
    unsafe fn on_orphaned(self, answer: io::Result<usize>)
    where
        Self: Sized,
    {
        // SAFETY: passed on from this function.
        drop(unsafe { self.finish(answer) });
    }
}

/// An operation that keeps the descriptors in its request open for as long as it lives, and can
/// therefore be submitted by safe code.
///
/// Operations on a bare [`RawFd`] do not: other code may close the descriptor while
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
