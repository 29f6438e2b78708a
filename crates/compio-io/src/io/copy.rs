//! [`copy`]: from a reader to a writer.

use std::io;

use crate::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// How much is read at once, in bytes.
const COPY_LEN: usize = 64 * 1024;

/// Copies what `reader` has, to its end, to `writer`, and returns how many bytes
/// that was.
///
/// One buffer of 64 KiB goes to and fro. Interrupted operations are repeated.
/// The writer is not flushed.
///
/// # Errors
///
/// Those of the reader and of the writer, and
/// [`WriteZero`](io::ErrorKind::WriteZero) if the writer takes no more. What was
/// copied until then stays copied; up to 64 KiB may have been read and not been
/// written.
///
/// # Cancellation
///
/// Dropping the future loses up to 64 KiB that were read and not yet written;
/// what was written stays so.
///
/// ```
/// use compio_io::io::copy;
///
/// # pollster::block_on(async {
/// let mut sink = Vec::new();
/// let copied = copy(&mut &b"abc"[..], &mut sink).await?;
/// assert_eq!((copied, &sink[..]), (3, &b"abc"[..]));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    let mut buf = Vec::with_capacity(COPY_LEN);
    let mut copied = 0;
    loop {
        let (read, filled) = reader.read(buf).await;
        buf = filled;
        let len = match read {
            Ok(0) => return Ok(copied),
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        // The read made the buffer as long as what it read.
        let (result, written) = writer.write_all(buf).await;
        buf = written;
        result?;
        copied += len as u64;
    }
}
