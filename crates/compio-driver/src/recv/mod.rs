//! Receives that lose no data when their future is dropped.
//!
//! When a future is dropped, the kernel may already have put bytes into its buffer, and no other copy of
//! them exists. They are stored beside the [`SharedFd`] as unread data, for its next receive:
//!
//! ```text
//!                     +-- unread data? ----> Ready
//!  Receive, not begun +-- pending orphan? -> waits until the orphan has completed
//!                     +-- else ------------> Submit --> Ready
//!                                              | dropped: a pending orphan until its completion
//!                                              v
//!                                           on_orphaned: unread data
//! ```
//!
//! On a descriptor without orphaned receives, the extra cost of a receive is one check for unread data.
//!
//! This file has the futures. `unread.rs` has the unread data of a descriptor, `delivery.rs` stores and returns
//! it, and `keep.rs` has the copies between it and the buffers of each operation.

mod delivery;
mod keep;
mod unread;

use std::{
    borrow::Borrow,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use compio_io::buf::{BufResult, IoBufMut, IoVectoredBufMut};
use socket2::SockAddr;

pub(crate) use self::{delivery::Receives, keep::LosslessRecv, unread::Unread};
use crate::{
    ancillary::SocketAncillary,
    driver::{Core, Driver},
    fd::SharedFd,
    op::{Nop, ReadAt, ReadVectoredAt, Received, Recv, RecvAncillary, RecvFrom, RecvMsg},
    operation::Operation,
    orphan::OrphanWait,
    submit::Submit,
    sys,
};

/// Receives that lose nothing: if the future of a receive is dropped, the next receive from the same
/// [`SharedFd`] returns its data. The next receive waits until the orphaned one has completed.
///
/// Bytes of a stream are returned in order, as many at a time as there is room for. A datagram is returned
/// whole, with its sender and its ancillary data, as far as the dropped receive had room for them. An error
/// that the system reports once, such as a connection reset, is returned as well. Only receives that begin
/// afterwards see this data; a receive that is already pending does not.
impl Driver {
    /// Receives from a socket into a buffer, from its start over its whole capacity.
    pub fn receive<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        let receive = Recv::new(fd.clone(), buffer, 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// As [`receive`](Self::receive), but leaves the data: the next receive returns it again.
    pub fn peek<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        let peek = Recv::new(fd.clone(), buffer, sys::MSG_PEEK);
        Receive::new(self, fd, peek, RecvMode::Peek)
    }

    /// Receives a datagram and its sender's address. Skips an unread datagram of a dropped
    /// [`receive`](Self::receive) on a socket without a peer: its sender is unknown. The next `receive`
    /// returns it.
    pub fn receive_from<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<(usize, Option<SockAddr>), B>> + Unpin + use<'a, B> {
        let receive = RecvFrom::new(fd.clone(), buffer, 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// As [`receive_from`](Self::receive_from), but leaves the datagram.
    pub fn peek_from<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<(usize, Option<SockAddr>), B>> + Unpin + use<'a, B> {
        let peek = RecvFrom::new(fd.clone(), buffer, sys::MSG_PEEK);
        Receive::new(self, fd, peek, RecvMode::Peek)
    }

    /// Receives into several buffers, one after the other. Returns the sender's address as well.
    pub fn receive_vectored<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
    ) -> impl Future<Output = BufResult<Received, (V, [u8; 0])>> + Unpin + use<'a, V> {
        let receive = RecvMsg::new(fd.clone(), buffers, [0; 0], 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// Receives into several buffers, with ancillary data. Unread ancillary data is returned in the buffer
    /// of the dropped receive. Unread data of a receive without ancillary data has none here either.
    pub fn receive_ancillary<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> impl Future<Output = BufResult<Received, (V, SocketAncillary)>> + Unpin + use<'a, V> {
        let receive = RecvAncillary::new(fd.clone(), buffers, ancillary, 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// Reads from a descriptor without positions, such as a pipe, into a buffer, from its start over its
    /// whole capacity.
    pub fn read<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        let read = ReadAt::at_cursor(fd.clone(), buffer);
        Receive::new(self, fd, read, RecvMode::Consume)
    }

    /// As [`read`](Self::read), into several buffers, one after the other.
    pub fn read_vectored<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
    ) -> impl Future<Output = BufResult<usize, V>> + Unpin + use<'a, V> {
        let read = ReadVectoredAt::at_cursor(fd.clone(), buffers);
        Receive::new(self, fd, read, RecvMode::Consume)
    }

    /// Waits until the operations of dropped futures have completed, so that
    /// [`SharedFd::try_unwrap`] finds no other owner than the handles of the descriptor. Returns
    /// whether there is unread data: the next receive returns it at once.
    ///
    /// A cancelled send completes within a few turns of the driver. `settle` waits no longer than that for
    /// operations other than receives.
    pub fn settle<'a>(&self, fd: &'a SharedFd) -> impl Future<Output = bool> + use<'a> {
        /// A cancelled operation on a socket or pipe takes one or two turns.
        const TURNS_MAX: usize = 64;
        let driver = self.share();
        async move {
            if let Some(unread) = fd.unread() {
                let mut orphan_wait = OrphanWait::default();
                poll_fn(|cx| unread.poll_settled(&driver, cx, || &mut orphan_wait)).await;
            }
            for _ in 0..TURNS_MAX {
                if !fd.is_shared() || Submit::new(Rc::clone(&driver), Nop::new()).await.is_err() {
                    break;
                }
            }
            fd.unread().is_some_and(Unread::has_some)
        }
    }
}

