//! [`AsyncReadExt`]: loops over [`AsyncRead::read`]. Loops over positioned reads
//! are in `at_ext`.

use std::io;

use crate::{
    buf::{BufResult, BufResultExt, IntoInner, IoBuf, IoBufMut, IoVectoredBufMut, VectoredRest},
    io::{
        AsyncRead, BUFFER_LEN, Chain, PROBE_LEN, Room, Take, add, settle, to_text, unexpected_eof,
    },
};

/// One method for each number and each order of its bytes.
macro_rules! read_numbers {
    ($($name:ident $number:ident $order:literal $from:ident $to:ident;)*) => {$(
        #[doc = concat!("Reads ", $order, " `", stringify!($number), "`.")]
        ///
        /// Interrupted reads are repeated.
        ///
        /// # Errors
        ///
        /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the source ends
        /// before, and errors of the source. The bytes read before are lost.
        ///
        /// # Cancellation
        ///
        /// As for [`read_exact`](Self::read_exact): the bytes read of the number
        /// are lost.
        ///
        /// ```
        /// use compio::io::AsyncReadExt;
        ///
        /// # pollster::block_on(async {
        #[doc = concat!("let bytes = (42 as ", stringify!($number), ").", stringify!($to), "();")]
        #[doc = concat!("assert_eq!((&bytes[..]).", stringify!($name), "().await?, 42 as ", stringify!($number), ");")]
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        async fn $name(&mut self) -> io::Result<$number> {
            let (result, bytes) = self.read_exact([0; size_of::<$number>()]).await;
            result.map(|()| $number::$from(bytes))
        }
    )*};
}

