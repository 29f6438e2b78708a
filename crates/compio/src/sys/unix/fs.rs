//! Opening, creating, renaming and removing of files on unix.

use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

use compio_driver::{
    OwnedFd,
    op::{Link, MakeDir, Open, Remove, Rename},
    os_calls::{
        file::{self, DirectLimits},
        system,
    },
};

use crate::{
    fs::{DirBuilder, File, OpenOptions, off_thread_with},
    runtime,
};

/// On unix.
impl OpenOptions {
    /// The permission bits of a file that is created, before the umask. 0o666 by default.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.options.system.mode = mode;
        self
    }

    /// Sets further `O_` flags.
    ///
    /// With `O_DIRECT`, reads and writes bypass the page cache. Most file systems then require that
    /// offset, length and address of each are multiples of the block size, as of an
    /// [`Aligned`](crate::buf::Aligned) buffer.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.options.system.custom_flags = flags;
        self
    }
}

/// The options for a new directory that only unix has.
#[derive(Debug, Clone)]
pub(crate) struct SystemDirOptions {
    mode: u32,
}

impl Default for SystemDirOptions {
    fn default() -> Self {
        Self { mode: 0o777 }
    }
}

impl SystemDirOptions {
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Creates one directory as an operation of the driver.
    pub(crate) async fn create(&self, path: &Path) -> io::Result<()> {
        runtime::submit(MakeDir::new(path_to_c(path)?, self.mode)).await
    }
}

/// On unix.
impl DirBuilder {
    /// The permission bits of a directory that is created, before the umask. 0o777 by default.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.system.mode = mode;
        self
    }
}

/// Creates a symbolic link: `link` points to `original`, which need not exist.
///
/// # Platform differences
///
/// Only on unix. Windows has `symlink_file` and `symlink_dir`.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::os::unix::fs::symlink`].
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (path_to_c(original.as_ref())?, path_to_c(link.as_ref())?);
    runtime::submit(Link::symbolic(original, link)).await
}

/// Renames a file as an operation of the driver.
pub(crate) async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    runtime::submit(Rename::new(path_to_c(from)?, path_to_c(to)?)).await
}

/// Creates a hard link as an operation of the driver.
pub(crate) async fn hard_link(original: &Path, link: &Path) -> io::Result<()> {
    runtime::submit(Link::hard(path_to_c(original)?, path_to_c(link)?)).await
}

/// Removes a file as an operation of the driver.
pub(crate) async fn remove_file(path: &Path) -> io::Result<()> {
    runtime::submit(Remove::file(path_to_c(path)?)).await
}

/// Removes an empty directory as an operation of the driver.
pub(crate) async fn remove_dir(path: &Path) -> io::Result<()> {
    runtime::submit(Remove::dir(path_to_c(path)?)).await
}

/// Opens the file as an operation of the driver.
pub(crate) async fn open_async(options: &file::OpenOptions, path: &Path) -> io::Result<OwnedFd> {
    let (flags, mode) = open_flags(options)?;
    runtime::submit(Open::new(path_to_c(path)?, flags, mode)).await
}

/// Opens the file for direct I/O, and queries its limits.
pub(crate) async fn open_direct(
    options: &OpenOptions,
    path: &Path,
) -> io::Result<(File, DirectLimits)> {
    let (flags, mode) = open_flags(&options.options)?;
    let open = Open::new(path_to_c(path)?, flags | system::DIRECT, mode);
    let fd = runtime::submit(open)
        .await
        .map_err(|error| match error.raw_os_error() {
            // open(2) has no other usual reason for it.
            Some(libc::EINVAL) => io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the file system may have no direct I/O: {error}"),
            ),
            Some(_) | None => error,
        })?;
    let file = options.adopt(fd);
    let limits = off_thread_with(&file.fd, system::direct_limits).await?;
    Ok((file, limits))
}

/// The `O_` flags and the mode for these options, or `EINVAL` if std refuses them, too.
pub(crate) fn open_flags(options: &file::OpenOptions) -> io::Result<(i32, u32)> {
    let access = match (options.read, options.write, options.append) {
        (true, false, false) => libc::O_RDONLY,
        (false, true, false) => libc::O_WRONLY,
        (true, true, false) => libc::O_RDWR,
        (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
        (true, _, true) => libc::O_RDWR | libc::O_APPEND,
        (false, false, false) => return Err(invalid_input()),
    };
    let writes = options.write || options.append;
    let makes = options.create || options.create_new;
    if (options.truncate || makes) && !writes
        || options.truncate && options.append && !options.create_new
    {
        return Err(invalid_input());
    }
    let creation = match (options.create, options.truncate, options.create_new) {
        (_, _, true) => libc::O_CREAT | libc::O_EXCL,
        (false, false, false) => 0,
        (true, false, false) => libc::O_CREAT,
        (false, true, false) => libc::O_TRUNC,
        (true, true, false) => libc::O_CREAT | libc::O_TRUNC,
    };
    let custom = options.flags() & !libc::O_ACCMODE;
    let flags = libc::O_CLOEXEC | access | creation | custom;
    Ok((flags, options.system.mode))
}

/// The path as system calls take it.
pub(crate) fn path_to_c(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "file name contained an unexpected NUL byte",
        )
    })
}

fn invalid_input() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        Self::from_fd(fd)
    }
}

/// The length of a file, or std's error for a length that no file can have.
pub(crate) fn file_len(len: u64) -> io::Result<u64> {
    match i64::try_from(len) {
        Ok(_) => Ok(len),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    }
}
