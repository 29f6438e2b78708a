//! Helpers for Windows.

use std::{
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write},
    mem,
    net::TcpListener,
    os::windows::{
        ffi::OsStringExt,
        fs::{FileExt, OpenOptionsExt},
        io::{FromRawHandle, OwnedHandle},
    },
    path::Path,
    process, ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use compio::{
    driver::{AsRawFd, RawFd},
    fs::File,
    runtime::Runtime,
};
use windows_sys::Win32::{
    Foundation::{FILETIME, HANDLE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0, WAIT_TIMEOUT},
    Storage::FileSystem::{
        FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_INBOUND,
    },
    System::{
        IO::DeviceIoControl,
        Ioctl::FSCTL_SET_SPARSE,
        LibraryLoader::{GetModuleHandleA, GetProcAddress},
        Pipes::{CreateNamedPipeW, PIPE_REJECT_REMOTE_CLIENTS},
        Threading::{GetCurrentThread, GetThreadTimes, WaitForSingleObject},
    },
};

pub(crate) use compio::net::TcpStream as Stream;
pub(crate) use std::net::TcpStream as StdStream;

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

/// The same, of std.
pub(crate) fn std_streams() -> (StdStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let one = StdStream::connect(address).expect("a connection");
    (one, listener.accept().expect("the same connection").0)
}

/// The reading and the writing end of a named pipe: anonymous pipes are not overlapped.
fn pipe_ends(writer_flags: u32) -> (File, fs::File) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let name = format!(r"\\.\pipe\compio-test-{}-{number}", process::id());
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let access = PIPE_ACCESS_INBOUND | FILE_FLAG_FIRST_PIPE_INSTANCE | FILE_FLAG_OVERLAPPED;
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
    let reader = File::from_std(reader.into());
    (reader, writer.expect("its other end"))
}

/// The reading end of a pipe, and its other end.
pub(crate) fn pipe_in() -> (File, fs::File) {
    pipe_ends(0)
}

/// Both ends of a pipe.
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = pipe_ends(FILE_FLAG_OVERLAPPED);
    (reader, File::from_std(writer))
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

/// Whether this is Wine, whose behaviour may differ from Windows.
pub(crate) fn on_wine() -> bool {
    // SAFETY: both names end with a zero; the module is always loaded.
    unsafe {
        let module = GetModuleHandleA(c"ntdll.dll".as_ptr().cast());
        GetProcAddress(module, c"wine_get_version".as_ptr().cast()).is_some()
    }
}

/// Whether this is Wine, which cannot run this test. The skip is written to the file that
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

/// Whether the runtime's handle is signalled within this time.
pub(crate) fn is_readable(runtime: &Runtime, timeout: Duration) -> bool {
    let timeout_ms = timeout.as_micros().div_ceil(1000).try_into().unwrap();
    // SAFETY: the runtime keeps its handle open.
    match unsafe { WaitForSingleObject(handle(runtime.as_raw_fd()), timeout_ms) } {
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
