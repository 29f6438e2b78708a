//! [`AsyncSeek`]: readers and writers with a position, and [`AsyncSize`], the size
//! for seeking from the end. The positions of `Cursor` are in `cursor`.

use std::io::{self, SeekFrom};

/// A reader or writer whose position can be moved.
///
/// ```
/// use std::io::{Cursor, SeekFrom};
///
/// use compio::io::{AsyncReadExt, AsyncSeek};
///
/// # pollster::block_on(async {
/// let mut source = Cursor::new(b"abcdef");
/// assert_eq!(source.seek(SeekFrom::End(-2)).await?, 4);
/// assert_eq!(source.read_u8().await?, b'e');
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait AsyncSeek {
    /// Moves the position and returns it, in bytes from the start.
    ///
    /// It may lie behind the end. Reads there return 0 bytes. The implementation
    /// documents writes there.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the position would be
    /// negative or more than [`u64::MAX`], and errors of the size query. The
    /// position is unchanged then.
    ///
    /// # Cancellation
    ///
    /// The position is unchanged.
    async fn seek(&mut self, pos: SeekFrom) -> io::Result<u64>;

    /// Moves the position to the start.
    ///
    /// # Errors
    ///
    /// As for [`seek`](Self::seek).
    ///
    /// # Cancellation
    ///
    /// As for [`seek`](Self::seek).
    async fn rewind(&mut self) -> io::Result<()> {
        self.seek(SeekFrom::Start(0)).await.map(drop)
    }

    /// The position, in bytes from the start.
    ///
    /// # Errors
    ///
    /// As for [`seek`](Self::seek).
    ///
    /// # Cancellation
    ///
    /// Has no effect.
    async fn stream_position(&mut self) -> io::Result<u64> {
        self.seek(SeekFrom::Current(0)).await
    }
}

/// A file or another object with a size. [`Cursor`](crate::io::Cursor) uses it to seek
/// from the end.
///
/// ```
/// use compio::io::AsyncSize;
///
/// # pollster::block_on(async {
/// assert_eq!(b"abc".size().await.unwrap(), 3);
/// # });
/// ```
pub trait AsyncSize {
    /// The current size in bytes.
    ///
    /// # Errors
    ///
    /// The OS error of the size query.
    ///
    /// # Cancellation
    ///
    /// Has no effect.
    async fn size(&self) -> io::Result<u64>;
}

/// The absolute position of `pos`, relative to `current` or to the size.
pub(crate) fn target(base: u64, offset: i64) -> io::Result<u64> {
    base.checked_add_signed(offset).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "invalid seek to a negative or overflowing position",
        )
    })
}
