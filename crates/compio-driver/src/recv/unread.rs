//! The unread data of a descriptor: the results of its dropped receives, and the count of those that the
//! kernel has not completed. `keep.rs` copies them out of the operations' buffers, and back.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    rc::Rc,
    task::{Context, Poll},
};

use compio_io::panics::discard;
use socket2::{SockAddr, Type};

use super::{RecvMode, keep::Receives};
use crate::{
    ancillary::SocketAncillary,
    buffers::{BufferPool, PooledBuffer},
    driver::Inner,
    fd::SharedFd,
    orphan::{OrphanWait, PendingOrphans},
    os_calls::socket::SocketRef,
    request::is_cancelled,
    sys::{self, AsFd},
    wait_list::Waiters,
};

/// The data of one descriptor's dropped receives.
#[derive(Default)]
pub(crate) struct Unread {
    left: RefCell<VecDeque<UnreadItem>>,
    /// The dropped receives that have not completed.
    pending_orphans: PendingOrphans,
    /// Whether the data of the pending orphans is discarded.
    is_forgetting: Cell<bool>,
    waiters: Waiters,
}

/// The result of one dropped receive.
pub(super) enum UnreadItem {
    Data(Box<UnreadData>),
    Error(io::Error),
}

/// Received data, copied out of the dropped receive's buffer.
pub(crate) struct UnreadData {
    pub(super) bytes: Vec<u8>,
    /// The number of bytes already returned; 0 for a message.
    taken: usize,
    /// Whether it is one message, which is returned whole or truncated.
    pub(super) is_message: bool,
    /// The outer `None`: the receive did not request it. The inner `None`: the sender has no address.
    pub(super) sender: Option<Option<SockAddr>>,
    pub(super) ancillary: SocketAncillary,
    pub(super) flags: i32,
}

impl Unread {
    /// Whether the next data is unknown, because the kernel still has a dropped receive.
    pub(crate) fn has_pending_orphans(&self) -> bool {
        let has_some = self.pending_orphans.has_some();
        if !has_some {
            self.is_forgetting.set(false);
        }
        has_some
    }

