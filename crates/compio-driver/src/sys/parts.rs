//! The memory of a request, as a kernel in memory uses it: by raw addresses.

use std::{ptr, slice};

use crate::{
    request::{Spans, Transfer},
    sys::Message,
};

/// The parts of a request's memory, one after the other.
#[derive(Debug)]
pub(crate) enum Parts {
    One([Part; 1]),
    Several(Vec<Part>),
}

type Part = (*mut u8, usize);

impl Parts {
    pub(crate) fn one(start: *mut u8, len: usize) -> Self {
        Self::One([(start, len)])
    }

    /// # Safety
    ///
    /// The request is valid.
    pub(crate) unsafe fn of_transfer(transfer: &Transfer) -> Self {
        match *transfer {
            Transfer::Read { span, .. } | Transfer::Write { span, .. } => {
                Self::one(span.start, span.len as usize)
            }
            // SAFETY: passed on from this function.
            Transfer::ReadVectored { spans, .. } | Transfer::WriteVectored { spans, .. } => unsafe {
                Self::of_spans(spans)
            },
        }
    }

    /// # Safety
    ///
    /// The array has as many slices as it says.
    unsafe fn of_spans(spans: Spans) -> Self {
        let part = |index| {
            // SAFETY: by this function's contract.
            let part = unsafe { *spans.first.add(index) };
            (part.start(), part.len())
        };
        Self::Several((0..spans.count as usize).map(part).collect())
    }

    /// # Safety
    ///
    /// The message is valid, and so is its array of slices.
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type of a count depends on the C library"
    )]
    pub(crate) unsafe fn of_message(message: *mut Message) -> Self {
        // SAFETY: by this function's contract.
        let header = unsafe { &*Message::as_msghdr(message) };
        let part = |index| {
            // SAFETY: likewise.
            let part = unsafe { &*header.msg_iov.add(index) };
            (part.iov_base.cast(), part.iov_len)
        };
        Self::Several((0..header.msg_iovlen as usize).map(part).collect())
    }

    fn all(&self) -> &[Part] {
        match self {
            Self::One(part) => part,
            Self::Several(parts) => parts,
        }
    }

    /// The address of the first part. Null if there is none.
    #[cfg(test)]
    pub(crate) fn start(&self) -> *mut u8 {
        self.all()
            .first()
            .map_or(ptr::null_mut(), |(start, _)| *start)
    }

    pub(crate) fn len(&self) -> usize {
        self.all().iter().map(|(_, len)| len).sum()
    }

    /// Whether all addresses and lengths are multiples of `unit`.
    #[cfg(feature = "sim")]
    pub(crate) fn are_aligned(&self, unit: usize) -> bool {
        let parts = self.all().iter();
        let mut numbers = parts.flat_map(|(start, len)| [start.addr(), *len]);
        numbers.all(|number| number.is_multiple_of(unit))
    }

    /// The first `max` bytes.
    ///
    /// # Safety
    ///
    /// The memory is initialized, and no other code writes to it.
    pub(crate) unsafe fn read(&self, max: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len().min(max));
        for &(start, len) in self.all() {
            let len = len.min(max - bytes.len());
            if len > 0 {
                // SAFETY: by this function's contract.
                bytes.extend_from_slice(unsafe { slice::from_raw_parts(start, len) });
            }
        }
        bytes
    }

    /// Writes the bytes from the position `from` on, as far as there is room. Returns their number.
    ///
    /// # Safety
    ///
    /// No other code uses the memory.
    pub(crate) unsafe fn write(&self, from: usize, bytes: &[u8]) -> usize {
        let (mut skip, mut rest) = (from, bytes);
        for &(start, len) in self.all() {
            let skipped = skip.min(len);
            skip -= skipped;
            let (now, later) = rest.split_at(rest.len().min(len - skipped));
            // SAFETY: by this function's contract; the part is long enough.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), start.add(skipped), now.len()) };
            rest = later;
        }
        bytes.len() - rest.len()
    }
}
