//! Calls that failed without an effect, and are repeated.
//!
//! On some versions of Windows, `CancelIoEx` with the OVERLAPPED of one receive of a TCP socket ends all of its
//! pending receives with ERROR_OPERATION_ABORTED. The page of the function does not say so. The developers of
//! .NET measured it (dotnet/corefx, pull requests 32981 and 34212): sends are not affected. A socket with a
//! pending accept or connect cannot receive.
//!
//! The driver submits these operations again, in the order of their completions.
//!
//! A cancel by another driver, of a receive on a duplicate of the socket, is not known here: receives that it ends
//! report the cancel.

use windows_sys::Win32::Networking::WinSock::{WSAECONNRESET, WSAENOTCONN};

use super::op_state::Ask;
use crate::{
    request::RawResult,
    sys::{ECANCELED, Report},
};

/// The errors after which a call has had no effect, and is repeated.
#[derive(Clone, Copy)]
pub(super) enum Repeats {
    None,
    /// The peer has gone before the accept, and the listener is in order: the next peer is accepted.
    AcceptOfGonePeer,
    /// The cancel of another receive has ended this one, too. A cancel request repeats each receive at most
    /// once, so that cancels of other code cannot repeat it without end.
    CancelledReceive,
}

impl Repeats {
    /// `is_cancel_possible`: this backend has requested a cancel, perhaps of another call, since the call
    /// began.
    pub(super) fn new(ask: &Ask, is_cancel_possible: bool) -> Self {
        match ask {
            Ask::Accept { .. } => Self::AcceptOfGonePeer,
            Ask::Recv | Ask::RecvMsg { .. } | Ask::Readable { .. } if is_cancel_possible => {
                Self::CancelledReceive
            }
            Ask::Nothing
            | Ask::Nop
            | Ask::Read
            | Ask::Write
            | Ask::Recv
            | Ask::Send
            | Ask::RecvMsg { .. }
            | Ask::Connect
            | Ask::Readable { .. }
            | Ask::Signal
            | Ask::Raw(_) => Self::None,
        }
    }

    /// The report about a call that is over. The driver completes an operation whose own cancel was
    /// requested, and submits others again.
    pub(super) fn report(self, answer: RawResult) -> Report {
        match (self, answer) {
            // From `AcceptEx`, or from the options of the connection that has ended.
            (Self::AcceptOfGonePeer, Err(WSAECONNRESET | WSAENOTCONN)) => Report::Ready,
            (Self::CancelledReceive, Err(ECANCELED)) => Report::Ready,
            (_, answer) => Report::Final(answer),
        }
    }
}
