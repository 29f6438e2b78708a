//! Handles, error codes and backends of Windows.
//!
//! A completion port can wait only for an overlapped handle: the driver's ends are overlapped, and
//! the tests' own ends are not, as std's blocking calls need.

use std::{
    env,
    fs::{File, Metadata, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    iter, mem,
    net::TcpStream,
    os::windows::{
        fs::{MetadataExt, OpenOptionsExt},
        io::{FromRawHandle, OwnedHandle},
    },
    path::Path,
    process, ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use compio_driver::{
    AsRawFd, BackendKind, Driver, DriverBuilder, RawFd, SharedFd,
    op::Attributes,
    request::{NativePath, OpenFlags},
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_INVALID_HANDLE, FILETIME, GENERIC_READ, GENERIC_WRITE, GetHandleInformation, HANDLE,
        HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, WAIT_OBJECT_0, WAIT_TIMEOUT,
    },
    Networking::WinSock::{self, WSAENOTSOCK},
    Storage::FileSystem::{
        FILE_ATTRIBUTE_NORMAL, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED,
        FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_ALWAYS, OPEN_EXISTING, PIPE_ACCESS_INBOUND,
    },
    System::{
        LibraryLoader::{GetModuleHandleA, GetProcAddress},
        Pipes::{CreateNamedPipeW, PIPE_REJECT_REMOTE_CLIENTS},
        Threading::{GetCurrentThread, GetThreadTimes, WaitForSingleObject},
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

/// The reading and the writing end of a named pipe: anonymous pipes are not overlapped.
fn pipe_ends(reader_flags: u32, writer_flags: u32) -> (File, File) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let name = format!(r"\\.\pipe\compio-test-{}-{number}", process::id());
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let access = PIPE_ACCESS_INBOUND | FILE_FLAG_FIRST_PIPE_INSTANCE | reader_flags;
    let (instances, room, default_timeout_ms) = (1, 1 << 16, 0);
    // SAFETY: the name ends with a zero and outlives the call. The handle is new.
    let reader = unsafe {
        let handle = CreateNamedPipeW(
            wide.as_ptr(),
            access,
            PIPE_REJECT_REMOTE_CLIENTS,
            instances,
            room,
            room,
            default_timeout_ms,
            ptr::null(),
        );
        assert_ne!(
            handle,
            INVALID_HANDLE_VALUE,
            "{}",
            io::Error::last_os_error()
        );
        OwnedHandle::from_raw_handle(handle)
    };
    let mut writer = OpenOptions::new();
    let writer = writer.write(true).custom_flags(writer_flags).open(name);
    (reader.into(), writer.expect("its other end"))
}

/// The reading and the writing end of a pipe.
pub(crate) fn pipe() -> (SharedFd, SharedFd) {
    let (reader, writer) = pipe_ends(FILE_FLAG_OVERLAPPED, FILE_FLAG_OVERLAPPED);
    (share(reader), share(writer))
}

/// A pipe that the driver reads and the test writes.
pub(crate) fn pipe_in() -> (SharedFd, File) {
    let (reader, writer) = pipe_ends(FILE_FLAG_OVERLAPPED, 0);
    (share(reader), writer)
}

/// A pipe that the driver writes and the test reads.
pub(crate) fn pipe_out() -> (File, SharedFd) {
    let (reader, writer) = pipe_ends(0, FILE_FLAG_OVERLAPPED);
    (reader, share(writer))
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
    (file, share(overlapped.expect("the same file")))
}

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

/// Whether this is Wine, whose differences from Windows are no faults of the driver.
pub(crate) fn on_wine() -> bool {
    // SAFETY: both names end with a zero; the module is always loaded.
    unsafe {
        let module = GetModuleHandleA(c"ntdll.dll".as_ptr().cast());
        GetProcAddress(module, c"wine_get_version".as_ptr().cast()).is_some()
    }
}

/// Whether this is Wine, and cannot run this test. The skip is written to the file that
/// `COMPIO_SKIPS` names, so that the test does not count as passed.
pub(crate) fn is_skipped_on_wine(why: &str) -> bool {
    if !on_wine() {
        return false;
    }
    if let Some(path) = env::var_os("COMPIO_SKIPS") {
        let thread = thread::current();
        let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
        let skips = OpenOptions::new().append(true).create(true).open(path);
        skips
            .and_then(|mut skips| skips.write_all(line.as_bytes()))
            .expect("a line more");
    }
    true
}

/// Whether an outer loop that waits for the driver's handle is woken within this time.
pub(crate) fn is_woken(driver: &Driver, timeout: Duration) -> bool {
    // SAFETY: the driver keeps its handle open.
    match unsafe { WaitForSingleObject(handle(driver.as_raw_fd()), timeout.as_millis() as u32) } {
        WAIT_OBJECT_0 => true,
        WAIT_TIMEOUT => false,
        _ => panic!("{}", io::Error::last_os_error()),
    }
}

/// The CPU time of this thread, in steps of 16 ms.
pub(crate) fn processor_time() -> Duration {
    // SAFETY: plain data that the call fills in; the thread is this one.
    let (kernel, user) = unsafe {
        let [mut created, mut ended, mut kernel, mut user]: [FILETIME; 4] = mem::zeroed();
        let told = GetThreadTimes(
            GetCurrentThread(),
            &raw mut created,
            &raw mut ended,
            &raw mut kernel,
            &raw mut user,
        );
        assert_ne!(told, 0, "{}", io::Error::last_os_error());
        (kernel, user)
    };
    let ticks =
        |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Duration::from_nanos((ticks(kernel) + ticks(user)) * 100)
}
