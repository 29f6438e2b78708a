//! What the descriptors stand for: sockets, listeners and files, and who has had which of their
//! bytes.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// Something with a descriptor, that of a pipe's end. The other end tells when it has been closed.
pub(crate) struct Thing {
    fd: RawFd,
    /// None once that was seen.
    probe: Option<OwnedFd>,
    /// How many bytes there are to be read from the beginning on: what the peer of a socket has sent,
    /// or a file's length.
    pub(crate) filled: usize,
    /// How many of them have been taken, of a socket.
    pub(crate) taken: usize,
    /// How many of these went to somebody who has said so.
    pub(crate) claimed: usize,
    /// How many of these nobody can have seen.
    pub(crate) lost: usize,
    /// Whether some of them may be.
    pub(crate) may_lose: bool,
    /// Whether the peer sends no more.
    pub(crate) is_finished: bool,
    /// How many connections wait.
    pub(crate) connections: usize,
    /// How many others were accepted.
    pub(crate) handed_out: usize,
    /// What was sent or written.
    pub(crate) written: Vec<u8>,
}

impl Thing {
    /// A new one, and its descriptor.
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

    /// Whether nobody has the descriptor any more.
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

    /// Needs no descriptor to be known as closed.
    pub(super) fn sweep(&mut self) {
        if self.is_closed() {
            self.probe = None;
        }
    }

    /// The bytes from `from` on: each is one more than that before it.
    pub(super) fn bytes(from: usize, len: usize) -> Vec<u8> {
        (from..from + len).map(|place| place as u8).collect()
    }
}
