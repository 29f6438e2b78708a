//! Transfers that take what is there at once, or say EAGAIN: Linux's `preadv2` and `pwritev2`.

use crate::{
    request::{Answer, File, Position, RawSlice, Span},
    sys::unix::last_error,
};

/// Reads all that a positioned read would, if it is in memory. EAGAIN if a part is not.
///
/// # Safety
///
/// As [`call`](crate::sys::call).
pub(crate) unsafe fn read_fully(file: &File) -> Answer {
    // SAFETY: passed on from this function.
    let first = unsafe { transfer(file) }?;
    let File::Read {
        fd,
        span,
        position: Position::At(offset),
    } = *file
    else {
        return Ok(first);
    };
    if first == 0 || first == span.len {
        return Ok(first);
    }
    // Short: at the end of the file, or before something that is not in memory.
    let rest = File::Read {
        fd,
        // SAFETY: inside of the span.
        span: unsafe { Span::new(span.start.add(first as usize), (span.len - first) as usize) },
        position: Position::At(offset + u64::from(first)),
    };
    // SAFETY: passed on from this function.
    match unsafe { transfer(&rest) }? {
        0 => Ok(first),
        _ => Err(libc::EAGAIN),
    }
}

/// Reads or writes without waiting. EOPNOTSUPP where that is not known how.
///
/// # Safety
///
/// As [`call`](crate::sys::call).
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
