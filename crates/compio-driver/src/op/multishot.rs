//! Operations that the kernel answers several times, and a receive that chooses its buffer late. They
//! are polled by the streams of `stream.rs`.

use std::{collections::VecDeque, io, mem, rc::Rc};

use compio_io::buf::IoBuf;

use super::{buffer::readable, flags::Flags};
use crate::{
    accept::AcceptQueue,
    arena::to_result,
    buffers::{BufferPool, Chain, Choice, PooledBuffer},
    fd::{OwnsFd, SharedFd},
    operation::{Multishot, Operation, Owned},
    request::{Item, Net, Request},
    sys::{self, AsRawFd, OwnedFd},
};

/// How many answers may have come that nobody has asked for: whoever asks no more is not to use up
/// descriptors or buffers that others want. It is not exact, since the kernel answers in bursts.
const AHEAD_MAX: usize = 32;

/// Accepts connections until it is given up or fails.
pub(crate) struct AcceptMulti<F> {
    fd: F,
    kept: Rc<AcceptQueue>,
    accepted: VecDeque<OwnedFd>,
    /// Whether it was given up for that reason.
    had_enough: bool,
}

/// The end of an [`AcceptMulti`]. If it is dropped, all connections are kept for the next accept.
pub(crate) struct AcceptEnd {
    /// The last connection, or why there are no more; or None, if there were enough for now.
    last: Option<io::Result<Option<OwnedFd>>>,
    /// Connections that the stream has not taken.
    rest: VecDeque<OwnedFd>,
    kept: Rc<AcceptQueue>,
}

impl AcceptEnd {
    /// The last answer. The connections before it have been taken.
    pub(crate) fn into_inner(mut self) -> io::Result<Option<OwnedFd>> {
        self.last.take().expect("taken once")
    }
}

impl Drop for AcceptEnd {
    fn drop(&mut self) {
        if let Some(last) = self.last.take() {
            let rest = mem::take(&mut self.rest);
            let all = rest.into_iter().chain(last.ok().flatten());
            self.kept.orphan_done(all.map(|fd| (fd, None)));
        }
    }
}

impl<F> AcceptMulti<F> {
    /// `kept` takes the connections that the stream does not take.
    pub(crate) fn new(fd: F, kept: Rc<AcceptQueue>) -> Self {
        Self {
            fd,
            kept,
            accepted: VecDeque::new(),
            had_enough: false,
        }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: OwnsFd> Operation for AcceptMulti<F> {
    type Output = AcceptEnd;

    fn request(&mut self) -> Request {
        Request::Net(Net::AcceptMulti {
            fd: self.fd.as_raw_fd(),
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        // SAFETY: the answer is a new descriptor that nobody else knows.
        let last = answer.map(|fd| Some(unsafe { sys::own_socket(fd) }));
        AcceptEnd {
            last: Some(unless_enough(self.had_enough, last)),
            rest: self.accepted,
            kept: self.kept,
        }
    }
}

// SAFETY: the request points to nothing; a queue runs no code of others.
unsafe impl<F: OwnsFd> Multishot for AcceptMulti<F> {
    type Item = OwnedFd;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the kernel uses nothing of the operation.
        let this = unsafe { &mut *this };
        let Ok(fd) = item.answer else { return false };
        // SAFETY: the answer is a new descriptor.
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

/// Receives from a stream until its end, into buffers of a pool.
pub(crate) struct RecvMulti<F> {
    fd: F,
    pool: BufferPool,
    group: u16,
    flags: Flags,
    received: Chain,
    /// As for [`AcceptMulti`].
    had_enough: bool,
}

impl<F> RecvMulti<F> {
    /// `group` is what requests call the pool.
    pub(crate) fn new(fd: F, pool: BufferPool, group: u16, flags: i32) -> Self {
        Self {
            fd,
            pool,
            group,
            // Or a buffer could be said to hold more than was written to it.
            flags: Flags::of_receive(flags),
            received: Chain::default(),
            had_enough: false,
        }
    }
}

// SAFETY: the request points to nothing; the pool, which the kernel writes to, is held.
unsafe impl<F: OwnsFd> Operation for RecvMulti<F> {
    /// 0 at the end of the stream; None, if there was enough for now. And what nobody has taken.
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

// SAFETY: the descriptor is owned by what the operation holds.
unsafe impl<F: OwnsFd> Owned for RecvMulti<F> {}

// SAFETY: the request points to nothing; a queue runs no code of others, and nothing is dropped.
unsafe impl<F: OwnsFd> Multishot for RecvMulti<F> {
    type Item = PooledBuffer;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract; the kernel uses nothing of the operation.
        let this = unsafe { &mut *this };
        let Some(id) = item.buffer else { return false };
        // SAFETY: the kernel has handed the buffer out with so many bytes in it.
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

/// Receives from a stream, into a buffer of a pool that is chosen when there is something to receive.
pub(crate) struct RecvPooled<F> {
    fd: F,
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

// SAFETY: the request points into the operation, which stays in place, to a choice of the pool that it
// holds.
unsafe impl<F: OwnsFd> Operation for RecvPooled<F> {
    /// No buffer at the end of the stream.
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
        // SAFETY: the backend has chosen it for this, with so many bytes in it.
        let adopt = |id| unsafe { self.pool.adopt(id, len) };
        let buffer = self.choice.chosen().map(adopt);
        answer.map(|_| buffer)
    }
}

// SAFETY: the descriptor is owned by what the operation holds.
unsafe impl<F: OwnsFd> Owned for RecvPooled<F> {}

/// The end of what was given up because there was enough is none.
fn unless_enough<T>(had_enough: bool, last: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match last {
        Err(error) if had_enough && error.raw_os_error() == Some(sys::ECANCELED) => Ok(None),
        last => last,
    }
}

/// Sends without copying: the kernel has the buffer for longer than it takes to say how much went.
pub(crate) struct SendZeroCopy<B> {
    /// Until the first answer: a connection is not to stay open for the sake of the second, which may
    /// wait for a peer that does not read.
    fd: Option<SharedFd>,
    buffer: B,
    flags: Flags,
    /// What the kernel said first.
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
    /// The result too, where the buffer came back at once.
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

// SAFETY: only the fields beside the buffer are used while the kernel has that; a descriptor that is
// closed runs no code of others.
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
