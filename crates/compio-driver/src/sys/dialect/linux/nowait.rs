//! Transfers that take what is there at once, or say EAGAIN: Linux's `preadv2` and `pwritev2`.

use std::{mem, slice};

use crate::{
    request::{Answer, File, Position, RawFd, RawSlice, Span},
    sys::unix::last_error,
};

/// Reads all that a positioned read would, if it is in memory. EAGAIN if a part is not.
///
/// # Safety
///
/// As [`call`](crate::sys::call()).
pub(crate) unsafe fn read_fully(file: &File) -> Answer {
    if let File::Read { fd, .. } | File::ReadVectored { fd, .. } = *file
        && is_direct(fd)
    {
        // It is never in memory: the call would wait for the disk all the same.
        return Err(libc::EAGAIN);
    }
    // SAFETY: passed on from this function.
    let answer = unsafe { transfer(file) }?;
    let (fd, position, wanted) = match *file {
        File::Read { fd, span, position } => (fd, position, span.len as usize),
        File::ReadVectored {
            fd,
            spans,
            position,
        } => {
            // SAFETY: as many slices as are said.
            let slices = unsafe { slice::from_raw_parts(spans.first, spans.count as usize) };
            (fd, position, slices.iter().map(RawSlice::len).sum())
        }
        File::Write { .. }
        | File::WriteVectored { .. }
        | File::Sync { .. }
        | File::Open { .. }
        | File::Close { .. }
        | File::Stat { .. }
        | File::StatFd { .. } => return Ok(answer),
    };
    let Position::At(offset) = position else {
        return Ok(answer);
    };
    // Short: at the end of the file, or before something that is not in memory. Nothing at all is
    // no proof of the end either: Linux 5.9 and 5.10 say so before what is not in memory.
    let is_whole = answer as usize == wanted || is_end(fd, offset + u64::from(answer));
    if is_whole {
        Ok(answer)
    } else {
        Err(libc::EAGAIN)
    }
}

/// Whether this reads, and says where.
pub(crate) fn is_positioned_read(file: &File) -> bool {
    matches!(
        file,
        File::Read {
            position: Position::At(_),
            ..
        } | File::ReadVectored {
            position: Position::At(_),
            ..
        }
    )
}

/// Whether reads go past the memory.
fn is_direct(fd: RawFd) -> bool {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    mode >= 0 && mode & libc::O_DIRECT != 0
}

/// Whether a regular file ends here, or before.
fn is_end(fd: RawFd, offset: u64) -> bool {
    // SAFETY: `stat` is a plain C struct, which the call fills in.
    unsafe {
        let mut stat: libc::stat = mem::zeroed();
        libc::fstat(fd, &raw mut stat) == 0
            && stat.st_mode & libc::S_IFMT == libc::S_IFREG
            && stat.st_size as u64 <= offset
    }
}

/// Reads or writes without waiting. EOPNOTSUPP where that is not known how.
///
/// # Safety
///
/// As [`call`](crate::sys::call()).
pub(crate) unsafe fn transfer(file: &File) -> Answer {
    let one = |span: Span| RawSlice::new(span.start, span.len as usize);
    let slice;
    let (fd, first, count, position, reads) = match *file {
        File::Read { fd, span, position } => {
            slice = one(span);
            (fd, &raw const slice, 1, position, true)
        }
        File::Write { fd, span, position } => {
            slice = one(span);
            (fd, &raw const slice, 1, position, false)
        }
        File::ReadVectored {
            fd,
            spans,
            position,
        } => (fd, spans.first, spans.count, position, true),
        File::WriteVectored {
            fd,
            spans,
            position,
        } => (fd, spans.first, spans.count, position, false),
        File::Sync { .. }
        | File::Open { .. }
        | File::Close { .. }
        | File::Stat { .. }
        | File::StatFd { .. } => return Err(libc::EOPNOTSUPP),
    };
    let offset = match position {
        Position::Cursor => -1,
        Position::At(offset) => i64::try_from(offset).map_err(|_| libc::EINVAL)?,
    };
    let (first, count) = (RawSlice::as_iovec(first), count as i32);
    // SAFETY: the slices and what they point to are valid by this function's contract; `slice`
    // outlives the call.
    let done = unsafe {
        if reads {
            libc::preadv2(fd, first, count, offset, libc::RWF_NOWAIT)
        } else {
            libc::pwritev2(fd, first, count, offset, libc::RWF_NOWAIT)
        }
    };
    u32::try_from(done).map_err(|_| last_error())
}
