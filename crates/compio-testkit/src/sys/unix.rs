//! Fixtures for unix.

use std::{io, mem, os::fd::AsRawFd, time::Duration};

/// Whether this is Wine.
pub fn on_wine() -> bool {
    false
}

/// The CPU time of this thread.
pub fn processor_time() -> Duration {
    // SAFETY: `time` is plain data that the call fills in.
    unsafe {
        let mut time: libc::timespec = mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// Whether the descriptor becomes readable within this time, which is rounded up to milliseconds.
pub fn is_readable(fd: &impl AsRawFd, timeout: Duration) -> bool {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let timeout_ms = timeout.as_micros().div_ceil(1000).try_into();
    // SAFETY: one entry, which outlives the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, timeout_ms.expect("a short time")) };
    assert!(count >= 0, "{}", io::Error::last_os_error());
    count > 0
}

/// Whether a child would inherit the descriptor.
pub fn is_inherited(fd: &impl AsRawFd) -> bool {
    // SAFETY: no pointers are passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
    assert!(flags >= 0, "{}", io::Error::last_os_error());
    flags & libc::FD_CLOEXEC == 0
}
