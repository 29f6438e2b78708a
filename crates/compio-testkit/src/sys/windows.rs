//! Fixtures for Windows.

use std::{
    fs::{File, OpenOptions},
    io, mem,
    os::windows::{
        fs::OpenOptionsExt,
        io::{FromRawHandle, OwnedHandle, RawHandle},
    },
    process, ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{FILETIME, INVALID_HANDLE_VALUE, WAIT_OBJECT_0, WAIT_TIMEOUT},
    Storage::FileSystem::{FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_ACCESS_INBOUND},
    System::{
        LibraryLoader::{GetModuleHandleA, GetProcAddress},
        Pipes::{CreateNamedPipeW, PIPE_REJECT_REMOTE_CLIENTS},
        Threading::{GetCurrentThread, GetThreadTimes, WaitForSingleObject},
    },
};

/// Whether this is Wine, whose behaviour may differ from Windows.
pub fn on_wine() -> bool {
    // SAFETY: both names end with a zero; the module is always loaded.
    unsafe {
        let module = GetModuleHandleA(c"ntdll.dll".as_ptr().cast());
        GetProcAddress(module, c"wine_get_version".as_ptr().cast()).is_some()
    }
}

/// The CPU time of this thread, in steps of 16 ms.
pub fn processor_time() -> Duration {
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

/// Whether the handle, which is open, is signalled within this time, which is rounded up to
/// milliseconds.
#[expect(clippy::not_unsafe_ptr_arg_deref, reason = "a handle is a number")]
pub fn is_signalled(handle: RawHandle, timeout: Duration) -> bool {
    let timeout_ms = timeout.as_micros().div_ceil(1000).try_into();
    // SAFETY: no memory is passed. For a number that is no handle the call fails.
    match unsafe { WaitForSingleObject(handle, timeout_ms.expect("a short time")) } {
        WAIT_OBJECT_0 => true,
        WAIT_TIMEOUT => false,
        _ => panic!("{}", io::Error::last_os_error()),
    }
}

/// The name of a pipe that no other test uses.
pub fn pipe_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    format!(r"\\.\pipe\compio-test-{}-{number}", process::id())
}

/// The reading and the writing end of a named pipe, each opened with these flags: anonymous pipes are
/// not overlapped.
pub fn named_pipe(reader_flags: u32, writer_flags: u32) -> (File, File) {
    let name = pipe_name();
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
