//! The contract of a backend: the trait [`Backend`], and the types in its signatures.
//!
//! Implementations: `uring::Uring`, `readiness::Readiness`, `iocp::Iocp`, `sim::Sim`, and on Linux the enum
//! of the first two. The driver uses [`SystemBackend`](super::SystemBackend), which is one of them on each
//! system, so every call is static.

#![cfg_attr(
    any(not(target_os = "linux"), compio_portable),
    allow(dead_code, reason = "parts of the contract that io_uring alone uses")
)]

use std::{io, time::Duration};

use super::{AsRawFd, OpState, RawFd};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{Item, RawResult, Request, Span},
};

/// Translates each [`Request`] into a call of its kernel, and completes it once.
///
/// A backend knows keys, not operations, and calls no wakers and no user code.
///
/// - **One request has one final completion**, also when it is cancelled, when it fails, and when the
///   kernel posts several completions.
/// - The backend writes all results to the request's memory before it reports the completion.
/// - A [`Notifier`] on any thread ends a sleep.
/// - Descriptors and memory of a request stay valid until its final completion has been reported: the
///   arena guarantees that. This includes the [`OpState`] of a request: the backend's own memory in the
///   cell of the operation, at a stable address until then.
pub(crate) trait Backend: AsRawFd {
    /// The kernel interface.
    fn kind(&self) -> BackendKind;

    /// The optional capabilities.
    fn capabilities(&self) -> Capabilities;

    /// Registers a buffer ring, from which the kernel picks buffers. `None` if the backend has none.
    fn register_buffers(&mut self, count: u16) -> io::Result<Option<Box<dyn BufferRing>>> {
        let _ = count;
        Ok(None)
    }

    /// Unregisters a buffer ring. No request uses the group any more.
    fn unregister_buffers(&mut self, group: u16) {
        let _ = group;
    }

    /// The number of calls that enter the kernel to submit or wait.
    fn enters(&self) -> u64;

    /// Whether the kernel executes this splice, whose ends were ready.
    fn is_splicing(&self, _key: Key) -> bool {
        false
    }

    /// The number of waits that have begun with a spin, and of those among them that have ended during the spin.
    fn spins(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Registers a descriptor, on systems that require it.
    fn attach(&mut self, fd: RawFd) -> io::Result<()> {
        let _ = fd;
        Ok(())
    }

    /// Completes the request at once, or guarantees that a later [`wait`](Self::wait) reports a completion
    /// for `key`, or returns the request for the thread pool. It never waits for room: requests that do not
    /// fit are queued, and submitted first on the next occasion.
    ///
    /// # Safety
    ///
    /// The memory of the request, and `state`, which belongs to this operation alone, stay valid until the
    /// completion of `key` has been reported. The key is in no other use.
    unsafe fn submit(&mut self, key: Key, request: &Request, state: *mut OpState) -> Submitted;

    /// As [`submit`](Self::submit), for a request that was reported with [`Report::WouldBlock`]. The backend
    /// waits for a send that may wait, and completes every other request with EAGAIN.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit).
    unsafe fn submit_after_would_block(&mut self, key: Key, request: &Request) -> Submitted {
        let _ = (key, request);
        unreachable!("this backend does not report `WouldBlock`")
    }

    /// How to repeat a request that was reported with [`Report::CanceledByKernel`].
    fn resubmit(&self, request: &Request) -> Resubmit {
        let _ = request;
        Resubmit::Not
    }

    /// Requests the cancellation of an operation in flight. Returns at once, and is never lost. The target's
    /// own completion still follows: `ECANCELED`, or its earlier result.
    ///
    /// # Safety
    ///
    /// `state` is the one that was passed to [`submit`](Self::submit).
    unsafe fn cancel(&mut self, key: Key, state: *mut OpState);

    /// Submits pending requests, sleeps for at most `timeout` (`None`: without a limit) if there is nothing to
    /// report, and reports every completion that is present. `on_report` runs no user code.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()>;

    /// Prepares a sleep elsewhere, on the backend's descriptor. Once it has returned true, that descriptor
    /// becomes readable when there is something to report, or when the notifier is notified. False if there is
    /// work already.
    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool;
}

/// A buffer ring: the kernel's side of a pool whose buffers the kernel picks.
pub(crate) trait BufferRing {
    /// The buffer group ID, which requests name.
    fn group(&self) -> u16;

