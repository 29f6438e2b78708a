//! Descriptors, error codes and backends of unix.

use std::{
    fs::{File, Metadata},
    io::{self, Seek, SeekFrom, Write},
    iter,
    os::unix::{ffi::OsStrExt, fs::MetadataExt, net::UnixStream},
    path::Path,
    time::Duration,
};

use compio_driver::{
    AsRawFd, BackendKind, Driver, DriverBuilder, RawFd, SharedFd,
    op::Attributes,
    request::{NativePath, OpenFlags},
};

use super::share;

pub(crate) use compio_testkit::sys::is_inherited;

/// Error codes of failed calls. On other systems one number of these may be two.
pub(crate) mod code {
    pub(crate) use libc::{
        EAFNOSUPPORT as NO_SUCH_FAMILY, EBADF as NOT_OPEN_FOR_THIS, ECANCELED as CANCELLED,
        ECONNREFUSED as REFUSED, ECONNRESET as RESET, EINVAL as NO_SUCH_OFFSET,
        EINVAL as NOT_LISTENING, EISCONN as CONNECTED_ALREADY, EMSGSIZE as TOO_LONG,
        ENOENT as NOT_FOUND, ENOTCONN as NOT_CONNECTED, ENOTSOCK as NOT_A_SOCKET,
        EOPNOTSUPP as NOT_FOR_THIS,
    };
}

pub(crate) use libc::{MSG_PEEK, MSG_TRUNC};

/// The builder of io_uring drivers, regardless of the environment; `None` if the kernel refuses
/// io_uring.
pub(crate) fn uring() -> Option<DriverBuilder> {
    let builder = DriverBuilder::new().backend(BackendKind::IoUring);
    match builder.clone().build() {
        Ok(_) => Some(builder),
        Err(error) => {
            eprintln!("not tested here: {error}");
            None
        }
    }
}

/// A driver with the readiness backend, regardless of the environment.
pub(crate) fn readiness() -> Driver {
    let builder = DriverBuilder::new().backend(BackendKind::Poll);
    builder.build().expect("a driver")
}

/// A driver per available backend.
pub(crate) fn each_backend() -> impl Iterator<Item = Driver> {
    let ring = uring().map(|builder| builder.build().expect("a driver"));
    iter::once(readiness()).chain(ring)
}

/// A driver that serves the waiting operations of a descriptor in order of arrival. A ring may
/// serve them in any order.
pub(crate) fn fair_driver() -> Driver {
    readiness()
}

/// One end of a local connection, for direct use by a test.
pub(crate) type Stream = UnixStream;

/// Two connected stream sockets.
pub(crate) fn streams() -> (Stream, Stream) {
    UnixStream::pair().expect("a pair of sockets")
}

/// The reading and the writing end of a pipe.
pub(crate) fn pipe() -> (SharedFd, SharedFd) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (share(reader), share(writer))
}

/// A pipe that the driver reads and the test writes.
pub(crate) fn pipe_in() -> (SharedFd, File) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (share(reader), std::os::fd::OwnedFd::from(writer).into())
}

/// A pipe that the driver writes and the test reads.
pub(crate) fn pipe_out() -> (File, SharedFd) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (std::os::fd::OwnedFd::from(reader).into(), share(writer))
}

/// An unnamed file with this content, for the test and for the driver.
pub(crate) fn file(content: &[u8]) -> (File, SharedFd) {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(content).expect("room");
    file.seek(SeekFrom::Start(0)).expect("a position");
    let fd = share(file.try_clone().expect("a descriptor"));
    (file, fd)
}

/// Whether this build has splices: only Linux has them.
pub(crate) const HAS_SPLICES: bool = cfg!(all(target_os = "linux", not(compio_portable)));

/// Whether readiness has priority, and errors alone. A kqueue does not report them through `polling`.
pub(crate) const REPORTS_EXCEPTIONS: bool = cfg!(all(target_os = "linux", not(compio_portable)));

/// Whether a send makes its socket non-blocking for good, as on macOS.
pub(crate) const SENDS_CHANGE_MODE: bool = cfg!(any(target_vendor = "apple", compio_portable));

/// Whether raw control data is received with descriptors that are closed on exec: by a flag of Linux.
pub(crate) const RECEIVES_CLOSED_ON_EXEC: bool =
    cfg!(all(target_os = "linux", not(compio_portable)));

/// Whether attributes have the time of creation. `stat` of Linux does not have it, and `statx` does.
pub(crate) const HAS_CREATION_TIME: bool = cfg!(not(compio_portable));

/// The number of buffers that one file transfer takes.
pub(crate) const BUFFERS_MAX: usize = 1024;

/// Writes the file to disk, and drops it from the page cache from this offset on, if the system can.
pub(crate) fn forget_from(file: &File, offset: i64) {
    file.sync_all().expect("a disk");
    #[cfg(target_vendor = "apple")]
    let _ = offset;
    #[cfg(not(target_vendor = "apple"))]
    {
        let advice = libc::POSIX_FADV_DONTNEED;
        // SAFETY: no pointers are passed.
        let forgotten = unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, 0, advice) };
        assert_eq!(forgotten, 0);
    }
}

/// The path as requests need it.
pub(crate) fn native(path: impl AsRef<Path>) -> NativePath {
    NativePath::new(path.as_ref().as_os_str().as_bytes()).expect("no zero in it")
}

/// Flags to open an existing file for reading.
pub(crate) const READ: OpenFlags = libc::O_RDONLY;

/// Flags to open a file for reading and writing, and to create it if it does not exist.
pub(crate) const READ_WRITE_CREATE: OpenFlags = libc::O_CREAT | libc::O_RDWR;

/// The mode of a file that is created.
pub(crate) const NEW_FILE: u32 = 0o600;

/// Checks that the attributes equal std's.
#[track_caller]
pub(crate) fn check_attributes(attributes: &Attributes, expected: &Metadata) {
    assert_eq!(attributes.mode(), expected.mode());
    assert_eq!(attributes.ino(), expected.ino());
    assert_eq!(attributes.dev(), expected.dev());
    assert_eq!(attributes.nlink(), expected.nlink());
    assert_eq!(attributes.uid(), expected.uid());
    assert_eq!(attributes.gid(), expected.gid());
    assert_eq!(attributes.blocks(), expected.blocks());
}

/// Checks that the descriptor is still in blocking mode.
#[track_caller]
pub(crate) fn check_blocks(fd: &impl AsRawFd) {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    assert!(mode >= 0 && mode & libc::O_NONBLOCK == 0);
}

/// Numbers that no open descriptor has.
pub(crate) fn no_descriptors() -> impl Iterator<Item = RawFd> {
    [-1, 1_000_000, i32::MAX, i32::MIN].into_iter()
}

/// Whether the error says that there is no such descriptor.
pub(crate) fn is_no_descriptor(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// Whether an outer loop that waits for the driver's descriptor is woken within this time.
pub(crate) fn is_woken(driver: &Driver, timeout: Duration) -> bool {
    compio_testkit::sys::is_readable(driver, timeout)
}
