//! The types of descriptors, and how each one can be used without waiting.
//!
//! Not every file supports `RWF_NOWAIT` (`FMODE_NOWAIT` in the kernel). Terminals, FIFOs, inotify and
//! most devices do not: they obey `O_NONBLOCK` only. That flag belongs to the open file description,
//! which other processes may share, so this crate does not change it. It opens terminals and FIFOs once
//! more instead.

use std::{
    cell::Cell,
    ffi::CString,
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::{
    request::RawFd,
    sys::unix::{kind_in_life, last_error, private_in_life},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A regular file, a directory, a block device, or no descriptor at all.
    File = 1,
    /// A regular file of FUSE: a program serves it, and may take any time.
    Fuse,
    /// A pipe, with a name or without.
    Pipe,
    Socket,
    /// A device that never blocks, for instance `/dev/null`.
    Memory,
    /// The inner side of a pseudo-terminal, or another terminal.
    Terminal,
    /// Not a file: an eventfd, a timerfd, an inotify.
    Anonymous,
    /// Any other device, for instance the outer side of a pseudo-terminal.
    Device,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::File,
        Self::Fuse,
        Self::Pipe,
        Self::Socket,
        Self::Memory,
        Self::Terminal,
        Self::Anonymous,
        Self::Device,
    ];
}

/// Whether readiness alone permits a transfer.
pub(crate) const fn trusts_readiness(_: Kind) -> bool {
    false
}

/// Not needed: events report the end of each pipe.
pub(crate) fn is_fifo(_: RawFd) -> bool {
    false
}

#[inline]
pub(crate) fn kind_of(fd: RawFd) -> Kind {
    Kind::ALL[usize::from(kind_in_life(fd, |fd| ask(fd) as u8)) - 1]
}

#[cold]
fn ask(fd: RawFd) -> Kind {
    let Some(stat) = stat(fd) else {
        return Kind::File;
    };
    match libc::mode_t::from(stat.stx_mode) & libc::S_IFMT {
        libc::S_IFREG if is_fuse(&stat) => Kind::Fuse,
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Kind::File,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => kind_of_device(fd, stat.stx_rdev_major, stat.stx_rdev_minor),
        _ => Kind::Anonymous,
    }
}

fn kind_of_device(fd: RawFd, major: u32, minor: u32) -> Kind {
    match (major, minor) {
        // null, zero, full, random, urandom.
        (1, 3 | 5 | 7 | 8 | 9) => Kind::Memory,
        _ if number_of_terminal(fd).is_some() && !is_master(fd, major) => Kind::Terminal,
        _ => Kind::Device,
    }
}

/// Cached attributes: the file system, which may be a program, is not queried.
fn stat(fd: RawFd) -> Option<libc::statx> {
    const MNT_ID_UNIQUE: u32 = 0x4000;
    // SAFETY: `statx` is plain data that the call fills in; the path is a C string.
    unsafe {
        let mut stat: libc::statx = mem::zeroed();
        let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
        let mask = libc::STATX_TYPE | MNT_ID_UNIQUE;
        if libc::statx(fd, c"".as_ptr(), flags, mask, &raw mut stat) == 0 {
            if stat.stx_mask & MNT_ID_UNIQUE == 0 {
                stat.stx_mnt_id = 0;
            }
            return Some(stat);
        }
        if last_error() == libc::EBADF {
            return None;
        }
        // A filter of system calls refuses statx.
        let mut plain: libc::stat = mem::zeroed();
        if libc::fstat(fd, &raw mut plain) != 0 {
            return None;
        }
        stat.stx_mode = plain.st_mode as u16;
        stat.stx_rdev_major = libc::major(plain.st_rdev);
        stat.stx_rdev_minor = libc::minor(plain.st_rdev);
        Some(stat)
    }
}

/// Whether a program serves the file. `fstatfs` would query that program: `statmount` (Linux 6.8)
/// queries only the kernel. An older kernel's rings do not wait for such files, see the decision page.
fn is_fuse(stat: &libc::statx) -> bool {
    thread_local! {
        /// The last mount that was queried. Its number is never used again.
        static LAST: Cell<(u64, bool)> = const { Cell::new((0, false)) };
    }
    let mount = stat.stx_mnt_id;
    if mount == 0 {
        return false;
    }
    let last = LAST.try_with(Cell::get).unwrap_or_default();
    if last.0 == mount {
        return last.1;
    }
    let is_fuse = magic_of_mount(mount) == Some(libc::FUSE_SUPER_MAGIC as u64);
    let _ = LAST.try_with(|last| last.set((mount, is_fuse)));
    is_fuse
}

