//! From buffers to the places that requests name.

use compio_io::buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

use crate::{
    request::{RawSlice, Span, Spans, TRANSFER_MAX},
    sys::{self, AsRawFd, SLICES_REFUSED},
};

/// The buffer of a read that was pushed to a driver, as the kernel left it: the bytes are there,
/// but its length is still the old one. The entry tells how many bytes came.
#[derive(Debug)]
pub struct Filled<B>(pub(super) B);

impl<B: IoBufMut> Filled<B> {
    /// The buffer with its length set.
    ///
    /// # Safety
    ///
    /// The operation's entry said that `len` bytes were read.
    pub unsafe fn assume_len(mut self, len: usize) -> B {
        // SAFETY: by this function's contract.
        unsafe { self.0.set_init(len) };
        self.0
    }
}

impl<B> IntoInner for Filled<B> {
    type Inner = B;

    /// The buffer, its length untouched.
    fn into_inner(self) -> B {
        self.0
    }
}

/// The initialised part: what is to be written.
pub(super) fn readable(buffer: &impl IoBuf) -> Span {
    let bytes = buffer.as_init();
    Span::new(bytes.as_ptr().cast_mut(), bytes.len())
}

/// The whole room: where is to be read into.
pub(super) fn writable(buffer: &mut impl IoBufMut) -> Span {
    // SAFETY: the room is only handed to the kernel, which never makes bytes uninitialised.
    let room = unsafe { buffer.as_uninit() };
    Span::new(room.as_mut_ptr().cast(), room.len())
}

/// How many buffers a kernel takes at once (`UIO_MAXIOV`). Of a stream, the rest makes the transfer a short
/// one.
const SLICES_MAX: usize = 1024;

/// How many stay inside the operation.
const INLINE: usize = 4;

/// The places of a vectored transfer's buffers: inside the operation if they are few, so that the
/// spans are valid for as long as the operation stays in place.
#[derive(Debug)]
pub(super) struct Slices {
    inline: [RawSlice; INLINE],
    many: Vec<RawSlice>,
}

impl Slices {
    pub(super) fn new() -> Self {
        Self {
            inline: [RawSlice::new(std::ptr::null_mut(), 0); INLINE],
            many: Vec::new(),
        }
    }

    /// The initialised parts: what is to be written to `fd`.
    pub(super) fn readable(&mut self, fd: &impl AsRawFd, buffers: &impl IoVectoredBuf) -> Spans {
        self.fill(
            fd,
            buffers
                .slices()
                .map(|bytes| (bytes.as_ptr().cast_mut(), bytes.len())),
        )
    }

    /// The whole rooms: where is to be read into from `fd`.
    pub(super) fn writable(
        &mut self,
        fd: &impl AsRawFd,
        buffers: &mut impl IoVectoredBufMut,
    ) -> Spans {
        // SAFETY: the rooms are only handed to the kernel, which never makes bytes uninitialised.
        let rooms = unsafe { buffers.uninit_slices() };
        self.fill(fd, rooms.map(|room| (room.as_mut_ptr().cast(), room.len())))
    }

    fn fill(&mut self, fd: &impl AsRawFd, places: impl Iterator<Item = (*mut u8, usize)>) -> Spans {
        let mut count = 0;
        let mut count_max = SLICES_MAX;
        // There are some already if the operation is asked once more.
        self.many.clear();
        // Not every kernel bounds the whole by itself, and some have 32 bits for a length. What is
        // cut must be the last.
        let mut left = TRANSFER_MAX;
        for (start, len) in places.filter(|&(_, len)| len > 0) {
            if left == 0 {
                break;
            }
            if count == count_max {
                // A message is whole or refused: the kernel says EMSGSIZE, or takes more than others.
                if count_max == SLICES_REFUSED || !sys::has_messages(fd.as_raw_fd()) {
                    break;
                }
                count_max = SLICES_REFUSED;
            }
            let slice = RawSlice::new(start, len.min(left));
            left -= slice.len();
            if count < INLINE {
                self.inline[count] = slice;
            } else {
                if count == INLINE {
                    self.many.extend(self.inline);
                }
                self.many.push(slice);
            }
            count += 1;
        }
        Spans {
            first: if count <= INLINE {
                self.inline.as_ptr()
            } else {
                self.many.as_ptr()
            },
            count: count as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::CurrentDir;

    #[test]
    fn who_is_asked_again_names_each_place_once() {
        let mut buffers: Vec<Vec<u8>> = (0..6).map(|_| Vec::with_capacity(8)).collect();
        let mut slices = Slices::new();
        for _ in 0..2 {
            let spans = slices.writable(&CurrentDir, &mut buffers);
            assert_eq!(spans.count, 6);
            assert_eq!(slices.many.len(), 6);
            assert_eq!(spans.first, slices.many.as_ptr());
        }
    }
}
