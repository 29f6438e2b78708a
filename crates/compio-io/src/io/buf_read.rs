//! [`AsyncBufRead`] and [`AsyncBufReadExt`]: readers that own a buffer and lend
//! it out.

use std::io;

use crate::{
    buf::BufResult,
    io::{AsyncRead, Lines, Split, invalid_utf8},
};

/// A reader with a buffer of its own.
///
/// ```
/// use compio::io::AsyncBufRead;
///
/// # pollster::block_on(async {
/// let mut source: &[u8] = b"  text";
/// let blanks = source.fill_buf().await?.iter().take_while(|&&b| b == b' ').count();
/// source.consume(blanks);
/// assert_eq!(source.fill_buf().await?, b"text");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait AsyncBufRead: AsyncRead {
    /// The bytes that are buffered; reads some if there are none.
    ///
    /// An empty slice means that the source has ended. Bytes that are not
    /// [consumed](Self::consume) are given again by the next call.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    ///
    /// # Cancellation
    ///
    /// Only a call with an empty buffer waits. Dropping it loses no buffered byte. If a
    /// dropped read of the source can lose bytes, these are lost. The reader can be
    /// used as before.
    async fn fill_buf(&mut self) -> io::Result<&[u8]>;

    /// Notes that `len` of the buffered bytes were used.
    ///
    /// # Panics
    ///
    /// An implementation may panic if `len` is more than the last
    /// [`fill_buf`](Self::fill_buf) gave.
    fn consume(&mut self, len: usize);
}

/// Methods of every [`AsyncBufRead`].
pub trait AsyncBufReadExt: AsyncBufRead {
    /// Reads until the byte `delimiter` or the end, behind the bytes that `buf`
    /// holds, the delimiter included. Returns how many bytes were added; zero means
    /// EOF.
    ///
    /// Interrupted reads are repeated.
    ///
    /// # Errors
    ///
    /// Errors of the source. `buf` then also holds the bytes read before the error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the vector and the bytes read into it.
    ///
    /// ```
    /// use compio::io::AsyncBufReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"key=value";
    /// let (read, key) = source.read_until(b'=', Vec::new()).await;
    /// assert_eq!((read.unwrap(), &key[..]), (4, &b"key="[..]));
    /// # });
    /// ```
    async fn read_until(&mut self, delimiter: u8, mut buf: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        let mut total = 0;
        loop {
            let bytes = match self.fill_buf().await {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return (Err(e), buf),
            };
            let found = bytes.iter().position(|&byte| byte == delimiter);
            let len = found.map_or(bytes.len(), |index| index + 1);
            buf.extend_from_slice(&bytes[..len]);
            self.consume(len);
            total += len;
            if found.is_some() || len == 0 {
                return (Ok(total), buf);
            }
        }
    }

    /// Appends a line to `buf`, with its `\n` if there is one. Returns the number of
    /// added bytes. Zero means EOF.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](io::ErrorKind::InvalidData) if the line isn't UTF-8. The
    ///   line is lost, and `buf` is unchanged.
    /// - Errors of the source. `buf` then also holds the bytes read before the error, if
    ///   they are UTF-8.
    ///
    /// # Cancellation
    ///
    /// As for [`read_until`](Self::read_until).
    ///
    /// ```
    /// use compio::io::AsyncBufReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"one\ntwo";
    /// let (_, line) = source.read_line(String::new()).await;
    /// assert_eq!(line, "one\n");
    /// let (_, line) = source.read_line(String::new()).await;
    /// assert_eq!(line, "two");
    /// # });
    /// ```
    async fn read_line(&mut self, mut buf: String) -> BufResult<usize, String> {
        let (read, line) = self.read_until(b'\n', Vec::new()).await;
        match str::from_utf8(&line) {
            Ok(text) => {
                buf.push_str(text);
                (read, buf)
            }
            Err(_) => (read.and_then(|_| Err(invalid_utf8())), buf),
        }
    }

    /// Skips all bytes up to the byte `delimiter`, which is skipped as well, or up to
    /// EOF. Returns how many bytes were skipped.
    ///
    /// Interrupted reads are repeated.
    ///
    /// # Errors
    ///
    /// Errors of the source. Bytes skipped before the error stay skipped.
    ///
    /// # Cancellation
    ///
    /// Bytes skipped before the drop stay skipped.
    ///
    /// ```
    /// use compio::io::AsyncBufReadExt;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"# comment\ntext";
    /// assert_eq!(source.skip_until(b'\n').await.unwrap(), 10);
    /// assert_eq!(source, b"text");
    /// # });
    /// ```
    async fn skip_until(&mut self, delimiter: u8) -> io::Result<usize> {
        let mut total = 0;
        loop {
            let bytes = match self.fill_buf().await {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let found = bytes.iter().position(|&byte| byte == delimiter);
            let len = found.map_or(bytes.len(), |index| index + 1);
            self.consume(len);
            total += len;
            if found.is_some() || len == 0 {
                return Ok(total);
            }
        }
    }

    /// The lines of this reader, without their line ends.
    ///
    /// ```
    /// use compio::io::{AsyncBufReadExt, BufReader};
    ///
    /// # pollster::block_on(async {
    /// let mut lines = BufReader::new(&b"one\ntwo\n"[..]).lines();
    /// let mut lengths = Vec::new();
    /// while let Some(line) = lines.next_line().await? {
    ///     lengths.push(line.len());
    /// }
    /// assert_eq!(lengths, [3, 3]);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn lines(self) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines::new(self)
    }

    /// The parts of this reader between the bytes `delimiter`.
    ///
    /// ```
    /// use compio::io::{AsyncBufReadExt, BufReader};
    ///
    /// # pollster::block_on(async {
    /// let mut parts = BufReader::new(&b"a;;b"[..]).split(b';');
    /// let mut all = Vec::new();
    /// while let Some(part) = parts.next_segment().await? {
    ///     all.push(part);
    /// }
    /// assert_eq!(all, [&b"a"[..], b"", b"b"]);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn split(self, delimiter: u8) -> Split<Self>
    where
        Self: Sized,
    {
        Split::new(self, delimiter)
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufReadExt for R {}
