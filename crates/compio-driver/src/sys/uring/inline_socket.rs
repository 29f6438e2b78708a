//! Whether a transfer of a socket is tried by a plain call before it is handed to the ring.
//!
//! The ring pays by carrying many operations with one system call. Where they come one at a time, as to
//! a server with one connection that asks, or to one datagram socket, it is the longer way: a call for
//! each all the same, and more work in the kernel. So a transfer is tried at once if nothing else waits
//! for the next call, and the last one has brought no more than one answer.

use super::inline_budget::{BYTES, InlineBudget};
use crate::{
    request::{Answer, Net, Request},
    sys::unix::call,
};

/// What a transfer counts for at least: there are 32 of a kind between two looks at the kernel.
const COST: u32 = BYTES / 32;

pub(super) struct InlineSocket {
    /// How many answers the last look at the kernel has brought.
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

    /// The kernel has been looked at.
    pub(super) fn renew(&mut self, landed: u32) {
        self.landed = landed;
        self.sends.renew();
        self.receives.renew();
    }

    /// Whether operations seem to come one at a time.
    pub(super) fn is_likely(&self) -> bool {
        self.landed <= 1
    }

    /// Answers a transfer that need not wait.
    ///
    /// # Safety
    ///
    /// As [`call`].
    pub(super) unsafe fn try_at_once(&mut self, net: &Net) -> Option<Answer> {
        // What does not wait in any case is not tried twice; what waits for all is no single call.
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
            | Net::Socket { .. }
            | Net::Connect { .. }
            | Net::Accept { .. }
            | Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::RecvPooled { .. }
            | Net::SendZeroCopy { .. }
            | Net::Shutdown { .. } => return None,
        };
        if !luck.is_with_us() {
            return None;
        }
        // SAFETY: passed on from this function.
        match unsafe { call(&Request::Net(net)) } {
            Err(libc::EAGAIN) => {
                luck.has_failed();
                None
            }
            answer => {
                luck.has_held(answer.unwrap_or(0).max(COST));
                Some(answer)
            }
        }
    }
}
