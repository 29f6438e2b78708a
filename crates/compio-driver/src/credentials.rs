//! Who is at the other end of a Unix socket.

use std::io;

use crate::sys::{self, AsFd};

/// Whom a process runs as: its user, its group and, where the system tells it, its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UCred {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: Option<i32>,
}

impl UCred {
    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group's number.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process's number, at the time when it said who it is: by now it may be another's.
    ///
    /// # Platform differences
    ///
    /// Only Linux tells it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}

/// Who has connected a Unix stream socket's other end, or made the pair that it is of.
///
/// # Errors
///
/// The system's; [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
pub fn peer_credentials(socket: &impl AsFd) -> io::Result<UCred> {
    sys::peer_credentials(socket.as_fd())
}
