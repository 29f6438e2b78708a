//! Sends that wait for room, in the kernel or by retries.
//!
//! `SEND` and `SENDMSG` import their buffers once, into an iterator. On EAGAIN the kernel repeats the
//! send with the same iterator (seen on Linux 6.18; `READ` and `WRITE` restore theirs). A protocol that
//! copies a message before it looks for room has used the iterator up by then. The receiver gets an
//! empty datagram, with the descriptors of the full one, and the completion says 0. Unix datagrams
//! behave so if the receiver's queue is full (`unix_dgram_sendmsg`). Netlink does, too, and fails with
//! ENODATA. If an io-wq worker executes such a send, a cancel completes it with EINTR.
//!
//! So all sends carry `MSG_DONTWAIT`, and the kernel completes them with EAGAIN. Only then is the
//! socket's type queried. Streams, and datagrams of IPv4 and IPv6, find room before they copy: the
//! kernel waits for those. All other sends are repeated from the beginning, after a wait of this file.
//! `SEND_ZC` is unchanged: only streams and IPv4 and IPv6 support it.

use std::{os::fd::RawFd, ptr, time::Duration};

use io_uring::{opcode, squeue::Entry, types};

use crate::{
    request::{Net, ready},
    sys::unix::{RETRY_EVERY, get_option, is_writable},
};

/// The timeout of the entry that waits for a retry. The kernel copies it at submission.
static PAUSE: types::Timespec = timespec(RETRY_EVERY);

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
        | Net::Socket { .. }
        | Net::Connect { .. }
        | Net::Accept { .. }
        | Net::Recv { .. }
        | Net::RecvMsg { .. }
        | Net::Shutdown { .. }
        | Net::AcceptMulti { .. }
        | Net::RecvMulti { .. }
        | Net::RecvPooled { .. }
        | Net::SendZeroCopy { .. } => None,
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

/// Whether the kernel repeats a send of this socket with all of its bytes.
pub(super) fn kernel_may_wait(socket: RawFd) -> bool {
    let option = |name| get_option(socket, libc::SOL_SOCKET, name);
    match option(libc::SO_TYPE) {
        Ok(libc::SOCK_STREAM) => true,
        Ok(libc::SOCK_DGRAM) => {
            matches!(option(libc::SO_DOMAIN), Ok(libc::AF_INET | libc::AF_INET6))
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

/// The entry that completes when a retry may succeed.
///
/// The socket of a datagram is writable although its receiver has no room, unless it is connected to
/// that receiver (`unix_dgram_poll`). So readiness is of no use, and a timer ends the wait.
pub(super) fn wait(socket: RawFd) -> Entry {
    if is_writable(socket) {
        pause()
    } else {
        opcode::PollAdd::new(types::Fd(socket), ready::OUT).build()
    }
}

/// The entry that completes after [`RETRY_EVERY`].
pub(super) fn pause() -> Entry {
    opcode::Timeout::new(ptr::from_ref(&PAUSE)).build()
}
