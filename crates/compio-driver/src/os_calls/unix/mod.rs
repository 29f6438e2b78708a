//! The seam on unix: the parts of common calls that std does not have under one name, and calls that
//! only unix has.

mod dir;
mod direct;
mod inherit;

use std::{
    ffi::OsString,
    fs::{self, FileType},
    io,
    os::unix::fs::{DirBuilderExt, DirEntryExt, FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock},
    io::{Errno, retry_on_intr},
};
use socket2::{Domain, SockAddr, Socket, Type};

pub use self::dir::{
    hard_link_at, make_dir_at, read_dir_at, read_link_at, remove_dir_at, remove_file_at, rename_at,
    symlink_at,
};
pub use self::direct::{DIRECT, direct_limits};
pub use self::inherit::{FIRST_PASSED, Program, is_listening, take_inherited};
use crate::{
    fd::SharedFd,
    os_calls::{
        file::OpenOptions,
        socket::{SocketRef, calls},
    },
    sys::{BorrowedFd, OwnedFd, RawFd, in_simulation},
};

/// The options for opening a file that only unix has.
#[derive(Debug, Clone)]
pub struct SystemOpenOptions {
    /// The permission bits of a file that is created, before the umask.
    pub mode: u32,
    /// Further `O_` flags.
    pub custom_flags: i32,
}

impl OpenOptions {
    /// The `O_` flags in addition to access and creation.
    pub fn flags(&self) -> i32 {
        let data_sync = if self.data_sync { libc::O_DSYNC } else { 0 };
        self.system.custom_flags | data_sync
    }

    pub(crate) fn apply_system(&self, options: &mut fs::OpenOptions) {
        options.mode(self.system.mode).custom_flags(self.flags());
    }
}

impl Default for SystemOpenOptions {
    fn default() -> Self {
        Self {
            mode: 0o666,
            custom_flags: 0,
        }
    }
}

/// An entry of a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name of the file.
    pub name: OsString,
    /// The `S_IF` bits of its type, if known.
    pub kind: Option<libc::mode_t>,
    /// Its inode number.
    pub ino: u64,
}

impl Entry {
    /// Queries the type of the file if the directory does not have it: may block.
    pub(crate) fn new(entry: &fs::DirEntry) -> Self {
        Self {
            name: entry.file_name(),
            kind: entry.file_type().ok().map(bits),
            ino: entry.ino(),
        }
    }
}

fn bits(kind: FileType) -> libc::mode_t {
    let bits = [
        (kind.is_file(), libc::S_IFREG),
        (kind.is_dir(), libc::S_IFDIR),
        (kind.is_symlink(), libc::S_IFLNK),
        (kind.is_fifo(), libc::S_IFIFO),
        (kind.is_socket(), libc::S_IFSOCK),
        (kind.is_char_device(), libc::S_IFCHR),
        (kind.is_block_device(), libc::S_IFBLK),
    ];
    bits.iter().find(|(is, _)| *is).map_or(0, |(_, bits)| *bits)
}

pub(crate) fn set_mode(builder: &mut fs::DirBuilder, mode: u32) {
    builder.mode(mode);
}

pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd.try_clone_to_owned()
}

#[inline]
pub(crate) fn declare_append_only(_: &SharedFd) {}

#[inline]
pub(crate) fn declare_opened(_: &SharedFd) {}

#[inline]
pub(crate) fn declare_end(_: &SharedFd) {}

pub(crate) fn own_end(end: impl Into<OwnedFd>) -> OwnedFd {
    end.into()
}

pub(crate) fn try_lock(fd: BorrowedFd<'_>, exclusive: bool) -> io::Result<bool> {
    let how = if exclusive {
        FlockOperation::NonBlockingLockExclusive
    } else {
        FlockOperation::NonBlockingLockShared
    };
    match retry_on_intr(|| flock(fd, how)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn unlock(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(fd, FlockOperation::Unlock))?)
}

/// Opens one or both ends of a named pipe (FIFO) without a wait for the other end. The result is in
/// blocking mode. If `only_pipes`, it fails with `InvalidInput` for another type of file.
pub fn open_fifo(path: &Path, read: bool, write: bool, only_pipes: bool) -> io::Result<OwnedFd> {
    in_simulation!(refuse_here("named pipes"));
    let file = fs::OpenOptions::new()
        .read(read)
        .write(write)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if only_pipes && !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file is not a pipe; `unchecked` skips this check",
        ));
    }
    // O_NONBLOCK was for the opening only. From now on the kernel must wait, not return EAGAIN.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file.into())
}

/// socketpair(2): two Unix sockets that are connected to each other, which no child process inherits.
pub fn socket_pair(kind: Type) -> io::Result<(OwnedFd, OwnedFd)> {
    in_simulation!(socket_pair(kind));
    let (one, other) = Socket::pair(Domain::UNIX, kind, None)?;
    Ok((one.into(), other.into()))
}

calls! {
    /// `SO_REUSEPORT`.
    reuse_port() -> bool;
    /// `SO_REUSEPORT`.
    set_reuse_port(on: bool) -> ();
}

/// Borrows a descriptor.
///
/// # Safety
///
/// It is open for as long as the result is used.
pub unsafe fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: by this function's contract.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The path of an open file, or the kernel's name for another object. Only Linux has this directory.
pub fn path_of(fd: RawFd) -> Option<String> {
    in_simulation!(path_of(fd));
    let link = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The path or the abstract name of a unix address. `None` without a name.
pub fn name_of_address(address: &SockAddr) -> Option<String> {
    if let Some(path) = address.as_pathname() {
        return Some(path.display().to_string());
    }
    let name = address.as_abstract_namespace()?;
    Some(format!("@{}", String::from_utf8_lossy(name)))
}

/// The number of a descriptor.
pub fn describe_number(fd: RawFd) -> String {
    format!("fd {fd}")
}

/// The value of a descriptor, for traces.
#[cfg(feature = "tracing")]
pub fn descriptor_value(fd: RawFd) -> u64 {
    fd.unsigned_abs().into()
}
