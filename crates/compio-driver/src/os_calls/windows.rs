//! The seam on Windows: the parts of common calls that std does not have under one name, and calls that
//! only Windows has.

use std::{
    ffi::OsString,
    fs::{self, FileType, Metadata},
    io,
    os::windows::{
        fs::{OpenOptionsExt, symlink_dir as std_symlink_dir, symlink_file as std_symlink_file},
        io::{BorrowedHandle, BorrowedSocket, OwnedHandle},
    },
    path::Path,
};

use socket2::SockAddr;
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OVERLAPPED, FILE_FLAG_WRITE_THROUGH};

use crate::{
    fd::SharedFd,
    os_calls::file::OpenOptions,
    sys::{
        BorrowedFd, OwnedFd, RawFd,
        os::windows::{
            assume_append_only, assume_overlapped, assume_synchronous, try_lock_file, unlock_file,
        },
        start_thread,
        windows::relay,
    },
};

/// The options for opening a file that only Windows has. `FILE_FLAG_OVERLAPPED` is always set.
#[derive(Debug, Clone, Default)]
pub struct SystemOpenOptions {
    /// The `dwDesiredAccess` of `CreateFileW`, in place of the common options.
    pub access_mode: Option<u32>,
    /// The `FILE_SHARE_` bits. All by default.
    pub share_mode: Option<u32>,
    /// Further `FILE_FLAG_` flags.
    pub custom_flags: u32,
    /// The `FILE_ATTRIBUTE_` bits of a file that is created.
    pub attributes: u32,
    /// The `SECURITY_` flags of the client of a named pipe.
    pub security_qos_flags: Option<u32>,
}

impl OpenOptions {
    pub(crate) fn apply_system(&self, options: &mut fs::OpenOptions) {
        let system = &self.system;
        let data_sync = if self.data_sync {
            FILE_FLAG_WRITE_THROUGH
        } else {
            0
        };
        options
            .custom_flags(system.custom_flags | data_sync | FILE_FLAG_OVERLAPPED)
            .attributes(system.attributes);
        if let Some(access) = system.access_mode {
            options.access_mode(access);
        }
        if let Some(share) = system.share_mode {
            options.share_mode(share);
        }
        if let Some(flags) = system.security_qos_flags {
            options.security_qos_flags(flags);
        }
    }
}

/// An entry of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name of the file.
    pub name: OsString,
    /// Its type, if known.
    pub kind: Option<FileType>,
    /// Its attributes, if known.
    pub attributes: Option<Metadata>,
}

impl Entry {
    pub(crate) fn new(entry: &fs::DirEntry) -> Self {
        Self {
            name: entry.file_name(),
            kind: entry.file_type().ok(),
            attributes: entry.metadata().ok(),
        }
    }
}

pub(crate) fn set_mode(_: &mut fs::DirBuilder, _: u32) {}

pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match fd {
        BorrowedFd::Handle(handle) => Ok(handle.try_clone_to_owned()?.into()),
        BorrowedFd::Socket(socket) => Ok(socket.try_clone_to_owned()?.into()),
    }
}

pub(crate) fn own_end(end: impl Into<OwnedHandle>) -> OwnedFd {
    end.into().into()
}

pub(crate) fn declare_append_only(file: &SharedFd) {
    assume_append_only(file);
}

pub(crate) fn declare_opened(file: &SharedFd) {
    assume_overlapped(file);
}

pub(crate) fn declare_end(end: &SharedFd) {
    assume_synchronous(end);
}

/// Moves the bytes of one pipe into another, on a thread of its own. The thread closes both when the first is at
/// EOF, or when the reader of the second has gone.
///
/// The relay of std has no access to handles that belong to a completion port: it would end at once, and
/// lose all bytes.
///
/// # Errors
///
/// The error of the start of the thread.
pub fn start_relay(from: OwnedHandle, to: OwnedHandle) -> io::Result<()> {
    start_thread("compio-relay", move || {
        // Both ends are closed, which tells their peers.
        let _ = relay(&from, &to);
    })
}

pub(crate) fn try_lock(fd: BorrowedFd<'_>, exclusive: bool) -> io::Result<bool> {
    try_lock_file(fd.into(), exclusive)
}

pub(crate) fn unlock(fd: BorrowedFd<'_>) -> io::Result<()> {
    unlock_file(fd.into())
}

/// Creates a symbolic link to a file.
pub fn symlink_file(original: &Path, link: &Path) -> io::Result<()> {
    std_symlink_file(original, link)
}

/// Creates a symbolic link to a directory.
pub fn symlink_dir(original: &Path, link: &Path) -> io::Result<()> {
    std_symlink_dir(original, link)
}

/// Borrows a handle or a socket.
///
/// # Safety
///
/// It is open for as long as the result is used.
pub unsafe fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: by this function's contract.
    unsafe {
        match fd {
            RawFd::Handle(handle) => BorrowedFd::Handle(BorrowedHandle::borrow_raw(handle)),
            RawFd::Socket(socket) => BorrowedFd::Socket(BorrowedSocket::borrow_raw(socket)),
        }
    }
}

/// The path of an open file: no call here returns it without a wait for the calls of the handle.
pub fn path_of(_: RawFd) -> Option<String> {
    None
}

/// The path of a unix address, which socket2 does not read on Windows.
pub fn name_of_address(_: &SockAddr) -> Option<String> {
    None
}

/// The number of a handle or a socket.
pub fn describe_number(fd: RawFd) -> String {
    match fd {
        RawFd::Handle(handle) => format!("handle {:#x}", handle.addr()),
        RawFd::Socket(socket) => format!("socket {socket:#x}"),
    }
}

/// The value of a descriptor, for traces.
#[cfg(feature = "tracing")]
pub fn descriptor_value(fd: RawFd) -> u64 {
    match fd {
        RawFd::Handle(handle) => handle.addr() as u64,
        RawFd::Socket(socket) => socket,
    }
}
