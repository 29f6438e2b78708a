//! Handles, error codes and backends of Windows.
//!
//! A completion port can wait only for an overlapped handle: the driver's ends are overlapped, and
//! the tests' own ends are not, as std's blocking calls need.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    iter,
    net::TcpStream,
    os::windows::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    ptr,
    time::Duration,
};

use compio_driver::{
    AsRawFd, BackendKind, Driver, DriverBuilder, RawFd, SharedFd,
    op::Attributes,
    os::windows::assume_overlapped,
    request::{NativePath, OpenFlags},
};
use compio_testkit::sys::{is_signalled, named_pipe};
use windows_sys::Win32::{
    Foundation::{
        ERROR_INVALID_HANDLE, GENERIC_READ, GENERIC_WRITE, GetHandleInformation, HANDLE,
        HANDLE_FLAG_INHERIT,
    },
    Networking::WinSock::{self, WSAENOTSOCK},
    Storage::FileSystem::{
        FILE_ATTRIBUTE_NORMAL, FILE_FLAG_OVERLAPPED, FILE_SHARE_READ, FILE_SHARE_WRITE,
        OPEN_ALWAYS, OPEN_EXISTING,
    },
};

use super::{share, tcp};

/// Error codes of failed calls: of sockets, or of other handles.
pub(crate) mod code {
    use windows_sys::Win32::{
        Foundation::{
            ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_INVALID_PARAMETER,
            ERROR_OPERATION_ABORTED,
        },
        Networking::WinSock,
    };

    pub(crate) const CANCELLED: i32 = ERROR_OPERATION_ABORTED as i32;
    pub(crate) const CONNECTED_ALREADY: i32 = WinSock::WSAEISCONN;
    pub(crate) const NOT_A_SOCKET: i32 = WinSock::WSAENOTSOCK;
    pub(crate) const NOT_CONNECTED: i32 = WinSock::WSAENOTCONN;
    pub(crate) const NOT_FOR_THIS: i32 = WinSock::WSAEOPNOTSUPP;
    pub(crate) const NOT_FOUND: i32 = ERROR_FILE_NOT_FOUND as i32;
    pub(crate) const NOT_LISTENING: i32 = WinSock::WSAEINVAL;
    pub(crate) const NOT_OPEN_FOR_THIS: i32 = ERROR_ACCESS_DENIED as i32;
    pub(crate) const NO_SUCH_FAMILY: i32 = WinSock::WSAEAFNOSUPPORT;
    pub(crate) const NO_SUCH_OFFSET: i32 = ERROR_INVALID_PARAMETER as i32;
    pub(crate) const REFUSED: i32 = WinSock::WSAECONNREFUSED;
    pub(crate) const RESET: i32 = WinSock::WSAECONNRESET;
    pub(crate) const TOO_LONG: i32 = WinSock::WSAEMSGSIZE;
}

pub(crate) const MSG_PEEK: i32 = WinSock::MSG_PEEK;
pub(crate) const MSG_TRUNC: i32 = WinSock::MSG_TRUNC as i32;

/// A driver per available backend: one.
pub(crate) fn each_backend() -> impl Iterator<Item = Driver> {
    iter::once(fair_driver())
}

/// A driver that serves the waiting operations of a handle in order of arrival, as Windows does,
/// regardless of the environment.
pub(crate) fn fair_driver() -> Driver {
    let builder = DriverBuilder::new().backend(BackendKind::Iocp);
    builder.build().expect("a driver")
}

/// One end of a local connection, for direct use by a test.
pub(crate) type Stream = TcpStream;

/// Two connected stream sockets.
pub(crate) fn streams() -> (Stream, Stream) {
    tcp()
}

/// A handle that was opened for overlapped calls.
fn share_overlapped(file: File) -> SharedFd {
    let fd = share(file);
    assume_overlapped(&fd);
    fd
}

/// The reading and the writing end of a pipe.
pub(crate) fn pipe() -> (SharedFd, SharedFd) {
    let (reader, writer) = named_pipe(FILE_FLAG_OVERLAPPED, FILE_FLAG_OVERLAPPED);
    (share_overlapped(reader), share_overlapped(writer))
}

/// A pipe that the driver reads and the test writes.
pub(crate) fn pipe_in() -> (SharedFd, File) {
    let (reader, writer) = named_pipe(FILE_FLAG_OVERLAPPED, 0);
    (share_overlapped(reader), writer)
}

