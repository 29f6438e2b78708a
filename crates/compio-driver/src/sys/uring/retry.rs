//! Sends that wait for room.
//!
//! `SEND` and `SENDMSG` import their buffers once, into an iterator. On EAGAIN the kernel repeats the
//! send with the same iterator (seen on Linux 6.18; `READ` and `WRITE` restore theirs). A protocol that
//! copies a message before it looks for room has used the iterator up by then. The receiver gets an
//! empty datagram, with the descriptors of the full one, and the completion says 0. Unix datagrams
//! behave so if the receiver's queue is full (`unix_dgram_sendmsg`). Netlink does, too, and fails with
//! ENODATA. If an io-wq worker executes such a send, a cancel completes it with EINTR.
//!
//! A send to a peer that has shut down its sending side would block such a worker for as long as it waits:
//! see `half_closed`.
//!
//! So all sends carry `MSG_DONTWAIT`, and the kernel completes them by EAGAIN instead. They are repeated from
//! the beginning, after a poll of the socket, or after a pause where a poll is no help. `SEND_ZC` and
//! `SENDMSG_ZC` are left alone: only streams and IPv4 and IPv6 have them.

use std::{os::fd::RawFd, ptr, time::Duration};

use io_uring::{opcode, squeue::Entry, types};

use crate::{request::Net, sys::retries::RETRY_INTERVAL};

/// The timeout of the entry that waits for a retry. The kernel copies it at submission.
static PAUSE: types::Timespec = timespec(RETRY_INTERVAL);

const fn timespec(duration: Duration) -> types::Timespec {
    types::Timespec::new()
        .sec(duration.as_secs())
        .nsec(duration.subsec_nanos())
}

/// The socket of a send that may wait.
pub(super) fn waiting_socket(net: &Net) -> Option<RawFd> {
    match *net {
        Net::Send { fd, flags, .. } | Net::SendMsg { fd, flags, .. }
            if flags & libc::MSG_DONTWAIT == 0 =>
        {
            Some(fd)
        }
        Net::Send { .. }
        | Net::SendMsg { .. }
        | Net::Connect { .. }
        | Net::Accept { .. }
        | Net::Recv { .. }
        | Net::RecvMsg { .. }
        | Net::AcceptMulti { .. }
        | Net::RecvMulti { .. }
        | Net::RecvPooled { .. }
        | Net::SendZeroCopy { .. }
        | Net::SendMsgZeroCopy { .. } => None,
    }
}

/// The same send, without a wait.
pub(super) fn attempt_of(net: &Net) -> Net {
    let mut net = *net;
    if let Net::Send { flags, .. } | Net::SendMsg { flags, .. } = &mut net {
        *flags |= libc::MSG_DONTWAIT;
    }
    net
}

/// The entry that completes after [`RETRY_INTERVAL`].
pub(super) fn pause() -> Entry {
    opcode::Timeout::new(ptr::from_ref(&PAUSE)).build()
}
