//! Helpers for unix.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    time::Duration,
};

use compio::{fs::File, runtime::Runtime};

pub(crate) use compio::net::UnixStream as Stream;
pub(crate) use std::os::unix::net::UnixStream as StdStream;

/// Error codes of failed calls.
pub(crate) mod code {
    pub(crate) use libc::{
        EADDRINUSE as IN_USE, EADDRNOTAVAIL as NOT_OURS, EBADF as NOT_OPEN_FOR_THIS,
        ECANCELED as CANCELLED, ECONNREFUSED as REFUSED, ECONNRESET as RESET,
        EDESTADDRREQ as NO_RECEIVER, EMSGSIZE as TOO_LONG, EPIPE as SHUT_DOWN,
    };
}

/// How many buffers go into one transfer of a file.
pub(crate) const BUFFERS_MAX: usize = 1024;

/// Two connected sockets of any type.
pub(crate) fn streams() -> (Stream, Stream) {
    Stream::pair().expect("a pair of sockets")
}

/// The same, of std.
pub(crate) fn std_streams() -> (StdStream, StdStream) {
    StdStream::pair().expect("a pair of sockets")
}

/// The reading end of a pipe, and its other end.
pub(crate) fn pipe_in() -> (File, fs::File) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let reader = File::from_std(OwnedFd::from(reader).into());
    (reader, OwnedFd::from(writer).into())
}

/// Both ends of a pipe.
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = pipe_in();
    (reader, File::from_std(writer))
}

/// Every file may be sparse here.
pub(crate) fn allow_gaps(_file: &File) {}

/// A name that is no UTF-8.
pub(crate) fn odd_name() -> OsString {
    OsStr::from_bytes(b"\xff\xfe name \x80").to_owned()
}

/// The access of an open file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Access {
    flags: i32,
    close_on_exec: i32,
}

pub(crate) fn access(file: &fs::File, _path: &Path) -> Access {
    // SAFETY: an open descriptor; no memory is involved.
    let (flags, fd_flags) = unsafe {
        (
            libc::fcntl(file.as_raw_fd(), libc::F_GETFL),
            libc::fcntl(file.as_raw_fd(), libc::F_GETFD),
        )
    };
    Access {
        flags: flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK),
        close_on_exec: fd_flags,
    }
}

/// Whether the runtime's descriptor becomes readable within this time.
pub(crate) fn is_readable(runtime: &Runtime, timeout: Duration) -> bool {
    compio_testkit::sys::is_readable(runtime, timeout)
}
