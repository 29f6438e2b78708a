//! Inline attempts of socket transfers: a plain non-blocking call before a submission to the ring.
//!
//! The ring pays off if one system call submits many operations. If they come one at a time, as in a
//! server with one active connection, or on one datagram socket, it is slower: it also needs a system
//! call for each, and more work in the kernel. So a transfer is tried inline if no entries are pending
//! and the last turn had at most one completion.

use super::inline_budget::{BYTES, InlineBudget};
use crate::{
    request::{Answer, Net, Request},
    sys::unix::call,
};

/// The minimum cost of a transfer: it permits 32 transfers of each direction per turn.
const COST: u32 = BYTES / 32;

pub(super) struct InlineSocket {
    /// The number of completions of the last turn.
    landed: u32,
    sends: InlineBudget,
    receives: InlineBudget,
}

impl InlineSocket {
    pub(super) fn new() -> Self {
        Self {
            landed: 0,
            sends: InlineBudget::new(),
            receives: InlineBudget::new(),
        }
    }

    /// Renews the budgets for a turn with `landed` completions.
    pub(super) fn renew(&mut self, landed: u32) {
        self.landed = landed;
        self.sends.renew();
        self.receives.renew();
    }

    /// Whether operations seem to come one at a time.
    pub(super) fn is_likely(&self) -> bool {
        self.landed <= 1
    }

    /// Completes a transfer that does not have to wait.
    ///
    /// # Safety
    ///
    /// As [`call`].
    pub(super) unsafe fn try_at_once(&mut self, net: &Net) -> Option<Answer> {
        // A non-blocking transfer needs no second try, and `MSG_WAITALL` may need several calls.
        const NEITHER: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let mut net = *net;
        let luck = match &mut net {
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
            | Net::SendZeroCopy { .. } => return None,
        };
        if !luck.should_try() {
            return None;
        }
        // SAFETY: passed on from this function.
        match unsafe { call(&Request::Net(net)) } {
            Err(libc::EAGAIN) => {
                luck.record_miss();
                None
            }
            answer => {
                luck.record_hit(answer.unwrap_or(0).max(COST));
                Some(answer)
            }
        }
    }
}
