//! Multishot operations, and a receive that picks its buffer late. The streams of `stream.rs` poll them.

use std::{collections::VecDeque, io, mem};

use compio_io::buf::IoBuf;

use super::{buffer::readable, flags::Flags};
use crate::{
    buffers::{BufferPool, Chain, Choice, PooledBuffer},
    fd::{OwnsFd, SharedFd},
    operation::{Multishot, Operation, Owned},
    request::{Item, Net, Request, to_result},
    sys::{self, AsRawFd, OwnedFd},
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
    /// The last connection; `None` after [`AHEAD_MAX`] items. Connections that were not taken are closed.
    type Output = io::Result<Option<OwnedFd>>;

    fn request(&mut self) -> Request {
        Request::Net(Net::AcceptMulti {
            fd: self.fd.as_raw_fd(),
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        // SAFETY: the result is a new descriptor, which has no other owner.
        let last = answer.map(|fd| Some(unsafe { sys::own_socket(fd) }));
        unless_enough(self.had_enough, last)
    }
}

// SAFETY: the request points to nothing; a queue runs no user code.
unsafe impl<F: OwnsFd> Multishot for AcceptMulti<F> {
    type Item = OwnedFd;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the kernel uses nothing of the operation.
        let this = unsafe { &mut *this };
        let Ok(fd) = item.answer else { return false };
        // SAFETY: the result is a new descriptor.
        this.accepted
            .push_back(unsafe { sys::own_socket(fd as usize) });
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
            received: Chain::default(),
            had_enough: false,
        }
    }
}

// SAFETY: the request points to nothing; the pool, which the kernel writes to, is held.
unsafe impl<F: OwnsFd> Operation for RecvMulti<F> {
    /// `Some(0)` at EOF; `None` after [`AHEAD_MAX`] items. And the buffers that were not taken.
    type Output = (io::Result<Option<usize>>, Chain);

    fn request(&mut self) -> Request {
        let (fd, group) = (self.fd.as_raw_fd(), self.group);
        self.flags
            .apply(|flags| Request::Net(Net::RecvMulti { fd, group, flags }))
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
    choice: Choice,
}

impl<F> RecvPooled<F> {
    pub(crate) fn new(fd: F, pool: BufferPool, flags: i32) -> Self {
        Self {
            fd,
            choice: Choice::of(&pool),
            pool,
            // As for [`RecvMulti`].
            flags: Flags::of_receive(flags),
        }
    }
}

// SAFETY: the request points to `choice` in the operation, which stays in place. The operation owns a handle
// of the choice's pool.
unsafe impl<F: OwnsFd> Operation for RecvPooled<F> {
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

/// Sends without copying: the kernel uses the buffer until a second completion after the result.
pub(crate) struct SendZeroCopy<B> {
    /// `Some` until the first completion: the connection must not stay open for the second one, which may
    /// wait for a peer that does not read.
    fd: Option<SharedFd>,
    buffer: B,
    flags: Flags,
    /// The result of the first completion.
    sent: Option<io::Result<usize>>,
}

impl<B: IoBuf> SendZeroCopy<B> {
    pub(crate) fn new(fd: SharedFd, buffer: B, flags: i32) -> Self {
        Self {
            fd: Some(fd),
            buffer,
            flags: Flags::of_send(flags),
            sent: None,
        }
    }
}

// SAFETY: the request points to the buffer, which is owned.
unsafe impl<B: IoBuf> Operation for SendZeroCopy<B> {
    /// The result (if the only completion had it) and the buffer.
    type Output = (io::Result<usize>, B);

    fn request(&mut self) -> Request {
        let fd = self.fd.as_ref().expect("not begun yet");
        let (fd, span) = (fd.as_raw_fd(), readable(&self.buffer));
        self.flags
            .apply(|flags| Request::Net(Net::SendZeroCopy { fd, span, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffer)
    }
}

// SAFETY: while the kernel uses the buffer, only the other fields are accessed; closing a descriptor runs no
// user code.
unsafe impl<B: IoBuf> Multishot for SendZeroCopy<B> {
    type Item = io::Result<usize>;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the buffer is not touched.
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
