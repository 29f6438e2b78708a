//! What unix calls the options and kinds of files.

use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

use crate::fs::OpenOptions;

/// The `O_` flags for these options, or `EINVAL` where std refuses them, too.
pub(crate) fn open_flags(options: &OpenOptions) -> io::Result<i32> {
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
    Ok(libc::O_CLOEXEC | access | creation | options.custom_flags & !libc::O_ACCMODE)
}

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

pub(crate) fn is_file(mode: u32) -> bool {
    mode & KIND == libc::S_IFREG as u32
}

pub(crate) fn is_dir(mode: u32) -> bool {
    mode & KIND == libc::S_IFDIR as u32
}

pub(crate) fn is_symlink(mode: u32) -> bool {
    mode & KIND == libc::S_IFLNK as u32
}

/// The bits of a mode that say what kind of file it is. Their type differs between systems.
const KIND: u32 = libc::S_IFMT as u32;
