//! [`BufResult`], the pair that every operation with a buffer returns.

use std::io;

/// The return value of an operation with a buffer: its result, and the buffer.
///
/// A plain tuple, so that a `let` can destructure it. The buffer comes back on
/// failure too.
///
/// The operator `?` does not accept a tuple. Write `.await.0?` to drop the buffer, or
/// [`.await.transpose()?`](BufResultExt::transpose) to keep it on success.
///
/// ```
/// use compio::io::AsyncRead;
///
/// # pollster::block_on(async {
/// let mut source: &[u8] = b"abc";
/// let (read, buffer) = source.read(Vec::with_capacity(8)).await;
/// assert_eq!(read.unwrap(), 3);
/// assert_eq!(buffer, b"abc");
/// # });
/// ```
pub type BufResult<T, B> = (io::Result<T>, B);

/// Methods of [`BufResult`].
pub trait BufResultExt<T, B>: Sized {
    /// Moves the buffer into the result, so that `?` works.
    ///
    /// # Errors
    ///
    /// The operation's own error; the buffer is dropped then.
    ///
    /// ```
    /// use compio::buf::BufResultExt;
    /// use compio::io::AsyncRead;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"abc";
    /// let (read, buffer) = source.read([0; 2]).await.transpose()?;
    /// assert_eq!((read, &buffer), (2, b"ab"));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn transpose(self) -> io::Result<(T, B)>;

    /// Maps the value of a success; the error and the buffer stay.
    ///
    /// ```
    /// use compio::buf::{BufResult, BufResultExt};
    ///
    /// let result: BufResult<usize, [u8; 4]> = (Ok(3), *b"abc\0");
    /// assert!(matches!(result.map_ok(|n| n > 0), (Ok(true), _)));
    /// ```
    fn map_ok<U>(self, f: impl FnOnce(T) -> U) -> BufResult<U, B>;

    /// Maps the buffer, whether the operation succeeded or not.
    ///
    /// ```
    /// use compio::buf::{BufResult, BufResultExt, IntoInner, IoBuf};
    ///
    /// let result: BufResult<usize, _> = (Ok(1), b"abc".slice(..1));
    /// assert_eq!(result.map_buf(|window| window.into_inner()).1, b"abc");
    /// ```
    fn map_buf<C>(self, f: impl FnOnce(B) -> C) -> BufResult<T, C>;
}

impl<T, B> BufResultExt<T, B> for BufResult<T, B> {
    fn transpose(self) -> io::Result<(T, B)> {
        let (result, buf) = self;
        result.map(|value| (value, buf))
    }

    fn map_ok<U>(self, f: impl FnOnce(T) -> U) -> BufResult<U, B> {
        let (result, buf) = self;
        (result.map(f), buf)
    }

    fn map_buf<C>(self, f: impl FnOnce(B) -> C) -> BufResult<T, C> {
        let (result, buf) = self;
        (result, f(buf))
    }
}
