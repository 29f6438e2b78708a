//! The attributes of a file, as `stat` returns them.

use std::{
    fmt, mem,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::native::birth_time;

/// The attributes of a file. A time that the file system does not keep is `None`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Stat(libc::stat);

impl Stat {
    pub(crate) fn zeroed() -> Self {
        // SAFETY: a plain C struct of integers.
        Self(unsafe { mem::zeroed() })
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.st_size as u64
    }

    /// Type and permission bits, as `st_mode` has them.
    pub fn mode(&self) -> u32 {
        self.0.st_mode.into()
    }

    /// Number of hard links.
    pub fn nlink(&self) -> u64 {
        self.0.st_nlink.into()
    }

    /// The owner's user id.
    pub fn uid(&self) -> u32 {
        self.0.st_uid
    }

    /// The owner's group id.
    pub fn gid(&self) -> u32 {
        self.0.st_gid
    }

    /// Inode number.
    pub fn ino(&self) -> u64 {
        self.0.st_ino
    }

    /// The device that the file is on.
    pub fn dev(&self) -> u64 {
        self.0.st_dev as u64
    }

    /// The device that a device file represents.
    pub fn rdev(&self) -> u64 {
        self.0.st_rdev as u64
    }

    /// The size of a block for efficient reads and writes, in bytes.
    pub fn blksize(&self) -> u64 {
        self.0.st_blksize as u64
    }

    /// Seconds since 1970 and nanoseconds of the last read.
    pub fn atime(&self) -> (i64, i64) {
        (self.0.st_atime, self.0.st_atime_nsec)
    }

    /// Seconds since 1970 and nanoseconds of the last change of the content.
    pub fn mtime(&self) -> (i64, i64) {
        (self.0.st_mtime, self.0.st_mtime_nsec)
    }

    /// Seconds since 1970 and nanoseconds of the last change of content or attributes.
    pub fn ctime(&self) -> (i64, i64) {
        (self.0.st_ctime, self.0.st_ctime_nsec)
    }

    /// Blocks of 512 bytes that the file occupies.
    pub fn blocks(&self) -> u64 {
        self.0.st_blocks as u64
    }

    /// Time of the last change of the content.
    pub fn modified(&self) -> Option<SystemTime> {
        time(self.0.st_mtime, self.0.st_mtime_nsec)
    }

    /// Time of the last read, as far as the mount keeps it.
    pub fn accessed(&self) -> Option<SystemTime> {
        time(self.0.st_atime, self.0.st_atime_nsec)
    }

    /// Time of creation.
    pub fn created(&self) -> Option<SystemTime> {
        let (seconds, nanos) = birth_time(&self.0)?;
        time(seconds, nanos)
    }
}

fn time(seconds: i64, nanos: i64) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds >= 0 {
        UNIX_EPOCH.checked_add(whole)
    } else {
        UNIX_EPOCH.checked_sub(whole)
    };
    base?.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

impl fmt::Debug for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stat")
            .field("size", &self.size())
            .field("mode", &format_args!("{:o}", self.mode()))
            .finish_non_exhaustive()
    }
}