/// A pipe that the driver writes and the test reads.
pub(crate) fn pipe_out() -> (File, SharedFd) {
    let (reader, writer) = named_pipe(0, FILE_FLAG_OVERLAPPED);
    (reader, share_overlapped(writer))
}

/// A file with a unique name and this content, for the test and for the driver.
pub(crate) fn file(content: &[u8]) -> (File, SharedFd) {
    // The file is deleted with its last handle.
    let named = tempfile::NamedTempFile::new().expect("a file");
    let mut file = named.reopen().expect("the same file");
    file.write_all(content).expect("room");
    file.seek(SeekFrom::Start(0)).expect("a position");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let overlapped = options
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(named.path());
    (file, share_overlapped(overlapped.expect("the same file")))
}

/// Whether a send changes the mode of its socket.
pub(crate) const SENDS_CHANGE_MODE: bool = false;

/// Whether readiness has priority.
pub(crate) const REPORTS_EXCEPTIONS: bool = true;

/// Whether attributes have the time of creation.
pub(crate) const HAS_CREATION_TIME: bool = true;

/// The number of buffers that one file transfer takes: no call takes several, except whole pages.
pub(crate) const BUFFERS_MAX: usize = 1;

/// Writes the file to disk. Windows has no call that drops it from the cache.
pub(crate) fn forget_from(file: &File, _offset: i64) {
    file.sync_all().expect("a disk");
}

/// The path as requests need it.
pub(crate) fn native(path: impl AsRef<Path>) -> NativePath {
    NativePath::new(path).expect("no zero in it")
}

/// Flags to open an existing file for reading.
pub(crate) const READ: OpenFlags = OpenFlags {
    access: GENERIC_READ,
    share: FILE_SHARE_READ | FILE_SHARE_WRITE,
    disposition: OPEN_EXISTING,
    flags: FILE_FLAG_OVERLAPPED,
};

/// Flags to open a file for reading and writing, and to create it if it does not exist.
pub(crate) const READ_WRITE_CREATE: OpenFlags = OpenFlags {
    access: GENERIC_READ | GENERIC_WRITE,
    disposition: OPEN_ALWAYS,
    ..READ
};

/// The attributes of a file that is created.
pub(crate) const NEW_FILE: u32 = FILE_ATTRIBUTE_NORMAL;

/// Checks that the attributes equal std's, and that the file has one name.
#[track_caller]
pub(crate) fn check_attributes(attributes: &Attributes, expected: &Metadata) {
    assert_eq!(attributes.attributes(), expected.file_attributes());
    assert_eq!(attributes.nlink(), 1);
    assert_eq!(attributes.reparse_tag(), 0);
}

/// Whether a child would inherit the handle.
pub(crate) fn is_inherited(fd: &impl AsRawFd) -> bool {
    let mut flags = 0;
    // SAFETY: the number outlives the call.
    let told = unsafe { GetHandleInformation(handle(fd.as_raw_fd()), &raw mut flags) };
    assert_ne!(told, 0, "{}", io::Error::last_os_error());
    flags & HANDLE_FLAG_INHERIT != 0
}

/// A socket is a handle, too.
fn handle(fd: RawFd) -> HANDLE {
    match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => socket as HANDLE,
    }
}

/// Windows cannot report the mode of a socket, and our pipes have no mode that could change.
pub(crate) fn check_blocks(_fd: &impl AsRawFd) {}

/// Numbers that no open handle and no open socket has.
pub(crate) fn no_descriptors() -> impl Iterator<Item = RawFd> {
    // Handle numbers start small, and the first few below zero are pseudo-handles.
    let numbers = [0x7fff_fff1_usize, usize::MAX - 100];
    numbers.into_iter().flat_map(|number| {
        [
            RawFd::Handle(ptr::without_provenance_mut(number)),
            RawFd::Socket(number as u64),
        ]
    })
}

/// Whether the error says that there is no such descriptor.
pub(crate) fn is_no_descriptor(error: &io::Error) -> bool {
    [ERROR_INVALID_HANDLE as i32, WSAENOTSOCK]
        .map(Some)
        .contains(&error.raw_os_error())
}

/// Whether an outer loop that waits for the driver's handle is woken within this time.
pub(crate) fn is_woken(driver: &Driver, timeout: Duration) -> bool {
    is_signalled(handle(driver.as_raw_fd()), timeout)
}
