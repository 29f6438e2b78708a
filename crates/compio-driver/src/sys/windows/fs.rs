//! Paths, open flags and attributes of files.

use std::{
    ffi::OsString,
    fmt, io, mem,
    os::windows::ffi::{OsStrExt, OsStringExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use windows_sys::Win32::{Foundation::FILETIME, Storage::FileSystem::BY_HANDLE_FILE_INFORMATION};

/// The code unit of a [`NativePath`].
pub type PathUnit = u16;

/// A path for system calls: in UTF-16, with a NUL at its end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NativePath(Box<[u16]>);

impl NativePath {
    /// The path, as it is: neither made absolute nor marked as a long one.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), if there is a NUL in it.
    pub fn new(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut units: Vec<u16> = path.as_ref().as_os_str().encode_wide().collect();
        if units.contains(&0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "file name contained an unexpected NUL",
            ));
        }
        units.push(0);
        Ok(Self(units.into()))
    }

    /// The address of the first unit.
    pub fn as_ptr(&self) -> *const PathUnit {
        self.0.as_ptr()
    }
}

impl fmt::Debug for NativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.strip_suffix(&[0]).unwrap_or(&self.0);
        OsString::from_wide(path).fmt(f)
    }
}

/// How a file is opened: arguments of `CreateFileW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFlags {
    /// The access to the file: `GENERIC_READ` and similar bits.
    pub access: u32,
    /// The access of others while it is open: `FILE_SHARE_` bits.
    pub share: u32,
    /// The action if the file exists, and if not: `OPEN_EXISTING` and similar values.
    pub disposition: u32,
    /// `FILE_FLAG_` bits. Only with `FILE_FLAG_OVERLAPPED` can the backend avoid a thread per operation.
    pub flags: u32,
}

/// The attributes of a file. A time that the file system does not keep is `None`.
#[derive(Clone, Copy)]
pub struct Stat {
    information: BY_HANDLE_FILE_INFORMATION,
    /// Set for a reparse point; otherwise 0.
    reparse_tag: u32,
}

impl Stat {
    pub(crate) fn zeroed() -> Self {
        // SAFETY: plain C structs of integers.
        unsafe { mem::zeroed() }
    }

    /// The addresses that the calls write to.
    ///
    /// # Safety
    ///
    /// `this` is valid.
    pub(crate) unsafe fn as_parts(this: *mut Self) -> (*mut BY_HANDLE_FILE_INFORMATION, *mut u32) {
        // SAFETY: by this function's contract.
        unsafe { (&raw mut (*this).information, &raw mut (*this).reparse_tag) }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        wide(
            self.information.nFileSizeHigh,
            self.information.nFileSizeLow,
        )
    }

    /// The `FILE_ATTRIBUTE_` bits.
    pub fn attributes(&self) -> u32 {
        self.information.dwFileAttributes
    }

    /// The `IO_REPARSE_TAG_` of a reparse point, such as a symbolic link; otherwise 0.
    pub fn reparse_tag(&self) -> u32 {
        self.reparse_tag
    }

    /// Number of hard links.
    pub fn nlink(&self) -> u64 {
        self.information.nNumberOfLinks.into()
    }

    /// A number that identifies the file on its volume.
    pub fn index(&self) -> u64 {
        wide(
            self.information.nFileIndexHigh,
            self.information.nFileIndexLow,
        )
    }

    /// Serial number of the volume that the file is on.
    pub fn volume(&self) -> u32 {
        self.information.dwVolumeSerialNumber
    }

    /// Time of the last change of the content.
    pub fn modified(&self) -> Option<SystemTime> {
        time(self.information.ftLastWriteTime)
    }

    /// Time of the last read, as far as the volume keeps it.
    pub fn accessed(&self) -> Option<SystemTime> {
        time(self.information.ftLastAccessTime)
    }

    /// Time of creation.
    pub fn created(&self) -> Option<SystemTime> {
        time(self.information.ftCreationTime)
    }
}

/// From the beginning of 1601, the epoch of Windows, to the beginning of 1970.
const BEFORE_UNIX: Duration = Duration::from_secs(11_644_473_600);

fn time(time: FILETIME) -> Option<SystemTime> {
    const TICKS_PER_SECOND: u64 = 10_000_000;
    let ticks = wide(time.dwHighDateTime, time.dwLowDateTime);
    if ticks == 0 {
        return None;
    }
    let nanos = (ticks % TICKS_PER_SECOND) as u32 * 100;
    let since_1601 = Duration::new(ticks / TICKS_PER_SECOND, nanos);
    match since_1601.checked_sub(BEFORE_UNIX) {
        Some(after) => UNIX_EPOCH.checked_add(after),
        None => UNIX_EPOCH.checked_sub(BEFORE_UNIX - since_1601),
    }
}

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl fmt::Debug for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stat")
            .field("size", &self.size())
            .field("attributes", &format_args!("{:#x}", self.attributes()))
            .finish_non_exhaustive()
    }
}
