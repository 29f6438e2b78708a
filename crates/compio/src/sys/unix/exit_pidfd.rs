//! Exit notification on Linux: a pidfd.

use std::{io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A descriptor that becomes readable when the process has ended.
pub(super) fn exit_event(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}
