//! Requests that io_uring completes with ECANCELED without a cancel request: whether they may be
//! executed again, and how.
//!
//! Linux drops a request in this way if it needs an io-wq worker and none can be started
//! (`io_wq_enqueue` and `create_worker_cont`: RLIMIT_NPROC, pids.max, signals at a high rate). Such a
//! request has not been executed. But a file may return the same error itself, after it has executed
//! the request: a FUSE server, a CUSE device, a timer whose clock was set. The completion does not
//! distinguish the two cases. So a request is executed again only if
//!
//! - a second execution has no effect, or
//! - its file is of a kind that never returns ECANCELED itself.
//!
//! Decision 20 has the reasons. The caller is the driver, on the two occasions that the functions name.

use std::{
    ffi::{CStr, CString, OsStr},
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use crate::{
    request::{
        CURRENT_DIR, FileOp, PathOp, Poll, Position, RawResult, Request, Splice, Transfer, ready,
    },
    sys::{
        Resubmit,
        platform::kind::{Kind, attributes_in_memory},
        unix::{call_in_thread, get_option, ready_now},
    },
};

/// Decides where the request is executed again. Runs on the thread of the driver, and never blocks.
pub(in crate::sys) fn resubmit(request: &Request) -> Resubmit {
    match *request {
        Request::Transfer(ref transfer) => resubmit_transfer(transfer.fd(), request),
        Request::FileOp(_) | Request::Path(_) => Resubmit::ThreadPool(*request),
        Request::Splice(ref splice) => {
            clamp_to_pipe_buf(splice).map_or(Resubmit::Kernel, Resubmit::ThreadPool)
        }
        Request::Net(ref net) if !never_answers_cancelled(net.fd()) => Resubmit::Not,
        Request::Net(_) => Resubmit::Kernel,
        Request::Poll(_) | Request::Nop | Request::Blocking(_) => Resubmit::Kernel,
        // None of the controls needs an io-wq worker, so this was the request's own result.
        Request::Control(_) | Request::Raw(_) | Request::Invalid => Resubmit::Not,
    }
}

/// Reads and writes of pipes, sockets and terminals may wait for a peer, those of files do not.
fn resubmit_transfer(fd: RawFd, request: &Request) -> Resubmit {
    let format = attributes_in_memory(fd).map_or(0, |kind| kind.mode & libc::S_IFMT);
    match format {
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Resubmit::ThreadPool(*request),
        _ if never_answers_cancelled(fd) => Resubmit::Kernel,
        _ => Resubmit::Not,
    }
}

/// Executes a request that [`resubmit`] has passed to a thread, which may block. Returns ECANCELED if this
/// may be the second execution of a request with an effect.
///
/// # Safety
///
/// As [`call_in_thread`].
pub(crate) unsafe fn repeat(request: &Request) -> RawResult {
    // SAFETY: passed on from this function.
    unsafe {
        if may_be_repeated(request) {
            call_in_thread(request)
        } else {
            Err(libc::ECANCELED)
        }
    }
}

/// # Safety
///
/// As [`call_in_thread`].
unsafe fn may_be_repeated(request: &Request) -> bool {
    match *request {
        Request::Transfer(ref transfer) => match *transfer {
            // No effect.
            Transfer::Read { .. } | Transfer::ReadVectored { .. } => true,
            // Writes the same bytes to the same position, unless the position moves.
            Transfer::Write { fd, position, .. } | Transfer::WriteVectored { fd, position, .. } => {
                let is_fixed = position != Position::Cursor && !appends(fd);
                is_fixed || never_answers_cancelled(fd)
            }
        },
        Request::FileOp(ref op) => match *op {
            // No effect.
            FileOp::Stat { .. } | FileOp::StatFd { .. } => true,
            // The kernel reports an error of write-back once: a second call would hide it. A second truncation
            // would cut off bytes that were written after the first. A second hole would erase them.
            FileOp::Sync { fd, .. } | FileOp::Truncate { fd, .. } | FileOp::Allocate { fd, .. } => {
                never_answers_cancelled(fd)
            }
            // Writes the same bytes to the same position.
            FileOp::WriteWith { fd, .. } => !appends(fd) || never_answers_cancelled(fd),
            // A second exclusive creation fails, and a device may have side effects when it is opened.
            FileOp::Open {
                dir, path, flags, ..
            } => {
                // SAFETY: the path is valid by the contract of `call_in_thread`.
                let path = unsafe { CStr::from_ptr(path) };
                if flags & libc::O_EXCL != 0 {
                    parent_never_answers_cancelled(dir, path)
                } else {
                    !is_foreign_device(dir, path)
                }
            }
        },
        // A second change of a path fails, or changes a path that another process has made.
        Request::Path(ref names) => {
            let (one, other) = match *names {
                PathOp::Rename { from, to } => (from, to),
                PathOp::Remove { path, .. } | PathOp::MakeDir { path, .. } => (path, path),
                PathOp::Link { link, .. } => (link, link),
            };
            [one, other].into_iter().all(|path| {
                // SAFETY: the paths are valid by the contract of `call_in_thread`.
                parent_never_answers_cancelled(CURRENT_DIR, unsafe { CStr::from_ptr(path) })
            })
        }
        // It moves bytes.
        Request::Splice(Splice { from, to, .. }) => {
            never_answers_cancelled(from) && never_answers_cancelled(to)
        }
        // These requests do not run on threads.
        Request::Nop
        | Request::Net(_)
        | Request::Control(_)
        | Request::Poll(Poll::Once { .. })
        | Request::Blocking(_)
        | Request::Raw(_)
        | Request::Invalid => false,
    }
}

/// Whether the file never returns ECANCELED itself. Queries the file system of a regular file for its
/// type, which may block.
fn never_answers_cancelled(fd: RawFd) -> bool {
    let Some(Kind { mode, major }) = attributes_in_memory(fd) else {
        return false;
    };
    match mode & libc::S_IFMT {
        // The block layer's errors (`blk_errors`) do not contain it.
        libc::S_IFIFO | libc::S_IFBLK => true,
        libc::S_IFCHR => is_known_device(major),
        libc::S_IFSOCK => matches!(
            get_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN),
            Ok(libc::AF_UNIX | libc::AF_INET | libc::AF_INET6)
        ),
        libc::S_IFREG | libc::S_IFDIR => file_system(fd).is_some_and(is_known_file_system),
        // An anonymous file: a timer returns ECANCELED when its clock is set.
        _ => false,
    }
}

