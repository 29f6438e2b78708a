//! Named pipes: creation, disconnect, information and mode. These calls do not block, except
//! on a handle without `FILE_FLAG_OVERLAPPED` on which another thread waits. Waiting for a client is in `op`.

use std::{
    io,
    os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    ptr,
};

use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE},
    Storage::FileSystem::FILE_FLAG_OVERLAPPED,
    System::Pipes::{
        CreateNamedPipeW, DisconnectNamedPipe, GetNamedPipeInfo, SetNamedPipeHandleState,
    },
};

use super::fs::NativePath;

/// How the server's end of a named pipe is created: arguments of `CreateNamedPipeW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPipeFlags {
    /// `PIPE_ACCESS_` and `FILE_FLAG_` bits. `FILE_FLAG_OVERLAPPED` is always among them.
    pub open: u32,
    /// `PIPE_TYPE_`, `PIPE_READMODE_` and other such bits.
    pub mode: u32,
    /// How many instances the pipe may have: 1 to 254, or 255 for no limit but memory.
    pub instances_max: u32,
    /// Size in bytes of the buffer for data that the server writes.
    pub out_buffer: u32,
    /// Size in bytes of the buffer for data that the server reads.
    pub in_buffer: u32,
}

/// Information about an end of a named pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPipeInfo {
    /// A set of `PIPE_SERVER_END` and `PIPE_TYPE_MESSAGE`.
    pub flags: u32,
    /// How many instances the pipe may have; 255 for no limit but memory.
    pub instances_max: u32,
    /// Size in bytes of the buffer for data that this end writes.
    pub out_buffer: u32,
    /// Size in bytes of the buffer for data that this end reads.
    pub in_buffer: u32,
}

/// Creates an instance of a named pipe, which no child process inherits.
///
/// # Errors
///
/// `ERROR_ACCESS_DENIED` if it must be the first instance and is not, `ERROR_PIPE_BUSY` if the pipe
/// has its maximum number of instances. Other OS errors of `CreateNamedPipeW`.
pub fn create_named_pipe(name: &NativePath, flags: NamedPipeFlags) -> io::Result<OwnedHandle> {
    let milliseconds_by_default = 0;
    // SAFETY: the name ends with a NUL and outlives the call.
    let handle = unsafe {
        CreateNamedPipeW(
            name.as_ptr(),
            flags.open | FILE_FLAG_OVERLAPPED,
            flags.mode,
            flags.instances_max,
            flags.out_buffer,
            flags.in_buffer,
            milliseconds_by_default,
            ptr::null(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new, and has no other owner.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Disconnects the client of a server's end. Bytes that the client has not read are lost.
///
/// # Errors
///
/// The OS error of `DisconnectNamedPipe`.
pub fn disconnect_named_pipe(pipe: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    done(unsafe { DisconnectNamedPipe(raw(pipe)) })
}

/// Returns information about an end of a named pipe.
///
/// # Errors
///
/// The OS error of `GetNamedPipeInfo`, for instance if the handle is no named pipe.
pub fn named_pipe_info(pipe: BorrowedHandle<'_>) -> io::Result<NamedPipeInfo> {
    let mut info = NamedPipeInfo {
        flags: 0,
        instances_max: 0,
        out_buffer: 0,
        in_buffer: 0,
    };
    // SAFETY: all pointers outlive the call.
    done(unsafe {
        GetNamedPipeInfo(
            raw(pipe),
            &mut info.flags,
            &mut info.out_buffer,
            &mut info.in_buffer,
            &mut info.instances_max,
        )
    })?;
    Ok(info)
}

/// Sets the read mode of an end of a named pipe: `PIPE_READMODE_MESSAGE` or `PIPE_READMODE_BYTE`.
///
/// # Errors
///
/// `ERROR_INVALID_PARAMETER` for `PIPE_READMODE_MESSAGE` on a byte pipe. Other OS errors of
/// `SetNamedPipeHandleState`.
pub fn set_named_pipe_mode(pipe: BorrowedHandle<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: the mode outlives the call.
    done(unsafe { SetNamedPipeHandleState(raw(pipe), &mode, ptr::null(), ptr::null()) })
}

fn raw(pipe: BorrowedHandle<'_>) -> HANDLE {
    pipe.as_raw_handle()
}

fn done(returned: i32) -> io::Result<()> {
    if returned == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