    /// Waits until the kernel has completed the dropped receives, or until the driver refuses new
    /// operations. `wait` is called only if there are pending orphans.
    pub(crate) fn poll_settled<'a>(
        &self,
        driver: &Rc<Inner>,
        cx: &mut Context<'_>,
        wait: impl FnOnce() -> &'a mut OrphanWait,
    ) -> Poll<()> {
        let is_over = || !self.has_pending_orphans() || driver.refusal().is_some();
        if is_over() {
            return Poll::Ready(());
        }
        wait().listen(driver, cx, &self.waiters);
        self.pending_orphans.pump_others(driver, cx.waker());
        // User code of a waker has run: it may have turned the driver.
        if is_over() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether there is unread data or an error.
    pub(crate) fn has_some(&self) -> bool {
        !self.left.borrow().is_empty()
    }

    /// Discards the unread data, and the data of the pending orphans when they complete.
    pub(crate) fn forget(&self) {
        self.is_forgetting.set(self.has_pending_orphans());
        // Descriptors are closed with nothing borrowed.
        drop(self.left.take());
    }

    fn put(&self, left: UnreadItem) {
        if !self.is_forgetting.get() {
            self.left.borrow_mut().push_back(left);
        }
    }

    /// A receive of this driver is about to be dropped. [`orphan_done`](Self::orphan_done) follows.
    pub(crate) fn orphan_added(&self, driver: &Rc<Inner>) {
        self.pending_orphans.add(driver);
    }

    /// An orphan has completed, and its data has been stored.
    pub(super) fn orphan_done(&self) {
        self.pending_orphans.remove();
        if !self.pending_orphans.has_some() {
            self.is_forgetting.set(false);
        }
        if let Some(panic) = self.waiters.wake() {
            // The panic hook has reported it, and a destructor must not panic.
            discard(panic);
        }
    }

    /// The next item that an `O` can return.
    pub(super) fn next_for<O: Receives>(&self) -> Option<UnreadItem> {
        let mut left = self.left.borrow_mut();
        let suits = |left: &UnreadItem| match left {
            UnreadItem::Data(arrival) => {
                !O::HAS_SENDER || !arrival.is_message || arrival.sender.is_some()
            }
            UnreadItem::Error(_) => true,
        };
        let place = left.iter().position(suits)?;
        left.remove(place)
    }

    /// Makes the output of an operation that has not begun from an unread item.
    pub(super) fn deliver<O: Receives>(
        &self,
        left: UnreadItem,
        operation: O,
        mode: RecvMode,
    ) -> O::Output {
        /// Puts the data back, unless all of it has been delivered: also if user code of the buffer panics.
        struct Delivery<'a> {
            unread: &'a Unread,
            arrival: Option<Box<UnreadData>>,
        }
        impl Drop for Delivery<'_> {
            fn drop(&mut self) {
                if let Some(arrival) = self.arrival.take() {
                    let mut left = self.unread.left.borrow_mut();
                    left.push_front(UnreadItem::Data(arrival));
                }
            }
        }
        let arrival = match left {
            // SAFETY: an error; the operation was never submitted.
            UnreadItem::Error(error) => return unsafe { operation.finish(Err(error)) },
            UnreadItem::Data(arrival) => arrival,
        };
        let mut delivery = Delivery {
            unread: self,
            arrival: None,
        };
        let arrival = delivery.arrival.insert(arrival);
        let nothing = io::Error::from_raw_os_error(sys::ECANCELED);
        // SAFETY: as above.
        let mut output = unsafe { operation.finish(Err(nothing)) };
        // User code of the buffer: nothing is borrowed.
        let given = O::fill(&mut output, arrival);
        let is_over = match mode {
            RecvMode::Peek | RecvMode::Beside => false,
            RecvMode::Consume if arrival.is_message => true,
            RecvMode::Consume => {
                arrival.taken += given;
                arrival.taken == arrival.bytes.len()
            }
        };
        if is_over {
            delivery.arrival = None;
        }
        output
    }

    /// The next bytes of a stream, in a detached buffer of the pool's type; `Ok(None)` at EOF.
    pub(crate) fn next_pooled(
        &self,
        pool: &BufferPool,
    ) -> Option<io::Result<Option<PooledBuffer>>> {
        let mut left = self.left.borrow_mut();
        match left.pop_front()? {
            UnreadItem::Error(error) => Some(Err(error)),
            UnreadItem::Data(arrival) if arrival.rest().is_empty() => Some(Ok(None)),
            UnreadItem::Data(mut arrival) => {
                let buffer = pool.beside(arrival.rest());
                arrival.taken += buffer.len();
                if !arrival.is_message && !arrival.rest().is_empty() {
                    left.push_front(UnreadItem::Data(arrival));
                }
                Some(Ok(Some(buffer)))
            }
        }
    }
}

impl UnreadData {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread")
            .field("count", &self.left.borrow().len())
            .field("pending_orphans", &self.pending_orphans)
            .finish_non_exhaustive()
    }
}

/// The destination of unread data.
pub(crate) struct UnreadSink<'a> {
    pub(super) unread: &'a Unread,
    pub(super) fd: &'a SharedFd,
}

impl UnreadSink<'_> {
    /// Stores bytes of a receive that had room for some.
    pub(super) fn put(&self, bytes: Vec<u8>, about: MsgMeta) {
        let socket = SocketRef::new(self.fd.as_fd());
        let kind = socket.r#type().ok();
        let is_message = kind.is_some_and(|kind| kind != Type::STREAM);
        if kind.is_some() && !is_message && bytes.is_empty() {
            // The kernel reports EOF to every receive.
            return;
        }
        let peer = || socket.peer_addr().ok().map(Some);
        let arrival = UnreadData {
            bytes,
            taken: 0,
            is_message,
            sender: about.sender.or_else(|| is_message.then(peer).flatten()),
            ancillary: about.ancillary,
            flags: about.flags,
        };
        self.unread.put(UnreadItem::Data(Box::new(arrival)));
    }

    /// Stores an error for the next receive if the system reports it once. Other errors concern the
    /// moment or the arguments of one call, and are dropped.
    pub(super) fn put_error(&self, error: io::Error) {
        let said_once = [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkDown,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::TimedOut,
        ];
        // On Windows, a timeout and a cancellation have the same error kind.
        if said_once.contains(&error.kind()) && !is_cancelled(&error) {
            self.unread.put(UnreadItem::Error(error));
        }
    }
}

/// The metadata of received bytes.
#[derive(Default)]
pub(super) struct MsgMeta {
    pub(super) sender: Option<Option<SockAddr>>,
    pub(super) ancillary: SocketAncillary,
    pub(super) flags: i32,
}