/// Whether a receive consumes its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecvMode {
    Consume,
    Peek,
    /// The data is not part of the bytes that other receives wait for: out-of-band data, or errors.
    Beside,
}

impl RecvMode {
    /// The mode of a receive with these `MSG_` flags.
    pub(crate) fn of(flags: i32) -> Self {
        if flags & sys::BESIDE_THE_BYTES != 0 {
            Self::Beside
        } else if flags & sys::MSG_PEEK != 0 {
            Self::Peek
        } else {
            Self::Consume
        }
    }
}

/// A receive by an `O` as a future. `F` is the descriptor, or a reference to it.
pub(crate) struct Receive<F: Borrow<SharedFd>, O: Receives> {
    submit: Submit<LosslessRecv<O>>,
    fd: F,
    mode: RecvMode,
    /// Present only while there are pending orphans.
    orphan_wait: Option<Box<OrphanWait>>,
}

impl<F: Borrow<SharedFd>, O: Receives> Receive<F, O> {
    pub(crate) fn new(driver: &Driver, fd: F, operation: O, mode: RecvMode) -> Self {
        Self::by(driver.share(), fd, operation, mode)
    }

    /// `operation` receives from `fd`.
    pub(crate) fn by(driver: Rc<Core>, fd: F, operation: O, mode: RecvMode) -> Self {
        Self {
            submit: Submit::new(driver, LosslessRecv::new(operation, mode)),
            fd,
            mode,
            orphan_wait: None,
        }
    }

    /// Requests its cancellation, as [`Submit::cancel`].
    pub(crate) fn cancel(&self) {
        self.submit.cancel();
    }

    /// The output made of unread data, or of the error if the driver refuses new operations. `None` if
    /// the operation has to begin.
    #[cold]
    fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<Option<O::Output>> {
        let driver = self.submit.driver();
        if let Some(unread) = self.fd.borrow().unread() {
            let wait = &mut self.orphan_wait;
            ready!(unread.poll_settled(driver, cx, || wait.get_or_insert_default()));
        }
        self.orphan_wait = None;
        let refusal = self.submit.driver().refusal();
        let unread = self.fd.borrow().unread();
        Poll::Ready(match (refusal, unread) {
            (Some(error), _) => {
                let operation = self.submit.take_unstarted();
                // SAFETY: an error; the operation was never submitted.
                operation.map(|operation| unsafe { operation.finish(Err(error)) })
            }
            (None, Some(unread)) => unread.next_for::<O>().and_then(|left| {
                let operation = self.submit.take_unstarted()?.into_inner();
                Some(unread.deliver(left, operation, self.mode))
            }),
            (None, None) => None,
        })
    }
}

/// The operation is moved to its cell before it is used in place: nothing in here is pinned.
impl<F: Borrow<SharedFd>, O: Receives> Unpin for Receive<F, O> {}

impl<F: Borrow<SharedFd>, O: Receives> Future for Receive<F, O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = &mut *self;
        if this.fd.borrow().unread().is_some()
            && this.mode != RecvMode::Beside
            && this.submit.is_idle()
            && let Some(output) = ready!(this.poll_unread(cx))
        {
            return Poll::Ready(output);
        }
        Pin::new(&mut this.submit).poll(cx)
    }
}

impl<F: Borrow<SharedFd>, O: Receives> Drop for Receive<F, O> {
    fn drop(&mut self) {
        if self.submit.is_pending() && self.mode == RecvMode::Consume {
            // Before it is abandoned, which may complete it at once.
            let unread = self.fd.borrow().unread_or_new();
            unread.orphan_added(self.submit.driver());
        }
    }
}

impl<F: Borrow<SharedFd>, O: Receives> fmt::Debug for Receive<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receive").field(&self.submit).finish()
    }
}
