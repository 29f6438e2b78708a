//! The attributes of a file, as `statx` returns them.

use std::{
    fmt, mem,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The attributes of a file. A time that the file system does not keep is `None`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Stat(libc::statx);

impl Stat {
    pub(crate) fn zeroed() -> Self {
        // SAFETY: a plain C struct of integers.
        Self(unsafe { mem::zeroed() })
    }

    /// The attributes that `stat` returns, and the time of creation if it is known.
    #[allow(
        clippy::unnecessary_cast,
        reason = "the types differ between architectures"
    )]
    pub(crate) fn from_older(stat: &libc::stat, created: Option<(i64, i64)>) -> Self {
        let time = |seconds, nanos| {
            // SAFETY: a plain C struct of integers.
            let mut time: libc::statx_timestamp = unsafe { mem::zeroed() };
            time.tv_sec = seconds;
            time.tv_nsec = nanos;
            time
        };
        let mut new = Self::zeroed();
        let Self(to) = &mut new;
        to.stx_mask = libc::STATX_BASIC_STATS;
        to.stx_size = stat.st_size as u64;
        to.stx_mode = stat.st_mode as u16;
        to.stx_nlink = stat.st_nlink as u32;
        to.stx_uid = stat.st_uid;
        to.stx_gid = stat.st_gid;
        to.stx_ino = stat.st_ino as u64;
        to.stx_dev_major = libc::major(stat.st_dev) as u32;
        to.stx_dev_minor = libc::minor(stat.st_dev) as u32;
        to.stx_rdev_major = libc::major(stat.st_rdev) as u32;
        to.stx_rdev_minor = libc::minor(stat.st_rdev) as u32;
        to.stx_blksize = stat.st_blksize as u32;
        to.stx_blocks = stat.st_blocks as u64;
        to.stx_atime = time(stat.st_atime as i64, stat.st_atime_nsec as u32);
        to.stx_mtime = time(stat.st_mtime as i64, stat.st_mtime_nsec as u32);
        to.stx_ctime = time(stat.st_ctime as i64, stat.st_ctime_nsec as u32);
        if let Some((seconds, nanos)) = created {
            to.stx_mask |= libc::STATX_BTIME;
            to.stx_btime = time(seconds, nanos as u32);
        }
        new
    }

    /// The attributes to be queried.
    pub(crate) const MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.stx_size
    }

    /// Type and permission bits, as `st_mode` has them.
    pub fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    /// Number of hard links.
    pub fn nlink(&self) -> u64 {
        self.0.stx_nlink.into()
    }

    /// The owner's user id.
    pub fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    /// The owner's group id.
    pub fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    /// Inode number.
    pub fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    /// The device that the file is on.
    pub fn dev(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The device that a device file represents.
    pub fn rdev(&self) -> u64 {
        libc::makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }

    /// The size of a block for efficient reads and writes, in bytes.
    pub fn blksize(&self) -> u64 {
        self.0.stx_blksize.into()
    }

    /// Seconds since 1970 and nanoseconds of the last read.
    pub fn atime(&self) -> (i64, i64) {
        parts(&self.0.stx_atime)
    }

    /// Seconds since 1970 and nanoseconds of the last change of the content.
    pub fn mtime(&self) -> (i64, i64) {
        parts(&self.0.stx_mtime)
    }

    /// Seconds since 1970 and nanoseconds of the last change of content or attributes.
    pub fn ctime(&self) -> (i64, i64) {
        parts(&self.0.stx_ctime)
    }

    /// Blocks of 512 bytes that the file occupies.
    pub fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }

    /// Time of the last change of the content.
    pub fn modified(&self) -> Option<SystemTime> {
        self.time(libc::STATX_MTIME, &self.0.stx_mtime)
    }

    /// Time of the last read, as far as the mount keeps it.
    pub fn accessed(&self) -> Option<SystemTime> {
        self.time(libc::STATX_ATIME, &self.0.stx_atime)
    }

    /// Time of creation.
    pub fn created(&self) -> Option<SystemTime> {
        self.time(libc::STATX_BTIME, &self.0.stx_btime)
    }

    fn time(&self, bit: u32, time: &libc::statx_timestamp) -> Option<SystemTime> {
        if self.0.stx_mask & bit == 0 {
            return None;
        }
        let whole = Duration::from_secs(time.tv_sec.unsigned_abs());
        let base = if time.tv_sec >= 0 {
            UNIX_EPOCH.checked_add(whole)
        } else {
            UNIX_EPOCH.checked_sub(whole)
        };
        base?.checked_add(Duration::from_nanos(time.tv_nsec.into()))
    }
}

fn parts(time: &libc::statx_timestamp) -> (i64, i64) {
    (time.tv_sec, time.tv_nsec.into())
}

impl fmt::Debug for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stat")
            .field("size", &self.size())
            .field("mode", &format_args!("{:o}", self.mode()))
            .finish_non_exhaustive()
    }
}
