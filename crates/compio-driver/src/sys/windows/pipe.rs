//! What is to be done with named pipes beside waiting for a client, reading and writing. None of
//! these calls waits.

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

/// How the server's end of a named pipe is created: what `CreateNamedPipeW` wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPipeFlags {
    /// `PIPE_ACCESS_` and `FILE_FLAG_` bits. `FILE_FLAG_OVERLAPPED` is always among them.
    pub open: u32,
    /// `PIPE_TYPE_`, `PIPE_READMODE_` and other such bits.
    pub mode: u32,
    /// How many instances the pipe may have: 1 to 254, or 255 for as many as there is memory for.
    pub instances_max: u32,
    /// In bytes, for what the server writes.
    pub out_buffer: u32,
    /// In bytes, for what the server reads.
    pub in_buffer: u32,
}

/// What is known of an end of a named pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedPipeInfo {
    /// `PIPE_SERVER_END` and `PIPE_TYPE_MESSAGE`, or not.
    pub flags: u32,
    /// How many instances the pipe may have; 255 for as many as there is memory for.
    pub instances_max: u32,
    /// In bytes, for what this end writes.
    pub out_buffer: u32,
    /// In bytes, for what this end reads.
    pub in_buffer: u32,
}

/// Creates an instance of a named pipe, which no child process inherits.
///
/// # Errors
///
/// The system's: `ERROR_ACCESS_DENIED` if it should be the first and is not, `ERROR_PIPE_BUSY` if
/// there are as many as there may be.
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
    // SAFETY: new, and ours.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Sends the client of a server's end away. What it has not read is lost.
///
/// # Errors
///
/// The system's.
pub fn disconnect_named_pipe(pipe: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    done(unsafe { DisconnectNamedPipe(raw(pipe)) })
}

/// Says what is known of an end of a named pipe.
///
/// # Errors
///
/// The system's, if it is none.
pub fn named_pipe_info(pipe: BorrowedHandle<'_>) -> io::Result<NamedPipeInfo> {
    let mut info = NamedPipeInfo {
        flags: 0,
        instances_max: 0,
        out_buffer: 0,
        in_buffer: 0,
    };
    // SAFETY: all of them outlive the call.
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

/// Chooses how an end of a named pipe is read: `PIPE_READMODE_MESSAGE` or `PIPE_READMODE_BYTE`.
///
/// # Errors
///
/// The system's; `ERROR_INVALID_PARAMETER` if messages are to be read from a pipe of bytes.
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
