//! Credentials of processes.

/// The credentials of a process: its user, its group and, if the system reports it, its process ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UCred {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: Option<i32>,
}

impl UCred {
    /// The user ID.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group ID.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process ID at the time when the credentials were recorded: another process may have it by now.
    ///
    /// # Platform differences
    ///
    /// Only Linux reports it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}
