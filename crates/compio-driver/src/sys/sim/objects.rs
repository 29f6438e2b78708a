//! The objects behind descriptors: sockets, listeners and files, and the state of their bytes.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// An object with a descriptor, which is one end of a pipe. The other end detects when it is closed.
pub(crate) struct Thing {
    fd: RawFd,
    /// None once the close was detected.
    probe: Option<OwnedFd>,
    /// The number of bytes from the beginning: sent by the peer of a socket, or a file's length.
    pub(crate) filled: usize,
    /// The number of bytes that receives of a socket have consumed.
    pub(crate) taken: usize,
    /// The number of consumed bytes that a task has claimed.
    pub(crate) claimed: usize,
    /// The number of consumed bytes that no task can have seen.
    pub(crate) lost: usize,
    /// Whether the loss of bytes is permitted.
    pub(crate) may_lose: bool,
    /// Whether the peer has shut down its sending side.
    pub(crate) is_finished: bool,
    /// The number of connections in the backlog.
    pub(crate) connections: usize,
    /// The number of accepted connections.
    pub(crate) handed_out: usize,
    /// All bytes that were sent or written.
    pub(crate) written: Vec<u8>,
}

impl Thing {
    /// Makes an object and its descriptor.
    pub(super) fn new() -> (Self, OwnedFd) {
        let (probe, fd) = io::pipe().expect("a pipe");
        let fd = OwnedFd::from(fd);
        let thing = Self {
            fd: fd.as_raw_fd(),
            probe: Some(probe.into()),
            filled: 0,
            taken: 0,
            claimed: 0,
            lost: 0,
            may_lose: false,
            is_finished: false,
            connections: 0,
            handed_out: 0,
            written: Vec::new(),
        };
        (thing, fd)
    }

    pub(super) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Whether all owners have closed the descriptor.
    pub(crate) fn is_closed(&self) -> bool {
        let Some(probe) = &self.probe else {
            return true;
        };
        let mut entry = libc::pollfd {
            fd: probe.as_raw_fd(),
            events: 0,
            revents: 0,
        };
        // SAFETY: one entry, which outlives the call.
        let count = unsafe { libc::poll(&raw mut entry, 1, 0) };
        count > 0 && entry.revents & libc::POLLHUP != 0
    }

    /// Drops the other end of the pipe once the descriptor is closed.
    pub(super) fn sweep(&mut self) {
        if self.is_closed() {
            self.probe = None;
        }
    }

    /// The bytes from position `from`. Each is one more than the byte before.
    pub(super) fn bytes(from: usize, len: usize) -> Vec<u8> {
        (from..from + len).map(|place| place as u8).collect()
    }
}
