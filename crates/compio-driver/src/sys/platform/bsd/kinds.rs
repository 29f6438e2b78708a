//! The types of descriptors, and how each one can be used without waiting.
//!
//! Linux's `RWF_NOWAIT`, a flag for one call, does not exist here. Terminals are opened once more, in
//! non-blocking mode. Pipes are used when they are ready, for no more than `PIPE_BUF` bytes.

use std::{
    ffi::CStr,
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use super::native::{has_name, silence_closed_peer};
use crate::{
    request::RawFd,
    sys::unix::{kind_in_life, last_error, private_in_life},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A regular file, a directory, a block device, or no descriptor at all.
    File = 1,
    /// A regular file of FUSE. This system does not distinguish it from others.
    #[allow(dead_code, reason = "of Linux")]
    Fuse,
    /// A pipe, with a name or without.
    Pipe,
    Socket,
    /// A device that never blocks. This system does not distinguish it from others.
    #[allow(dead_code, reason = "of Linux")]
    Memory,
    /// The inner side of a pseudo-terminal, or another terminal.
    Terminal,
    /// Not a file, for instance a kqueue.
    Anonymous,
    /// Any other device.
    Device,
}

/// Whether readiness alone permits a transfer.
pub(crate) const fn trusts_readiness(kind: Kind) -> bool {
    matches!(kind, Kind::Pipe | Kind::Anonymous)
}

#[inline]
pub(crate) fn kind_of(fd: RawFd) -> Kind {
    let kind = kind_in_life(fd, |fd| ask(fd) as u8);
    [
        Kind::File,
        Kind::Fuse,
        Kind::Pipe,
        Kind::Socket,
        Kind::Memory,
        Kind::Terminal,
        Kind::Anonymous,
        Kind::Device,
    ][usize::from(kind) - 1]
}

#[cold]
fn ask(fd: RawFd) -> Kind {
    let Some(stat) = stat(fd) else {
        return Kind::File;
    };
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Kind::File,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFSOCK => {
            silence_closed_peer(fd);
            Kind::Socket
        }
        // SAFETY: no pointers are passed.
        libc::S_IFCHR if unsafe { libc::isatty(fd) } == 1 => Kind::Terminal,
        libc::S_IFCHR => Kind::Device,
        _ => Kind::Anonymous,
    }
}

/// Whether the descriptor is of a named pipe.
pub(crate) fn is_fifo(fd: RawFd) -> bool {
    kind_of(fd) == Kind::Pipe && stat(fd).is_some_and(|stat| has_name(&stat))
}

fn stat(fd: RawFd) -> Option<libc::stat> {
    // SAFETY: `stat` is a plain C struct, which the call fills in.
    unsafe {
        let mut stat: libc::stat = mem::zeroed();
        (libc::fstat(fd, &raw mut stat) == 0).then_some(stat)
    }
}

/// A description of a terminal that belongs to this crate alone, in non-blocking mode. None if the
/// system refuses it, or if no [`SharedFd`](crate::SharedFd) holds the number.
pub(crate) fn private_of(fd: RawFd, kind: Kind) -> Option<RawFd> {
    if kind != Kind::Terminal {
        return None;
    }
    private_in_life(fd, |fd| {
        open_again(fd).map_err(|code| !matches!(code, libc::EMFILE | libc::ENFILE | libc::ENOMEM))
    })
}

#[cold]
fn open_again(fd: RawFd) -> Result<OwnedFd, i32> {
    let mut name = [0; 128];
    // SAFETY: only the pointer to the name is passed, with its length.
    let mode = unsafe {
        match libc::ttyname_r(fd, name.as_mut_ptr(), name.len()) {
            0 => libc::fcntl(fd, libc::F_GETFL),
            code => return Err(code),
        }
    };
    if mode < 0 {
        return Err(last_error());
    }
    let flags = mode & libc::O_ACCMODE | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the name is a C string by the call above; the descriptor is new.
    let again = unsafe {
        let again = libc::open(CStr::from_ptr(name.as_ptr()).as_ptr(), flags);
        if again < 0 {
            return Err(last_error());
        }
        OwnedFd::from_raw_fd(again)
    };
    // The name may belong to another file now. The name of an outer side is the name of its inner side.
    match (stat(again.as_raw_fd()), stat(fd)) {
        (Some(one), Some(other)) if one.st_rdev == other.st_rdev => Ok(again),
        _ => Err(libc::ENXIO),
    }
}
