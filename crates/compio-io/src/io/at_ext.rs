//! [`AsyncReadAtExt`] and [`AsyncWriteAtExt`]: loops over reads and writes at a
//! position.

use std::io;

use crate::{
    buf::{
        BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, VectoredRest,
        VectoredSlice,
    },
    io::{
        AsyncReadAt, AsyncWriteAt, BUFFER_LEN, PROBE_LEN, Room, add, settle, to_text,
        unexpected_eof, write_zero,
    },
};

/// The position of the next operation.
fn behind(pos: u64, done: usize) -> u64 {
    pos.checked_add(done as u64)
        .expect("position behind u64::MAX")
}

/// Methods of every [`AsyncReadAt`].
pub trait AsyncReadAtExt: AsyncReadAt {
    /// Fills the whole capacity of `buf`, from its start, beginning `pos` bytes
    /// into the source.
    ///
    /// To read a given number of bytes, pass a slice: `buf.slice(..n)`. An
    /// interrupted read is repeated.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the source ends
    /// before, and errors of the source. `buf` holds the bytes read before: its
    /// length is set to their number, unless it is of fixed size or a slice.
    ///
    /// # Panics
    ///
    /// If the position passes [`u64::MAX`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer, nothing else: the bytes can be read
    /// again.
    ///
    /// ```
    /// use compio::io::AsyncReadAtExt;
    ///
    /// # pollster::block_on(async {
    /// let (result, buffer) = b"abcdef".read_exact_at([0; 3], 2).await;
    /// result.unwrap();
    /// assert_eq!(&buffer, b"cde");
    /// # });
    /// ```
    async fn read_exact_at<B: IoBufMut>(&self, mut buf: B, pos: u64) -> BufResult<(), B> {
        let mut filled = 0;
        let result = loop {
            if filled >= buf.buf_capacity() {
                break Ok(());
            }
            let (read, window) = self.read_at(buf.slice(filled..), behind(pos, filled)).await;
            buf = window.into_inner();
            match read {
                Ok(0) => break Err(unexpected_eof()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Err(e),
            }
        };
        settle(&mut buf, filled);
        (result, buf)
    }

    /// Reads from `pos` to the end of the source, behind the bytes that `buf`
    /// holds, and returns how many bytes were added.
    ///
    /// Interrupted reads are repeated. A vector whose room just fits the source
    /// does not grow.
    ///
    /// The first read requests 32 bytes or more, independent of the room of `buf`:
    /// a file of procfs may return its whole content for this read, and zero bytes
    /// at any other position.
    ///
    /// # Errors
    ///
    /// Errors of the source; `buf` then also holds the bytes read before the error.
    ///
    /// # Panics
    ///
    /// If the position passes [`u64::MAX`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer with its content; the source can be
    /// read again.
    ///
    /// ```
    /// use compio::io::AsyncReadAtExt;
    ///
    /// # pollster::block_on(async {
    /// let (read, buffer) = b"abcdef".read_to_end_at(b"> ".to_vec(), 4).await;
    /// assert_eq!((read.unwrap(), &buffer[..]), (2, &b"> ef"[..]));
    /// # });
    /// ```
    async fn read_to_end_at(&self, mut buf: Vec<u8>, pos: u64) -> BufResult<usize, Vec<u8>> {
        let mut total = 0;
        loop {
            let pos = behind(pos, total);
            let read = match Room::choose(&mut buf, total) {
                Room::InPlace => {
                    let len = buf.len();
                    let (read, window) = self.read_at(buf.slice(len..), pos).await;
                    buf = window.into_inner();
                    read
                }
                Room::Probe => {
                    let (read, probe) = self.read_at([0; PROBE_LEN], pos).await;
                    add(&mut buf, &probe[..*read.as_ref().unwrap_or(&0)]);
                    read
                }
                Room::First => {
                    let (read, first) = self.read_at(Vec::with_capacity(BUFFER_LEN), pos).await;
                    add(&mut buf, &first[..*read.as_ref().unwrap_or(&0)]);
                    read
                }
            };
            match read {
                Ok(0) => return (Ok(total), buf),
                Ok(n) => total += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
    }

    /// Fills the whole capacity of many buffers, one after the other, beginning
    /// `pos` bytes into the source. An interrupted read is repeated.
    ///
    /// # Errors
    ///
    /// As for [`read_exact_at`](Self::read_exact_at). The buffers hold the bytes
    /// read before the error.
    ///
    /// # Panics
    ///
    /// If the position passes [`u64::MAX`].
    ///
    /// # Cancellation
    ///
    /// As for [`read_exact_at`](Self::read_exact_at).
    ///
    /// ```
    /// use compio::io::AsyncReadAtExt;
    ///
    /// # pollster::block_on(async {
    /// let (result, (head, body)) = b"abcdef".read_vectored_exact_at(([0; 2], [0; 3]), 1).await;
    /// result.unwrap();
    /// assert_eq!((&head, &body), (b"bc", b"def"));
    /// # });
    /// ```
    async fn read_vectored_exact_at<V: IoVectoredBufMut>(
        &self,
        mut buf: V,
        pos: u64,
    ) -> BufResult<(), V> {
        let mut filled = 0;
        loop {
            let rest = match VectoredRest::new(buf, filled) {
                Ok(rest) => rest,
                Err(full) => return (Ok(()), full),
            };
            let (read, rest) = self.read_vectored_at(rest, behind(pos, filled)).await;
            buf = rest.into_inner();
            match read {
                Ok(0) => return (Err(unexpected_eof()), buf),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
    }

    /// Reads from `pos` to the end of the source, behind the text that `buf`
    /// holds, and returns how many bytes were added.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](io::ErrorKind::InvalidData) if the bytes are not UTF-8.
    ///   `buf` is unchanged, and the bytes read are dropped: to keep them, use
    ///   [`read_to_end_at`](Self::read_to_end_at).
    /// - Errors of the source. `buf` then also holds the bytes read before the
    ///   error, if they are UTF-8.
    ///
    /// # Panics
    ///
    /// If the position passes [`u64::MAX`].
    ///
    /// # Cancellation
    ///
    /// As for [`read_to_end_at`](Self::read_to_end_at).
    ///
    /// ```
    /// use compio::io::AsyncReadAtExt;
    ///
    /// # pollster::block_on(async {
    /// let (read, text) = b"abcdef".read_to_string_at(String::from("> "), 4).await;
    /// assert_eq!((read.unwrap(), &text[..]), (2, "> ef"));
    /// # });
    /// ```
    async fn read_to_string_at(&self, buf: String, pos: u64) -> BufResult<usize, String> {
        let before = buf.len();
        to_text(self.read_to_end_at(buf.into_bytes(), pos).await, before)
    }
}

impl<R: AsyncReadAt + ?Sized> AsyncReadAtExt for R {}

/// Methods of every [`AsyncWriteAt`].
pub trait AsyncWriteAtExt: AsyncWriteAt {
    /// Writes all the initialised bytes of `buf`, beginning `pos` bytes into the
    /// sink. An interrupted write is repeated.
    ///
    /// # Errors
    ///
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the sink accepts no more, and
    /// errors of the sink. `buf` is unchanged. The number of written bytes is
    /// unknown.
    ///
    /// # Panics
    ///
    /// If the position passes [`u64::MAX`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer; some or all of it may have been
    /// written. Writing the same bytes there again is harmless.
    ///
    /// For an example, see [`AsyncWriteAt`].
    async fn write_all_at<B: IoBuf>(&self, mut buf: B, pos: u64) -> BufResult<(), B> {
        let mut written = 0;
        while written < buf.buf_len() {
            let window = buf.slice(written..);
            let (result, window) = self.write_at(window, behind(pos, written)).await;
            buf = window.into_inner();
            match result {
                Ok(0) => return (Err(write_zero()), buf),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Writes all the initialised bytes of many buffers, one after the other,
    /// beginning `pos` bytes into the sink. An interrupted write is repeated.
    ///
    /// # Errors
    ///
    /// As for [`write_all_at`](Self::write_all_at).
    ///
    /// # Panics
    ///
    /// If the position passes [`u64::MAX`].
    ///
    /// # Cancellation
    ///
    /// As for [`write_all_at`](Self::write_all_at).
    async fn write_vectored_all_at<V: IoVectoredBuf>(
        &self,
        mut buf: V,
        pos: u64,
    ) -> BufResult<(), V> {
        let mut written = 0;
        while written < buf.total_len() {
            let rest = VectoredSlice::new(buf, written);
            let (result, rest) = self.write_vectored_at(rest, behind(pos, written)).await;
            buf = rest.into_inner();
            match result {
                Ok(0) => return (Err(write_zero()), buf),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(()), buf)
    }
}

impl<W: AsyncWriteAt + ?Sized> AsyncWriteAtExt for W {}
