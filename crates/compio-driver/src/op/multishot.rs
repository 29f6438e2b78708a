//! Multishot operations, and a receive that picks its buffer late. The streams of `stream/` poll them.

use std::{collections::VecDeque, io, mem};

use compio_io::buf::{IntoInner, IoBuf, IoVectoredBuf};

use super::{Send, SendMsg, SendTo, flags::Flags};
use crate::{
    buffers::{BufferPick, BufferPool, Chain, PooledBuffer},
    fd::{OwnsFd, SharedFd},
    metrics::OpKind,
    multishot::Ends,
    operation::{Multishot, Operation, Owned},
    request::{Item, Net, Request, to_result},
    sys::{self, AsRawFd, Capabilities, OwnedFd, RawFd},
};

/// The maximal number of items that were not taken: a stream that is no longer polled must not use up
/// descriptors or buffers. The limit is not exact, since the kernel completes in bursts.
const AHEAD_MAX: usize = 32;

/// Accepts connections until it is cancelled or fails.
pub(crate) struct AcceptMulti<F> {
    fd: F,
    accepted: VecDeque<OwnedFd>,
    /// Whether it was cancelled because of [`AHEAD_MAX`].
    had_enough: bool,
}

impl<F> AcceptMulti<F> {
    pub(crate) fn new(fd: F) -> Self {
        Self {
            fd,
            accepted: VecDeque::new(),
            had_enough: false,
        }
    }

