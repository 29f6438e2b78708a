//! Non-blocking transfers by `preadv2` and `pwritev2`: they move the bytes that are available, or
//! return EAGAIN.

use std::{
    ffi::{c_int, c_long},
    mem, slice,
};

use super::kind::attributes_in_memory;
use crate::{
    request::{Position, RawFd, RawResult, RawSlice, Span, Transfer, WriteFlags},
    sys::unix::{last_error, with_cached_flags},
};

/// Bits of the cached flags: the number of reads for which the other bits are valid. The file's flags
/// can change at any time (`F_SETFL`), without notice.
const TRUST: u8 = 0b0011_1111;

/// A bit of the cached flags: reads bypass the page cache.
const DIRECT: u8 = 0b1000_0000;

/// A bit of the cached flags: the file has no non-blocking reads.
const WAITS: u8 = 0b0100_0000;

/// Whether this is a positioned read of a regular file without `FMODE_NOWAIT`: of FUSE, procfs, sysfs,
/// 9p. Call [`may_be_in_memory`] first.
///
/// io_uring's internal attempt of such a read ends with EAGAIN. If the file has a poll method, io_uring
/// then waits for readiness, even of a regular file: `/proc/bus/input/devices` is never ready, and a
/// read of it never ends (seen on Linux 6.18). `IOSQE_ASYNC` does not help, because the io-wq worker
/// waits in the same way.
pub(crate) fn has_to_wait(transfer: &Transfer) -> bool {
    positioned_read(transfer).is_some_and(|fd| {
        let note = with_cached_flags(fd, |note| *note).unwrap_or_else(|| ask(fd));
        note & WAITS != 0
    })
}

/// Whether this is a positioned read that may hit the page cache. If reads bypass the page cache, even
/// a non-blocking call waits for the disk.
pub(crate) fn may_be_in_memory(transfer: &Transfer) -> bool {
    positioned_read(transfer).is_some_and(|fd| !is_direct(fd))
}

/// The file of a positioned read.
fn positioned_read(transfer: &Transfer) -> Option<RawFd> {
    let is_positioned = transfer.position() != Position::Cursor;
    (transfer.is_read() && is_positioned).then_some(transfer.fd())
}

/// Executes a positioned read whose bytes are all in the page cache. EAGAIN if some are not.
///
/// # Safety
///
/// As [`call`](crate::sys::unix::call()).
pub(crate) unsafe fn read_fully(transfer: &Transfer) -> RawResult {
    // SAFETY: passed on from this function.
    let answer = unsafe { transfer_nowait(transfer) }?;
    let (fd, position, wanted) = match *transfer {
        Transfer::Read { fd, span, position } => (fd, position, span.len as usize),
        Transfer::ReadVectored {
            fd,
            spans,
            position,
        } => {
            // SAFETY: the array has `count` slices, by this function's contract.
            let slices = unsafe { slice::from_raw_parts(spans.first, spans.count as usize) };
            (fd, position, slices.iter().map(RawSlice::len).sum())
        }
        Transfer::Write { .. } | Transfer::WriteVectored { .. } => return Ok(answer),
    };
    let Position::At(offset) = position else {
        return Ok(answer);
    };
    // A short read ends at EOF, or before a page that is not in the page cache. Linux 5.9 and 5.10 also
    // return 0 before such a page.
    let is_whole = answer as usize == wanted
        || match file_type(fd) {
            Some(FileType::Regular { len }) => len <= offset + u64::from(answer),
            Some(FileType::Block) | None => false,
            // A record that was consumed from a queue, for instance of a TUN device: no other read gets
            // it.
            Some(FileType::Other) => true,
        };
    if is_whole {
        Ok(answer)
    } else {
        Err(libc::EAGAIN)
    }
}

/// Whether reads bypass the page cache.
fn is_direct(fd: RawFd) -> bool {
    note_of(fd) & DIRECT != 0
}

/// The flags of a descriptor. A query takes three system calls, so the flags are cached for the
/// generation of the number, if it has one.
fn note_of(fd: RawFd) -> u8 {
    let known = with_cached_flags(fd, |note| {
        if *note & TRUST == 0 {
            *note = ask(fd) | TRUST;
        }
        *note -= 1;
        *note
    });
    known.unwrap_or_else(|| ask(fd))
}

#[cold]
fn ask(fd: RawFd) -> u8 {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if mode >= 0 && mode & libc::O_DIRECT != 0 {
        return DIRECT;
    }
    // A device may ignore the position: the probe below would take a record from its queue.
    if !is_regular(fd) {
        return 0;
    }
    // Beyond the end of the file: the result depends on the flag alone.
    let mut byte = 0_u8;
    let read = Transfer::Read {
        fd,
        span: Span::new(&raw mut byte, 1),
        position: Position::At(i64::MAX as u64 - 1),
    };
    // SAFETY: the byte outlives the call.
    match unsafe { transfer_nowait(&read) } {
        Err(libc::EOPNOTSUPP) => WAITS,
        Ok(_) | Err(_) => 0,
    }
}

fn is_regular(fd: RawFd) -> bool {
    attributes_in_memory(fd).is_some_and(|kind| kind.mode & libc::S_IFMT == libc::S_IFREG)
}

enum FileType {
    Regular {
        len: u64,
    },
    Block,
    /// Devices, sockets, pipes, and files of the kernel without a type.
    Other,
}