/// Methods of every [`AsyncRead`].
pub trait AsyncReadExt: AsyncRead {
    /// Fills the whole capacity of `buf`, from its start.
    ///
    /// To read a given number of bytes, pass a slice: `buf.slice(..n)`. (The
    /// capacity of a vector can be larger than requested.) An interrupted read is
    /// repeated.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the source ends
    /// before, and errors of the source. `buf` holds the bytes read before: its
    /// length is set to their number, unless it is of fixed size or a slice.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer and the bytes read into it.
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// use compio::buf::IoBuf;
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"abcdef";
    /// let (result, buffer) = source.read_exact(Vec::with_capacity(64).slice(..4)).await;
    /// result.unwrap();
    /// assert_eq!(&buffer[..], b"abcd");
    ///
    /// let (result, _) = source.read_exact([0; 4]).await;
    /// assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    /// # });
    /// ```
    async fn read_exact<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<(), B> {
        let mut filled = 0;
        let result = loop {
            if filled >= buf.buf_capacity() {
                break Ok(());
            }
            let (read, window) = self.read(buf.slice(filled..)).await;
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

    /// Fills the whole capacity of many buffers, one after the other. An
    /// interrupted read is repeated.
    ///
    /// # Errors
    ///
    /// As for [`read_exact`](Self::read_exact). The buffers hold the bytes read
    /// before the error.
    ///
    /// # Cancellation
    ///
    /// As for [`read_exact`](Self::read_exact).
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"headbody";
    /// let (result, (head, body)) = source.read_vectored_exact(([0; 4], [0; 4])).await;
    /// result.unwrap();
    /// assert_eq!((&head, &body), (b"head", b"body"));
    /// # });
    /// ```
    async fn read_vectored_exact<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<(), V> {
        let mut filled = 0;
        loop {
            let rest = match VectoredRest::new(buf, filled) {
                Ok(rest) => rest,
                Err(full) => return (Ok(()), full),
            };
            let (read, rest) = self.read_vectored(rest).await;
            buf = rest.into_inner();
            match read {
                Ok(0) => return (Err(unexpected_eof()), buf),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
    }

    /// Reads once, behind the bytes that `buf` holds, and returns how many bytes
    /// were added.
    ///
    /// A full vector grows by at least 8 KiB.
    ///
    /// # Errors
    ///
    /// Errors of the source; the content of `buf` is unchanged then.
    ///
    /// # Cancellation
    ///
    /// As for [`read`](AsyncRead::read); `buf` is lost with its content.
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"def";
    /// let (read, buffer) = source.append(b"abc".to_vec()).await;
    /// assert_eq!((read.unwrap(), &buffer[..]), (3, &b"abcdef"[..]));
    /// # });
    /// ```
    async fn append(&mut self, mut buf: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        let len = buf.len();
        if len == buf.capacity() {
            buf.reserve(BUFFER_LEN);
        }
        self.read(buf.slice(len..))
            .await
            .map_buf(IntoInner::into_inner)
    }

    /// Reads to the end of the source, behind the bytes that `buf` holds, and
    /// returns how many bytes were added.
    ///
    /// Interrupted reads are repeated. A vector whose capacity just fits the
    /// source does not grow.
    ///
    /// # Errors
    ///
    /// Errors of the source; `buf` then also holds the bytes read before the error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer and the bytes read into it. A loop
    /// over [`append`](Self::append) keeps the vector between the reads.
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"def";
    /// let (read, buffer) = source.read_to_end(b"abc".to_vec()).await;
    /// assert_eq!((read.unwrap(), &buffer[..]), (3, &b"abcdef"[..]));
    /// # });
    /// ```
    async fn read_to_end(&mut self, mut buf: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        let mut total = 0;
        loop {
            let read = match Room::choose(&mut buf, total) {
                Room::InPlace => {
                    let (read, grown) = self.append(buf).await;
                    buf = grown;
                    read
                }
                Room::Probe => {
                    let (read, probe) = self.read([0; PROBE_LEN]).await;
                    add(&mut buf, &probe[..*read.as_ref().unwrap_or(&0)]);
                    read
                }
                Room::First => {
                    let (read, first) = self.read(Vec::with_capacity(BUFFER_LEN)).await;
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

    /// Reads to the end of the source, behind the text in `buf`, and returns how
    /// many bytes were added.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](io::ErrorKind::InvalidData) if the source isn't UTF-8.
    ///   `buf` is unchanged, and the bytes read are lost: to keep them, use
    ///   [`read_to_end`](Self::read_to_end).
    /// - Errors of the source. `buf` then also holds the bytes read before the
    ///   error, if they are UTF-8.
    ///
    /// # Cancellation
    ///
    /// As for [`read_to_end`](Self::read_to_end).
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = "löss".as_bytes();
    /// let (read, text) = source.read_to_string(String::new()).await;
    /// assert_eq!((read.unwrap(), &text[..]), (5, "löss"));
    /// # });
    /// ```
    async fn read_to_string(&mut self, buf: String) -> BufResult<usize, String> {
        let before = buf.len();
        to_text(self.read_to_end(buf.into_bytes()).await, before)
    }

    read_numbers! {
        read_u8 u8 "a" from_be_bytes to_be_bytes;
        read_i8 i8 "an" from_be_bytes to_be_bytes;
        read_u16 u16 "a big-endian" from_be_bytes to_be_bytes;
        read_i16 i16 "a big-endian" from_be_bytes to_be_bytes;
        read_u32 u32 "a big-endian" from_be_bytes to_be_bytes;
        read_i32 i32 "a big-endian" from_be_bytes to_be_bytes;
        read_u64 u64 "a big-endian" from_be_bytes to_be_bytes;
        read_i64 i64 "a big-endian" from_be_bytes to_be_bytes;
        read_u128 u128 "a big-endian" from_be_bytes to_be_bytes;
        read_i128 i128 "a big-endian" from_be_bytes to_be_bytes;
        read_f32 f32 "a big-endian" from_be_bytes to_be_bytes;
        read_f64 f64 "a big-endian" from_be_bytes to_be_bytes;
        read_u16_le u16 "a little-endian" from_le_bytes to_le_bytes;
        read_i16_le i16 "a little-endian" from_le_bytes to_le_bytes;
        read_u32_le u32 "a little-endian" from_le_bytes to_le_bytes;
        read_i32_le i32 "a little-endian" from_le_bytes to_le_bytes;
        read_u64_le u64 "a little-endian" from_le_bytes to_le_bytes;
        read_i64_le i64 "a little-endian" from_le_bytes to_le_bytes;
        read_u128_le u128 "a little-endian" from_le_bytes to_le_bytes;
        read_i128_le i128 "a little-endian" from_le_bytes to_le_bytes;
        read_f32_le f32 "a little-endian" from_le_bytes to_le_bytes;
        read_f64_le f64 "a little-endian" from_le_bytes to_le_bytes;
    }

    /// Borrows the reader, for adapters that take it by value.
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"headbody";
    /// let (_, head) = source.by_ref().take(4).read_to_end(Vec::new()).await;
    /// let (_, body) = source.read_to_end(Vec::new()).await;
    /// assert_eq!((&head[..], &body[..]), (&b"head"[..], &b"body"[..]));
    /// # });
    /// ```
    fn by_ref(&mut self) -> &mut Self
    where
        Self: Sized,
    {
        self
    }

    /// Reads this source to its end, then `next`.
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source = (&b"head "[..]).chain(&b"body"[..]);
    /// let (_, buffer) = source.read_to_end(Vec::new()).await;
    /// assert_eq!(buffer, b"head body");
    /// # });
    /// ```
    fn chain<R: AsyncRead>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
    {
        Chain::new(self, next)
    }

    /// Wraps the reader so that it ends after `limit` bytes.
    ///
    /// ```
    /// use compio::io::AsyncReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source = (&b"abcdef"[..]).take(4);
    /// let (_, buffer) = source.read_to_end(Vec::new()).await;
    /// assert_eq!(buffer, b"abcd");
    /// # });
    /// ```
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}