    /// Offers a buffer to the kernel.
    ///
    /// # Safety
    ///
    /// There are `len` bytes at `start`. No other code uses them until the kernel has returned the buffer
    /// with this ID, or the ring has been dropped.
    unsafe fn put(&self, id: u16, start: *mut u8, len: u32);

    /// Whether the stream is at EOF, possibly behind unread bytes; true if the kernel does not report it.
    /// A multishot receive may miss the EOF and continue to wait.
    fn has_ended(&self, fd: RawFd) -> bool;
}

/// The buffer that a backend picks if it receives by system calls of its own
/// ([`Net::RecvPooled`](crate::request::Net::RecvPooled)).
pub(crate) trait PickBuffer {
    /// Picks a free buffer, if there is one.
    ///
    /// # Safety
    ///
    /// The operation is in flight, and its backend has not picked a buffer yet.
    unsafe fn pick(this: *mut Self) -> Option<Span>;

    /// Returns the picked buffer, since no data was received.
    ///
    /// # Safety
    ///
    /// The operation is in flight.
    unsafe fn unpick(this: *mut Self);
}

/// The optional capabilities of a backend.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Capabilities {
    /// [`Net::AcceptMulti`](crate::request::Net::AcceptMulti).
    pub(crate) accept_multi: bool,
    /// [`Net::RecvMulti`](crate::request::Net::RecvMulti).
    pub(crate) recv_multi: bool,
    /// [`Net::SendZeroCopy`](crate::request::Net::SendZeroCopy).
    pub(crate) send_zero_copy: bool,
    /// [`Net::SendMsgZeroCopy`](crate::request::Net::SendMsgZeroCopy).
    pub(crate) send_msg_zero_copy: bool,
    /// [`Net::RecvPooled`](crate::request::Net::RecvPooled).
    pub(crate) recv_pooled: bool,
}

/// The outcome of a submission.
pub(crate) enum Submitted {
    /// A later wait reports the completion.
    InFlight,
    /// The request has completed with this result.
    Ready(RawResult),
    /// The caller passes the request to the thread pool, whose threads may block.
    ThreadPool(Request),
}

/// How to repeat a request that the kernel has cancelled on its own.
pub(crate) enum Resubmit {
    /// By `repeat` on a thread of the pool: it blocks for a limited time only. The thread decides first
    /// whether the request may be executed twice.
    ThreadPool(Request),
    /// By another submission: it may wait for a peer, and then a thread could not be interrupted.
    Kernel,
    /// Not at all: this was the request's own result, or may have been.
    Not,
}

/// A backend's report about an operation in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    /// A completion that more completions follow.
    Partial(Item),
    /// The final completion.
    Final(RawResult),
    /// The final completion, with the error of a cancel. The cancel was requested; or the kernel dropped
    /// the request for lack of a thread; or the file itself returned this error. In the second case
    /// the request has to be repeated.
    CanceledByKernel,
    /// The kernel has completed the request with EAGAIN, without any effect. The backend decides whether
    /// the request waits: see [`Backend::submit_after_would_block`].
    WouldBlock,
    /// The request has had no effect so far, and must be submitted again: its descriptor has become ready, the
    /// peer of an accept has gone before it, or the cancel of another receive has ended this one, too.
    Ready,
    /// A cancel request did not find its target, which was between two places that the kernel searches.
    /// If the target is still in flight, it must be cancelled again.
    CancelNotFound,
}