    /// The connections that were not taken. The kernel does not use the operation any more.
    pub(crate) fn take_all(&mut self) -> VecDeque<OwnedFd> {
        mem::take(&mut self.accepted)
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: OwnsFd> Operation for AcceptMulti<F> {
    describe!(Accept, fd);
    /// The last connection; `None` after [`AHEAD_MAX`] items. Connections that were not taken are closed.
    type Output = io::Result<Option<OwnedFd>>;

    fn request(&mut self) -> Request {
        Request::Net(Net::AcceptMulti {
            fd: self.fd.as_raw_fd(),
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        // SAFETY: the result is a new descriptor, which has no other owner.
        let last = answer.map(|fd| Some(unsafe { sys::socket_from_raw(fd) }));
        unless_enough(self.had_enough, last)
    }
}

// SAFETY: the request points to nothing; a queue runs no user code.
unsafe impl<F: OwnsFd> Multishot for AcceptMulti<F> {
    type Item = OwnedFd;

    #[inline]
    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the kernel uses nothing of the operation.
        let this = unsafe { &mut *this };
        let Ok(fd) = item.answer else { return false };
        // SAFETY: the result is a new descriptor.
        this.accepted
            .push_back(unsafe { sys::socket_from_raw(fd as usize) });
        let is_enough = this.accepted.len() == AHEAD_MAX;
        this.had_enough |= is_enough;
        is_enough
    }

    unsafe fn next(this: *mut Self) -> Option<OwnedFd> {
        // SAFETY: by this function's contract.
        unsafe { (*this).accepted.pop_front() }
    }
}

/// Receives from a stream until EOF, into buffers of a pool.
pub(crate) struct RecvMulti<F> {
    pub(crate) fd: F,
    pool: BufferPool,
    group: u16,
    flags: Flags,
    /// Whether it ends after the first item.
    once: bool,
    received: Chain,
    /// As for [`AcceptMulti`].
    had_enough: bool,
}

impl<F> RecvMulti<F> {
    /// `group` is the pool's buffer group.
    pub(crate) fn new(fd: F, pool: BufferPool, group: u16, flags: i32) -> Self {
        Self {
            fd,
            pool,
            group,
            // Without `MSG_TRUNC`, which could return more bytes than were written to the buffer.
            flags: Flags::of_receive(flags),
            once: false,
            received: Chain::default(),
            had_enough: false,
        }
    }

    /// Ends it after the first item.
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

// SAFETY: the request points to nothing; the pool, which the kernel writes to, is held.
unsafe impl<F: OwnsFd> Operation for RecvMulti<F> {
    describe!(Recv, fd);
    /// `Some(0)` at EOF; `None` after [`AHEAD_MAX`] items. And the buffers that were not taken.
    type Output = (io::Result<Option<usize>>, Chain);

    fn request(&mut self) -> Request {
        let (fd, group, once) = (self.fd.as_raw_fd(), self.group, self.once);
        self.flags.apply(|flags| {
            Request::Net(Net::RecvMulti {
                fd,
                group,
                flags,
                once,
            })
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let last = unless_enough(self.had_enough, answer.map(Some));
        (last, self.received)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for RecvMulti<F> {}

// SAFETY: the request points to nothing; a queue runs no user code, and nothing is dropped.
unsafe impl<F: OwnsFd> Multishot for RecvMulti<F> {
    type Item = PooledBuffer;

    #[inline]
    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the kernel uses nothing of the operation.
        let this = unsafe { &mut *this };
        let Some(id) = item.buffer else { return false };
        // SAFETY: the kernel has filled the buffer with that many bytes.
        let buffer = unsafe { this.pool.adopt(id, item.answer.unwrap_or(0)) };
        this.received.push(buffer);
        let is_enough = this.received.len() == AHEAD_MAX;
        this.had_enough |= is_enough;
        is_enough
    }

    unsafe fn next(this: *mut Self) -> Option<PooledBuffer> {
        // SAFETY: by this function's contract.
        unsafe { (*this).received.pop() }
    }
}

/// Receives from a stream, into a buffer of a pool that is picked when data is available.
pub(crate) struct RecvPooled<F> {
    pub(crate) fd: F,
    pool: BufferPool,
    flags: Flags,
    choice: BufferPick,
}

impl<F> RecvPooled<F> {
    pub(crate) fn new(fd: F, pool: BufferPool, flags: i32) -> Self {
        Self {
            fd,
            choice: BufferPick::of(&pool),
            pool,
            // As for [`RecvMulti`].
            flags: Flags::of_receive(flags),
        }
    }
}

// SAFETY: the request points to `choice` in the operation, which stays in place. The operation owns a handle
// of the choice's pool.
unsafe impl<F: OwnsFd> Operation for RecvPooled<F> {
    describe!(Recv, fd);
    /// No buffer at EOF.
    type Output = io::Result<Option<PooledBuffer>>;

    fn request(&mut self) -> Request {
        let choice = &raw mut self.choice;
        let (fd, room) = (self.fd.as_raw_fd(), self.pool.buffer_size() as u32);
        self.flags.apply(|flags| {
            Request::Net(Net::RecvPooled {
                fd,
                choice,
                room,
                flags,
            })
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let len = answer.as_ref().map_or(0, |len| *len as u32);
        // SAFETY: the backend has picked it for this operation, and filled it with that many bytes.
        let adopt = |id| unsafe { self.pool.adopt(id, len) };
        let buffer = self.choice.chosen().map(adopt);
        answer.map(|_| buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for RecvPooled<F> {}

/// Replaces the error of a cancel because of [`AHEAD_MAX`] by `Ok(None)`.
fn unless_enough<T>(had_enough: bool, last: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match last {
        Err(error) if had_enough && error.raw_os_error() == Some(sys::ECANCELED) => Ok(None),
        last => last,
    }
}

/// An ordinary send, whose request has a zero-copy form. It names its descriptor by number:
/// [`SendZeroCopy`] owns the descriptor.
pub(crate) trait ZeroCopySend: Operation {
    type Buffers: 'static;

    /// Whether the backend has the zero-copy form.
    fn is_supported(capabilities: Capabilities) -> bool;

    /// Its buffers. The kernel does not use the operation any more.
    fn into_buffers(self) -> Self::Buffers;
}

impl<B: IoBuf> ZeroCopySend for Send<B, RawFd> {
    type Buffers = B;

    fn is_supported(capabilities: Capabilities) -> bool {
        capabilities.send_zero_copy
    }

    fn into_buffers(self) -> B {
        self.into_inner()
    }
}

impl<B: IoBuf> ZeroCopySend for SendTo<B, RawFd> {
    type Buffers = B;

    fn is_supported(capabilities: Capabilities) -> bool {
        capabilities.send_msg_zero_copy
    }

    fn into_buffers(self) -> B {
        self.into_inner()
    }
}

impl<V: IoVectoredBuf> ZeroCopySend for SendMsg<V, [u8; 0], RawFd> {
    type Buffers = V;

    fn is_supported(capabilities: Capabilities) -> bool {
        capabilities.send_msg_zero_copy
    }

    fn into_buffers(self) -> V {
        self.into_inner().0
    }
}

/// Sends without copying: the kernel uses the buffers until a second completion after the result. Or sends
/// a copy, with one completion.
pub(crate) struct SendZeroCopy<S> {
    /// `Some` until the first completion: the connection must not stay open for the second one, which may
    /// wait for a peer that does not read.
    fd: Option<SharedFd>,
    send: S,
    is_copying: bool,
    /// The result of the first completion.
    sent: Option<io::Result<usize>>,
}

impl<S: ZeroCopySend> SendZeroCopy<S> {
    /// `send` uses the number of `fd`.
    pub(crate) fn new(fd: SharedFd, send: S, is_copying: bool) -> Self {
        Self {
            fd: Some(fd),
            send,
            is_copying,
            sent: None,
        }
    }
}

// SAFETY: the request points to the memory of the inner operation, which does not move in here.
unsafe impl<S: ZeroCopySend> Operation for SendZeroCopy<S> {
    /// The result (if the only completion had it) and the send with its buffers, which can be submitted
    /// again.
    type Output = (io::Result<usize>, S);

    const KIND: OpKind = S::KIND;

    /// Only until the first completion: the inner operation has the number of a descriptor that may be closed since.
    unsafe fn descriptor(this: *const Self) -> Option<RawFd> {
        // SAFETY: by this function's contract; of the operation only this field is used, which the kernel does not know.
        let fd = unsafe { &(*this).fd };
        fd.as_ref().map(AsRawFd::as_raw_fd)
    }

    fn request(&mut self) -> Request {
        let mut request = self.send.request();
        if !self.is_copying
            && let Request::Net(net) = &mut request
        {
            *net = without_copying(*net);
        }
        request
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.send)
    }
}

/// The zero-copy form of a send.
fn without_copying(net: Net) -> Net {
    match net {
        Net::Send { fd, span, flags } => Net::SendZeroCopy { fd, span, flags },
        Net::SendMsg { fd, message, flags } => Net::SendMsgZeroCopy { fd, message, flags },
        Net::Connect { .. }
        | Net::Accept { .. }
        | Net::Recv { .. }
        | Net::RecvMsg { .. }
        | Net::AcceptMulti { .. }
        | Net::RecvMulti { .. }
        | Net::RecvPooled { .. }
        | Net::SendZeroCopy { .. }
        | Net::SendMsgZeroCopy { .. } => unreachable!("only sends have one"),
    }
}

// SAFETY: while the kernel uses the inner operation, only the other fields are accessed; closing a
// descriptor runs no user code.
unsafe impl<S: ZeroCopySend> Multishot for SendZeroCopy<S> {
    type Item = io::Result<usize>;

    #[inline]
    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the inner operation is not touched.
        unsafe {
            (*this).sent = Some(to_result(item.answer));
            (*this).fd = None;
        }
        false
    }

    unsafe fn awaits_notification(this: *mut Self) -> bool {
        // SAFETY: by this function's contract; of the operation only this field is used.
        unsafe { (*this).fd.is_none() }
    }

    unsafe fn next(this: *mut Self) -> Option<io::Result<usize>> {
        // SAFETY: by this function's contract; of the operation only this field is used.
        let sent = unsafe { &mut (*this).sent };
        sent.take()
    }
}

impl<S: ZeroCopySend> Ends for SendZeroCopy<S> {
    type End = S::Buffers;

    fn end_of((_, send): Self::Output) -> S::Buffers {
        send.into_buffers()
    }
}
