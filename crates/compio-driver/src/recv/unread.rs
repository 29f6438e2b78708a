//! The unread data of a descriptor: the results of its dropped receives, and the count of those that the
//! kernel has not completed. `delivery.rs` stores and returns them, `keep.rs` copies them out of the operations' buffers, and back.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    rc::Rc,
};

use compio_io::panics::discard;
use socket2::SockAddr;

use crate::{ancillary::SocketAncillary, driver::Core, orphan::PendingOrphans, wait_list::Waiters};

/// The data of one descriptor's dropped receives.
#[derive(Default)]
pub(crate) struct Unread {
    pub(super) left: RefCell<VecDeque<UnreadItem>>,
    /// The dropped receives that have not completed.
    pub(super) pending_orphans: PendingOrphans,
    /// Whether the data of the pending orphans is discarded.
    is_forgetting: Cell<bool>,
    pub(super) waiters: Waiters,
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
    pub(super) taken: usize,
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

    pub(super) fn put(&self, left: UnreadItem) {
        if !self.is_forgetting.get() {
            self.left.borrow_mut().push_back(left);
        }
    }

    /// A receive of this driver is about to be dropped. [`orphan_done`](Self::orphan_done) follows.
    pub(crate) fn orphan_added(&self, driver: &Rc<Core>) {
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

/// The metadata of received bytes.
#[derive(Default)]
pub(super) struct MsgMeta {
    pub(super) sender: Option<Option<SockAddr>>,
    pub(super) ancillary: SocketAncillary,
    pub(super) flags: i32,
}
