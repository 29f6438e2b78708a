//! Unread data on its way: from a dropped receive to the store, and from there to the next receive.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll},
};

use socket2::Type;

use super::{
    RecvMode,
    unread::{MsgMeta, Unread, UnreadData, UnreadItem},
};
use crate::{
    ancillary::SocketAncillary,
    buffers::{BufferPool, PooledBuffer},
    driver::Core,
    fd::SharedFd,
    operation::{Operation, Owned},
    orphan::OrphanWait,
    os_calls::socket::SocketRef,
    request::is_cancelled,
    sys::{self, AsFd},
};

/// An operation whose result can be kept as unread data.
pub(crate) trait KeepsUnread: Operation {
    /// The descriptor that it receives from.
    fn fd(&self) -> &SharedFd;

    /// Stores the received data or error, unless the kernel would report it again.
    fn keep(output: &mut Self::Output, sink: &UnreadSink<'_>);
}

/// An operation that unread data can complete.
pub(crate) trait Receives: Owned + KeepsUnread {
    /// Whether its output contains the sender of a message.
    const HAS_SENDER: bool = false;

    /// Copies unread data into the output of an operation that has received nothing. Returns the number of
    /// bytes copied.
    fn fill(output: &mut Self::Output, arrival: &mut UnreadData) -> usize;
}

impl Unread {
    /// Waits until the kernel has completed the dropped receives, or until the driver refuses new
    /// operations. `wait` is called only if there are pending orphans.
    pub(crate) fn poll_settled<'a>(
        &self,
        driver: &Rc<Core>,
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

    /// Stores bytes of a stream that were received before all others here.
    pub(crate) fn put_back(&self, bytes: &[u8]) {
        let arrival = UnreadData {
            bytes: bytes.to_vec(),
            taken: 0,
            is_message: false,
            sender: None,
            ancillary: SocketAncillary::new(),
            flags: 0,
        };
        let mut left = self.left.borrow_mut();
        left.push_front(UnreadItem::Data(Box::new(arrival)));
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
