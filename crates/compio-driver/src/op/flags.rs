//! The `MSG_` flags of sends and receives.
//!
//! Each system has a list of the flags that a program may pass ([`SEND_FLAGS`], [`RECEIVE_FLAGS`]). Others
//! have a meaning inside the kernel only, or change the layout of the result: `MSG_CMSG_COMPAT` of Linux
//! writes ancillary data as 32-bit programs have it, and io_uring passes it on (6.18). `MSG_ZEROCOPY` lends
//! the buffer for longer than the operation.

use crate::{
    request::Request,
    sys::{MSG_TRUNC, RECEIVE_FLAGS, SEND_FLAGS},
};

/// Flags that have been checked: negative if they are refused. No flag on a list has the highest bit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(i32);

const _: () = assert!(SEND_FLAGS > 0 && RECEIVE_FLAGS > 0);

impl Flags {
    const REFUSED: Self = Self(-1);

    pub(super) fn of_send(flags: i32) -> Self {
        if flags & !SEND_FLAGS == 0 {
            Self(flags)
        } else {
            Self::REFUSED
        }
    }

    /// Clears `MSG_TRUNC`. With it, the result is not the number of bytes in the buffer: it is a truncated
    /// datagram's full length, or the number of bytes that a stream has discarded.
    pub(super) fn of_receive(flags: i32) -> Self {
        if flags & !RECEIVE_FLAGS == 0 {
            Self(flags & !MSG_TRUNC)
        } else {
            Self::REFUSED
        }
    }

    /// The request with these flags, or [`Request::Invalid`] if they are refused.
    #[inline(always)]
    pub(super) fn apply(self, request: impl FnOnce(i32) -> Request) -> Request {
        if self.0 < 0 {
            return Request::Invalid;
        }
        request(self.0)
    }
}
