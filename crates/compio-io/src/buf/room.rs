//! [`Room`]: an owned buffer for readers that borrow one.

use std::io;
#[cfg(feature = "futures-io")]
use std::mem::MaybeUninit;
#[cfg(feature = "tokio")]
use std::task::{Poll, ready};

#[cfg(feature = "tokio")]
use tokio::io::ReadBuf;

use super::{BufResult, IoBufMut};

/// How much of a buffer is zeroed for a reader that takes initialised bytes only. A read into more room than
/// this would cost more by its zeros than by its bytes.
#[cfg(feature = "futures-io")]
const ZEROED_MAX: usize = 64 * 1024;

/// A buffer that a reader fills through a borrow, over several polls.
pub(crate) struct Room<B> {
    buf: B,
    /// The length of the prefix that is initialised, which may exceed the buffer's length.
    initialised: usize,
}

impl<B: IoBufMut> Room<B> {
    pub(crate) fn new(buf: B) -> Self {
        let initialised = buf.buf_len();
        Self { buf, initialised }
    }

    /// The initialised part, and 64 KiB at least if the capacity permits. Each byte is zeroed once, and not
    /// again at later polls.
    #[cfg(feature = "futures-io")]
    pub(crate) fn zeroed(&mut self) -> &mut [u8] {
        // SAFETY: only initialised bytes are written to it.
        let room = unsafe { self.buf.as_uninit() };
        let len = room.len().min(self.initialised.max(ZEROED_MAX));
        room[self.initialised..len].fill(MaybeUninit::new(0));
        self.initialised = len;
        // SAFETY: all of it is initialised: before, by an earlier poll, or by the line above.
        unsafe { room[..len].assume_init_mut() }
    }

    /// Passes the whole capacity to a reader of `tokio`, without zeroing a byte. Returns the number of bytes that
    /// it has filled.
    ///
    /// # Panics
    ///
    /// If the reader has exchanged the `ReadBuf` by another one, which safe code can do.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_read_buf(
        &mut self,
        poll: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<usize>> {
        // SAFETY: a `ReadBuf` keeps initialised bytes initialised.
        let mut room = ReadBuf::uninit(unsafe { self.buf.as_uninit() });
        // SAFETY: these bytes are initialised.
        unsafe { room.assume_init(self.initialised) };
        let start = room.filled().as_ptr();
        ready!(poll(&mut room))?;
        let filled = room.filled();
        assert_eq!(
            filled.as_ptr(),
            start,
            "the reader has exchanged its `ReadBuf`"
        );
        let len = filled.len();
        self.initialised = self.initialised.max(len);
        Poll::Ready(Ok(len))
    }

    /// The result of the read with its buffer, whose length is set if the read succeeded.
    ///
    /// # Panics
    ///
    /// If the reader has reported more bytes than there was room for.
    pub(crate) fn finish(mut self, read: io::Result<usize>) -> BufResult<usize, B> {
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
