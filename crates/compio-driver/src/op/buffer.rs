//! Conversions from buffers to the addresses and lengths in requests.

use compio_io::buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

use crate::{
    os_calls::socket::has_messages,
    request::{RawSlice, Span, Spans, TRANSFER_MAX},
    sys::{AsRawFd, SLICES_REFUSED},
};

/// The buffer of a read that was pushed to a driver, as the kernel left it: it contains the bytes,
/// but still has its old length. The entry's result is the number of bytes.
#[derive(Debug)]
pub struct Filled<B>(pub(super) B);

impl<B: IoBufMut> Filled<B> {
    /// The buffer with its length set.
    ///
    /// # Safety
    ///
    /// The result in the operation's entry is `len`.
    pub unsafe fn assume_len(mut self, len: usize) -> B {
        // SAFETY: by this function's contract.
        unsafe { self.0.set_init(len) };
        self.0
    }
}

impl<B> IntoInner for Filled<B> {
    type Inner = B;

    /// The buffer, with its old length.
    fn into_inner(self) -> B {
        self.0
    }
}

/// The buffers of a vectored read that was pushed to a driver, as the kernel left them: they contain the
/// bytes, one after the other, but still have their old lengths. The entry's result is the number of bytes.
#[derive(Debug)]
pub struct FilledVectored<V>(pub(super) V);

impl<V: IoVectoredBufMut> FilledVectored<V> {
    /// The buffers with their lengths set.
    ///
    /// # Safety
    ///
    /// The result in the operation's entry is `len`.
    pub unsafe fn assume_len(mut self, len: usize) -> V {
        // SAFETY: by this function's contract.
        unsafe { self.0.set_init(len) };
        self.0
    }
}

impl<V> IntoInner for FilledVectored<V> {
    type Inner = V;

    /// The buffers, with their old lengths.
    fn into_inner(self) -> V {
        self.0
    }
}

/// The initialised part, as the source of a write.
pub(super) fn readable(buffer: &impl IoBuf) -> Span {
    let bytes = buffer.as_init();
    Span::new(bytes.as_ptr().cast_mut(), bytes.len())
}

/// The whole capacity, as the destination of a read.
pub(super) fn writable(buffer: &mut impl IoBufMut) -> Span {
    // SAFETY: the room is only passed to the kernel, which never makes bytes uninitialised.
    let room = unsafe { buffer.as_uninit() };
    Span::new(room.as_mut_ptr().cast(), room.len())
}

/// The number of buffers that a kernel takes at once (`UIO_MAXIOV`). On a stream, more buffers result in a
/// short transfer.
const SLICES_MAX: usize = 1024;

/// The number of slices inside the operation.
const INLINE: usize = 4;

/// The slices of a vectored transfer: inside the operation if there are at most [`INLINE`], else on the heap.
/// The spans are valid for as long as the operation stays in place.
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

    /// The initialised parts, as the source of a write to `fd`.
    pub(super) fn readable(&mut self, fd: &impl AsRawFd, buffers: &impl IoVectoredBuf) -> Spans {
        self.fill(
            fd,
            buffers
                .slices()
                .map(|bytes| (bytes.as_ptr().cast_mut(), bytes.len())),
        )
    }

    /// The whole capacities, as the destination of a read from `fd`.
    pub(super) fn writable(
        &mut self,
        fd: &impl AsRawFd,
        buffers: &mut impl IoVectoredBufMut,
    ) -> Spans {
        // SAFETY: the rooms are only passed to the kernel, which never makes bytes uninitialised.
        let rooms = unsafe { buffers.uninit_slices() };
        self.fill(fd, rooms.map(|room| (room.as_mut_ptr().cast(), room.len())))
    }

    fn fill(&mut self, fd: &impl AsRawFd, places: impl Iterator<Item = (*mut u8, usize)>) -> Spans {
        let mut count = 0;
        let mut count_max = SLICES_MAX;
        // Not empty if the request is built again.
        self.many.clear();
        // Not every kernel limits the total itself, and some have 32 bits for a length. Only the last
        // slice may be cut.
        let mut left = TRANSFER_MAX;
        for (start, len) in places.filter(|&(_, len)| len > 0) {
            if left == 0 {
                break;
            }
            if count == count_max {
                // A message is sent whole or refused: the kernel fails with EMSGSIZE, or takes more
                // slices than other kernels.
                if count_max == SLICES_REFUSED || !has_messages(fd.as_raw_fd()) {
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
    fn a_request_built_again_has_each_slice_once() {
        let mut buffers: Vec<Vec<u8>> = (0..6).map(|_| Vec::with_capacity(8)).collect();
        let mut slices = Slices::new();
        for _ in 0..2 {
            let spans = slices.writable(&CurrentDir, &mut buffers);
            assert_eq!(spans.count, 6);
            assert_eq!(slices.many.len(), 6);
            assert_eq!(spans.first, slices.many.as_ptr());
        }
    }

    #[test]
    fn slices_beyond_the_limit_of_a_transfer_are_cut() {
        let start = std::ptr::dangling_mut::<u8>();
        let lens = [TRANSFER_MAX - 8, 16, 1];
        let mut slices = Slices::new();
        let spans = slices.fill(&CurrentDir, lens.map(|len| (start, len)).into_iter());
        assert_eq!(spans.count, 2);
        let [first, second, ..] = slices.inline;
        assert_eq!((first.len(), second.len()), (TRANSFER_MAX - 8, 8));
    }
}
