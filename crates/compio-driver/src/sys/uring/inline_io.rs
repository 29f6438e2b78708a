//! Inline attempts: a plain non-blocking call before a submission to the ring.
//!
//! The ring pays off if one system call submits many operations. Two kinds of requests are faster without
//! it:
//!
//! - Positioned reads from the page cache.
//! - Transfers of sockets that come one at a time, as in a server with one active connection, or on one
//!   datagram socket: the ring also needs a system call for each, and more work in the kernel. So a
//!   transfer is tried inline if no entries are pending and the last turn had at most one completion.
//!
//! Each kind has a budget of its own: see [`Budget`].

mod budget;

use self::budget::{BYTES_PER_TURN, Budget};
use crate::{
    request::{Net, RawResult, Request, Transfer},
    sys::{platform::nowait, unix::call},
};

/// The minimum cost of a socket transfer: it permits 32 transfers of each direction per turn.
const SOCKET_COST: u32 = BYTES_PER_TURN / 32;

/// The polls of ready descriptors that are answered at once, per turn.
const POLLS_PER_TURN: u32 = 32;

pub(super) struct InlineIo {
    /// The number of completions of the last turn.
    completed: u32,
    reads: Budget,
    sends: Budget,
    receives: Budget,
    polls_left: u32,
}

impl InlineIo {
    pub(super) fn new() -> Self {
        Self {
            completed: 0,
            reads: Budget::new(),
            sends: Budget::new(),
            receives: Budget::new(),
            polls_left: POLLS_PER_TURN,
        }
    }

    /// Renews the budgets, after a turn with this number of completions.
    pub(super) fn renew(&mut self, completed: u32) {
        self.completed = completed;
        self.reads.renew();
        self.sends.renew();
        self.receives.renew();
        self.polls_left = POLLS_PER_TURN;
    }

    /// Whether a poll of a ready descriptor may be answered at once.
    ///
    /// Readiness does not mean that an attempt succeeds: an entry in the error queue of a socket, for instance a time
    /// stamp, counts as an error, however full the send buffer is. Without a limit, a loop of polls and attempts
    /// would never let another task run.
    pub(super) fn takes_poll(&mut self) -> bool {
        let left = self.polls_left.checked_sub(1);
        self.polls_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Completes a request that does not have to wait. `None` if the ring should execute it.
    ///
    /// # Safety
    ///
    /// As [`call`].
    #[inline]
    pub(super) unsafe fn try_at_once(
        &mut self,
        request: &Request,
        has_pending: impl FnOnce() -> bool,
    ) -> Option<RawResult> {
        match request {
            // SAFETY: passed on from this function.
            Request::Transfer(transfer) => unsafe { self.try_read(transfer) },
            Request::Net(net) if self.completed <= 1 && !has_pending() => {
                // SAFETY: likewise.
                unsafe { self.try_socket(net) }
            }
            Request::Net(_)
            | Request::Control(_)
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Nop
            | Request::Invalid
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Blocking(_)
            | Request::Raw(_) => None,
        }
    }

    /// # Safety
    ///
    /// As [`call`].
    unsafe fn try_read(&mut self, transfer: &Transfer) -> Option<RawResult> {
        if !nowait::may_be_in_memory(transfer) || !self.reads.should_try() {
            return None;
        }
        // SAFETY: passed on from this function.
        match unsafe { nowait::read_fully(transfer) } {
            Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS | libc::ESPIPE) => {
                self.reads.record_miss();
                None
            }
            answer => {
                self.reads.record_hit(answer.unwrap_or(0));
                Some(answer)
            }
        }
    }

    /// # Safety
    ///
    /// As [`call`].
    unsafe fn try_socket(&mut self, net: &Net) -> Option<RawResult> {
        // A non-blocking transfer needs no second try, and `MSG_WAITALL` may need several calls.
        const NEITHER: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let mut net = *net;
        let budget = match &mut net {
            Net::Send { flags, .. } | Net::SendMsg { flags, .. } if *flags & NEITHER == 0 => {
                *flags |= libc::MSG_DONTWAIT;
                &mut self.sends
            }
            Net::Recv { flags, .. } | Net::RecvMsg { flags, .. } if *flags & NEITHER == 0 => {
                *flags |= libc::MSG_DONTWAIT;
                &mut self.receives
            }
            Net::Send { .. }
            | Net::SendMsg { .. }
            | Net::Recv { .. }
            | Net::RecvMsg { .. }
            | Net::Connect { .. }
            | Net::Accept { .. }
            | Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::RecvPooled { .. }
            | Net::SendZeroCopy { .. }
            | Net::SendMsgZeroCopy { .. } => return None,
        };
        if !budget.should_try() {
            return None;
        }
        // SAFETY: passed on from this function.
        match unsafe { call(&Request::Net(net)) } {
            Err(libc::EAGAIN) => {
                budget.record_miss();
                None
            }
            answer => {
                budget.record_hit(answer.unwrap_or(0).max(SOCKET_COST));
                Some(answer)
            }
        }
    }
}
