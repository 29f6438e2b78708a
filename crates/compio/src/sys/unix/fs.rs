//! What unix calls the options and kinds of files.

use std::{
    ffi::CString,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
};

use compio_driver::op::{Attributes, Open};

use crate::{
    fs::{Metadata, OpenOptions},
    runtime,
};

/// What can be said about the opening of a file here alone.
#[derive(Debug, Clone)]
pub(crate) struct SystemOptions {
    mode: u32,
    custom_flags: i32,
}

impl Default for SystemOptions {
    fn default() -> Self {
        Self {
            mode: 0o666,
            custom_flags: 0,
        }
    }
}

/// On unix.
impl OpenOptions {
    /// The permission bits of a file that is created, before the umask. 0o666 by default.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.system.mode = mode;
        self
    }

    /// More of the system's `O_` flags.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.system.custom_flags = flags;
        self
    }
}

/// On unix.
impl Metadata {
    /// Type and permission bits.
    pub fn mode(&self) -> u32 {
        self.0.mode()
    }
}

/// Opens the file, on this thread and at once.
pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<fs::File> {
    options
        .to_std()
        .mode(options.system.mode)
        .custom_flags(options.system.custom_flags)
        .open(path)
}

/// Opens the file through the kernel's queue.
pub(crate) async fn open_async(options: &OpenOptions, path: &Path) -> io::Result<fs::File> {
    let flags = open_flags(options)?;
    let path = path_to_c(path)?;
    let fd = runtime::submit(Open::new(path, flags, options.system.mode)).await?;
    Ok(fd.into())
}

/// The `O_` flags for these options, or `EINVAL` where std refuses them, too.
fn open_flags(options: &OpenOptions) -> io::Result<i32> {
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
    Ok(libc::O_CLOEXEC | access | creation | options.system.custom_flags & !libc::O_ACCMODE)
}

fn path_to_c(path: &Path) -> io::Result<CString> {
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

pub(crate) fn is_file(attributes: &Attributes) -> bool {
    kind(attributes) == libc::S_IFREG
}

pub(crate) fn is_dir(attributes: &Attributes) -> bool {
    kind(attributes) == libc::S_IFDIR
}

pub(crate) fn is_symlink(attributes: &Attributes) -> bool {
    kind(attributes) == libc::S_IFLNK
}

/// The bits of a mode that say what kind of file it is. Their type differs between systems.
fn kind(attributes: &Attributes) -> libc::mode_t {
    attributes.mode() as libc::mode_t & libc::S_IFMT
}
