//! Shared code of the adapters in `futures_io` and `tokio_io`: owned buffers over
//! readers and writers that borrow a buffer for one poll.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    task::Poll,
};

use crate::buf::{BufResult, IoBufMut, IoVectoredBuf};

/// The maximum number of buffers of one vectored write, a common value of `IOV_MAX`.
const SLICES_MAX: usize = 1024;

/// How much of a buffer is zeroed for a reader that takes initialised bytes only. A read into more room than
/// this would cost more by its zeros than by its bytes.
const ZEROED_MAX: usize = 64 * 1024;

/// A buffer that a reader fills through a borrow, over several polls.
pub(super) struct Room<B> {
    buf: B,
    /// The length of the prefix that is initialised, which may exceed the buffer's length.
    initialised: usize,
}

impl<B: IoBufMut> Room<B> {
    pub(super) fn new(buf: B) -> Self {
        let initialised = buf.buf_len();
        Self { buf, initialised }
    }

    /// The initialised part, and 64 KiB at least if the capacity permits. Each byte is zeroed once, and not
    /// again at later polls.
    pub(super) fn zeroed(&mut self) -> &mut [u8] {
        // SAFETY: only initialised bytes are written to it.
        let room = unsafe { self.buf.as_uninit() };
        let len = room.len().min(self.initialised.max(ZEROED_MAX));
        room[self.initialised..len].fill(MaybeUninit::new(0));
        self.initialised = len;
        // SAFETY: all of it is initialised: before, by an earlier poll, or by the line above.
        unsafe { room[..len].assume_init_mut() }
    }

    /// The result of the read with its buffer, whose length is set if the read succeeded.
    ///
    /// # Panics
    ///
    /// If the reader has reported more bytes than there was room for.
    pub(super) fn finish(mut self, read: io::Result<usize>) -> BufResult<usize, B> {
        if let Ok(len) = read {
            assert!(
                len <= self.initialised,
                "{len} bytes reported as read into room for {}",
                self.initialised
            );
            // SAFETY: so many bytes are initialised.
            unsafe { self.buf.set_init(len) };
        }
        (read, self.buf)
    }
}

/// The buffers as the standard library's type.
pub(super) fn io_slices<V: IoVectoredBuf>(buf: &V) -> Vec<IoSlice<'_>> {
    let filled = buf.slices().filter(|slice| !slice.is_empty());
    filled.take(SLICES_MAX).map(IoSlice::new).collect()
}

/// The buffered bytes of a reader, which has just reported some.
///
/// The caller polls twice, because the borrow checker rejects a borrow that only
/// one branch of the first poll returns.
pub(super) fn buffered(poll: Poll<io::Result<&[u8]>>) -> io::Result<&[u8]> {
    match poll {
        Poll::Ready(bytes) => bytes,
        Poll::Pending => panic!("a reader returned Pending while it had buffered bytes"),
    }
}