#[cold]
fn file_type(fd: RawFd) -> Option<FileType> {
    // SAFETY: `stat` is a plain C struct, which the call fills in.
    let stat = unsafe {
        let mut stat: libc::stat = mem::zeroed();
        if libc::fstat(fd, &raw mut stat) != 0 {
            return None;
        }
        stat
    };
    Some(match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => FileType::Regular {
            len: stat.st_size as u64,
        },
        libc::S_IFBLK => FileType::Block,
        _ => FileType::Other,
    })
}

/// Reads or writes without waiting. EOPNOTSUPP if the file has no non-blocking transfers.
///
/// # Safety
///
/// As [`call`](crate::sys::unix::call()).
#[inline]
pub(crate) unsafe fn transfer_nowait(transfer: &Transfer) -> RawResult {
    let one = |span: Span| RawSlice::new(span.start, span.len as usize);
    let slice;
    let (fd, first, count, position, reads) = match *transfer {
        Transfer::Read { fd, span, position } => {
            slice = one(span);
            (fd, &raw const slice, 1, position, true)
        }
        Transfer::Write { fd, span, position } => {
            slice = one(span);
            (fd, &raw const slice, 1, position, false)
        }
        Transfer::ReadVectored {
            fd,
            spans,
            position,
        } => (fd, spans.first, spans.count, position, true),
        Transfer::WriteVectored {
            fd,
            spans,
            position,
        } => (fd, spans.first, spans.count, position, false),
    };
    let offset = match position {
        Position::Cursor => -1,
        Position::At(offset) => i64::try_from(offset).map_err(|_| libc::EINVAL)?,
    };
    let (first, count) = (RawSlice::as_iovec(first), count as i32);
    let number = if reads {
        libc::SYS_preadv2
    } else {
        libc::SYS_pwritev2
    };
    // SAFETY: the slices and their memory are valid by this function's contract; `slice` outlives the
    // call.
    let done = unsafe { with_flags(number, fd, first, count, offset, libc::RWF_NOWAIT) };
    done.map_err(|code| match code {
        // Older kernels lack the call, and filters of system calls refuse it. If the file itself
        // returns EPERM (a sealed memory file), the plain call that comes next does so, too.
        libc::ENOSYS | libc::EPERM => libc::EOPNOTSUPP,
        code => code,
    })
}

/// The `RWF_` flags of a write.
pub(crate) fn rwf(flags: WriteFlags) -> c_int {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(flags.data_sync, libc::RWF_DSYNC) | flag(flags.atomic, libc::RWF_ATOMIC)
}

/// Writes with flags, and may wait.
///
/// # Safety
///
/// The descriptor and the memory are valid.
pub(crate) unsafe fn write_with(
    fd: RawFd,
    span: Span,
    offset: u64,
    flags: WriteFlags,
) -> RawResult {
    let slice = RawSlice::from(span);
    let first = RawSlice::as_iovec(&raw const slice);
    let offset = i64::try_from(offset).map_err(|_| libc::EINVAL)?;
    // SAFETY: the memory is valid by this function's contract; `slice` outlives the call.
    unsafe { with_flags(libc::SYS_pwritev2, fd, first, 1, offset, rwf(flags)) }
}

/// The call preadv2(2) or pwritev2(2). libc's functions are cancellation points of threads, which costs 10 ns. So
/// this is a plain system call.
///
/// # Safety
///
/// The slices and their memory are valid.
#[inline]
unsafe fn with_flags(
    number: c_long,
    fd: RawFd,
    first: *const libc::iovec,
    count: i32,
    offset: i64,
    flags: c_int,
) -> RawResult {
    // SAFETY: by this function's contract. The kernel takes the offset in two parts. If a word has 64 bits,
    // it ignores the second one.
    let done = unsafe {
        libc::syscall(
            number,
            c_long::from(fd),
            first,
            c_long::from(count),
            offset as c_long,
            (offset >> 32) as c_long,
            c_long::from(flags),
        )
    };
    u32::try_from(done).map_err(|_| last_error())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        io,
        os::fd::{AsRawFd, OwnedFd},
        ptr,
    };

    use super::*;
    use crate::fd::SharedFd;

    /// An end of a pipe, which can have `O_DIRECT`, too.
    fn pipe() -> OwnedFd {
        io::pipe().unwrap().0.into()
    }

    fn set_direct(fd: &impl AsRawFd, direct: bool) {
        let mode = if direct { libc::O_DIRECT } else { 0 };
        // SAFETY: no pointers are passed.
        let set = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, mode) };
        assert_eq!(set, 0);
    }

    /// Whether the page cache is tried.
    fn is_tried(fd: &impl AsRawFd) -> bool {
        may_be_in_memory(&Transfer::Read {
            fd: fd.as_raw_fd(),
            span: Span::new(ptr::null_mut(), 0),
            position: Position::At(0),
        })
    }

    #[test]
    fn cached_flags_belong_to_one_generation() {
        let mut fd = pipe();
        for direct in [true, false, true] {
            set_direct(&fd, direct);
            let shared = SharedFd::from(fd);
            for _ in 0..1000 {
                assert_eq!(is_tried(&shared), !direct);
            }
            fd = shared.try_unwrap().unwrap();
        }
    }

    #[test]
    fn a_change_is_noticed_soon() {
        let fd = SharedFd::from(pipe());
        for direct in [false, true, false] {
            set_direct(&fd, direct);
            let soon = (0..=TRUST).any(|_| is_tried(&fd) != direct);
            assert!(soon, "{direct}");
        }
    }

    #[test]
    fn a_number_without_a_generation_is_queried_each_time() {
        let fd = pipe();
        for direct in [true, false, true] {
            set_direct(&fd, direct);
            assert_eq!(is_tried(&fd), !direct);
        }
    }
}