fn magic_of_mount(mount: u64) -> Option<u64> {
    const STATMOUNT: libc::c_long = 457;
    const SB_BASIC: u64 = 1;
    /// `struct mnt_id_req` of Linux 6.8.
    #[repr(C)]
    struct Question {
        size: u32,
        spare: u32,
        mount: u64,
        wanted: u64,
    }
    /// The beginning of `struct statmount`, and room for the rest.
    #[repr(C)]
    struct Mount {
        size: u32,
        options: u32,
        mask: u64,
        device: [u32; 2],
        magic: u64,
        rest: [u64; 64],
    }
    let question = Question {
        size: size_of::<Question>() as u32,
        spare: 0,
        mount,
        wanted: SB_BASIC,
    };
    // SAFETY: plain numbers, which the call fills in; question and answer outlive it, and have the
    // sizes that are passed.
    let (asked, answer) = unsafe {
        let mut answer: Mount = mem::zeroed();
        let asked = libc::syscall(
            STATMOUNT,
            &raw const question,
            &raw mut answer,
            size_of::<Mount>(),
            0,
        );
        (asked, answer)
    };
    (asked == 0 && answer.mask & SB_BASIC != 0).then_some(answer.magic)
}

/// The device number of the terminal itself, whatever device it was opened by.
fn number_of_terminal(fd: RawFd) -> Option<u32> {
    let mut number = 0_u32;
    // SAFETY: the number outlives the call.
    let asked = unsafe { libc::ioctl(fd, libc::TIOCGDEV, &raw mut number) };
    (asked == 0).then_some(number)
}

/// Whether this is the outer side of a pseudo-terminal: opened once more, it would be another one.
fn is_master(fd: RawFd, major: u32) -> bool {
    /// Of the outer sides that have a device each.
    const MAJOR_OF_OLD_ONES: u32 = 2;
    let mut number = 0_u32;
    // SAFETY: the number outlives the call.
    major == MAJOR_OF_OLD_ONES || unsafe { libc::ioctl(fd, libc::TIOCGPTN, &raw mut number) } == 0
}

/// A description of a terminal or a pipe that belongs to this crate alone, in non-blocking mode. None if
/// the system refuses it: by permissions, without `/proc`, or for a number that no
/// [`SharedFd`](crate::SharedFd) holds.
pub(crate) fn private_of(fd: RawFd, kind: Kind) -> Option<RawFd> {
    match kind {
        Kind::Terminal | Kind::Pipe => private_in_life(fd, |fd| {
            open_again(fd, kind).map_err(|code| {
                // Of a FIFO: it has no reader now.
                !matches!(
                    code,
                    libc::ENXIO | libc::EMFILE | libc::ENFILE | libc::ENOMEM
                )
            })
        }),
        Kind::File | Kind::Fuse | Kind::Socket | Kind::Memory | Kind::Anonymous | Kind::Device => {
            None
        }
    }
}

#[cold]
fn open_again(fd: RawFd, kind: Kind) -> Result<OwnedFd, i32> {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if mode < 0 {
        return Err(last_error());
    }
    // The link leads to the file itself, even if the file has no name any more.
    let path = CString::new(format!("/proc/self/fd/{fd}")).map_err(|_| libc::EINVAL)?;
    let flags = mode & libc::O_ACCMODE | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string; the descriptor is new.
    let again = unsafe {
        let again = libc::open(path.as_ptr(), flags);
        if again < 0 {
            return Err(last_error());
        }
        OwnedFd::from_raw_fd(again)
    };
    // Packet mode. A FIFO cannot be opened with this flag.
    if kind == Kind::Pipe && mode & libc::O_DIRECT != 0 {
        let flags = libc::O_NONBLOCK | libc::O_DIRECT;
        // SAFETY: no pointers are passed.
        if unsafe { libc::fcntl(again.as_raw_fd(), libc::F_SETFL, flags) } < 0 {
            return Err(last_error());
        }
    }
    // `/dev/tty` and `/dev/console` may represent another terminal now than when they were opened.
    let is_same =
        kind != Kind::Terminal || number_of_terminal(again.as_raw_fd()) == number_of_terminal(fd);
    if is_same { Ok(again) } else { Err(libc::ENXIO) }
}
