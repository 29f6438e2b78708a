//! Helpers for Windows.

use std::{
    ffi::OsString,
    fs::{self},
    io::{self},
    os::windows::{ffi::OsStringExt, fs::FileExt},
    path::Path,
    ptr,
    time::Duration,
};

use compio::{
    driver::{AsRawFd, RawFd},
    fs::File,
    runtime::Runtime,
};
use compio_testkit::sys::{is_signalled, named_pipe, on_wine};
use windows_sys::Win32::{
    Foundation::HANDLE,
    Storage::FileSystem::FILE_FLAG_OVERLAPPED,
    System::{IO::DeviceIoControl, Ioctl::FSCTL_SET_SPARSE},
};

pub(crate) use compio::net::TcpStream as Stream;
pub(crate) use compio_testkit::socket::tcp as std_streams;

/// Error codes of failed calls, of sockets and of other handles.
pub(crate) mod code {
    use windows_sys::Win32::{
        Foundation::{ERROR_ACCESS_DENIED, ERROR_OPERATION_ABORTED},
        Networking::WinSock,
    };

    pub(crate) const CANCELLED: i32 = ERROR_OPERATION_ABORTED as i32;
    pub(crate) const IN_USE: i32 = WinSock::WSAEADDRINUSE;
    pub(crate) const NOT_OPEN_FOR_THIS: i32 = ERROR_ACCESS_DENIED as i32;
    pub(crate) const NOT_OURS: i32 = WinSock::WSAEADDRNOTAVAIL;
    pub(crate) const NO_RECEIVER: i32 = WinSock::WSAENOTCONN;
    pub(crate) const REFUSED: i32 = WinSock::WSAECONNREFUSED;
    pub(crate) const RESET: i32 = WinSock::WSAECONNRESET;
    pub(crate) const SHUT_DOWN: i32 = WinSock::WSAESHUTDOWN;
    pub(crate) const TOO_LONG: i32 = WinSock::WSAEMSGSIZE;
}

/// How many buffers go into one transfer of a file: no call takes several unless they are pages.
pub(crate) const BUFFERS_MAX: usize = 1;

/// Two connected sockets of any type.
pub(crate) fn streams() -> (Stream, Stream) {
    let (one, other) = std_streams();
    let ours = |stream| Stream::from_std(stream).expect("a stream");
    (ours(one), ours(other))
}

/// The reading end of a pipe, and its other end.
pub(crate) fn pipe_in() -> (File, fs::File) {
    let (reader, writer) = named_pipe(FILE_FLAG_OVERLAPPED, 0);
    (File::from_std(reader), writer)
}

/// Both ends of a pipe.
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = named_pipe(FILE_FLAG_OVERLAPPED, FILE_FLAG_OVERLAPPED);
    (File::from_std(reader), File::from_std(writer))
}

/// Makes the file sparse: unwritten ranges take no room on the disk. Where this is not supported, the
/// test takes longer.
pub(crate) fn allow_gaps(file: &File) {
    let mut count = 0;
    // SAFETY: the length outlives the call, and the call is synchronous: it changes a bit.
    unsafe {
        DeviceIoControl(
            handle(file.as_raw_fd()),
            FSCTL_SET_SPARSE,
            ptr::null(),
            0,
            ptr::null_mut(),
            0,
            &raw mut count,
            ptr::null_mut(),
        );
    }
}

/// A socket is a handle, too.
fn handle(fd: RawFd) -> HANDLE {
    match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => socket as HANDLE,
    }
}

/// A name that is no UTF-16; on Wine, which translates names, one that is not ASCII.
pub(crate) fn odd_name() -> OsString {
    if on_wine() {
        return "\u{e4} name \u{1f600}".into();
    }
    OsString::from_wide(&[0xd800, u16::from(b'x'), 0xdc00])
}

/// The access of an open file: the results of a read and a write, and the content afterwards.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Access {
    read: Result<usize, io::ErrorKind>,
    written: Result<usize, io::ErrorKind>,
    content: Option<Vec<u8>>,
}

pub(crate) fn access(file: &fs::File, path: &Path) -> Access {
    Access {
        read: file.seek_read(&mut [0; 3], 0).map_err(|error| error.kind()),
        written: file.seek_write(b"+", 1).map_err(|error| error.kind()),
        content: fs::read(path).ok(),
    }
}

/// Whether the runtime's handle is signalled within this time.
pub(crate) fn is_readable(runtime: &Runtime, timeout: Duration) -> bool {
    is_signalled(handle(runtime.as_raw_fd()), timeout)
}