/// File systems that keep their files on this machine and have no ECANCELED in their code. Overlayfs is
/// not one of them: its layers may be FUSE.
fn is_known_file_system(magic: i64) -> bool {
    // The type of libc's constants differs from system to system.
    const EXT4: i64 = 0xef53;
    const XFS: i64 = 0x5846_5342;
    const BTRFS: i64 = 0x9123_683e;
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    const F2FS: i64 = 0xf2f5_2010;
    const FAT: i64 = 0x4d44;
    [EXT4, XFS, BTRFS, TMPFS, RAMFS, F2FS, FAT].contains(&magic)
}

/// Memory, terminals and pseudoterminals: the kernel's own drivers.
fn is_known_device(major: u32) -> bool {
    matches!(major, 1 | 4 | 5 | 136..=143)
}

fn file_system(fd: RawFd) -> Option<i64> {
    // SAFETY: a plain C struct, which the call fills in.
    unsafe {
        let mut attributes: libc::statfs = std::mem::zeroed();
        let asked = libc::fstatfs(fd, &raw mut attributes);
        #[allow(clippy::unnecessary_cast, reason = "its type is the system's")]
        (asked == 0).then_some(attributes.f_type as i64)
    }
}

fn appends(fd: RawFd) -> bool {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    mode < 0 || mode & libc::O_APPEND != 0
}

/// Opens a path with `O_PATH`, which calls no open method.
fn place(dir: RawFd, path: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the path outlives the call.
    let fd = unsafe { libc::openat(dir, path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the directory of this path never returns ECANCELED itself.
fn parent_never_answers_cancelled(dir: RawFd, path: &CStr) -> bool {
    let parent = Path::new(OsStr::from_bytes(path.to_bytes())).parent();
    let parent = match parent {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return false,
    };
    CString::new(parent.as_os_str().as_bytes()).is_ok_and(|parent| {
        place(dir, &parent).is_ok_and(|fd| never_answers_cancelled(fd.as_raw_fd()))
    })
}

/// Whether the path is a device of an unknown driver. False for a missing file.
fn is_foreign_device(dir: RawFd, path: &CStr) -> bool {
    place(dir, path).is_ok_and(|fd| match attributes_in_memory(fd.as_raw_fd()) {
        Some(Kind { mode, major }) => {
            mode & libc::S_IFMT == libc::S_IFCHR && !is_known_device(major)
        }
        None => true,
    })
}

/// A shorter splice, which does not block if both ends are ready now.
fn clamp_to_pipe_buf(splice: &Splice) -> Option<Request> {
    let is_ready = |fd, events| ready_now(fd, events).is_ok_and(|events| events != 0);
    let clamped = Splice {
        len: splice.len.min(libc::PIPE_BUF as u32),
        ..*splice
    };
    (is_ready(splice.from, ready::IN) && is_ready(splice.to, ready::OUT))
        .then_some(Request::Splice(clamped))
}

#[cfg(all(test, not(loom)))]
mod tests;
