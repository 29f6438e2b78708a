//! [`copy`], [`copy_buf`], [`copy_bidirectional`]: copying from a reader to a writer,
//! and between two streams.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use crate::{
    buf::{IntoInner, IoBuf},
    io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, write_zero},
};

/// The maximum length of one read, in bytes.
const COPY_LEN: usize = 64 * 1024;

/// Copies all bytes of `reader`, until EOF, to `writer`, and returns their number.
///
/// All reads and writes share one buffer of 64 KiB. Interrupted operations are
/// repeated. The writer is not flushed.
///
/// # Errors
///
/// Errors of the reader and of the writer, and
/// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more. Up to 64 KiB
/// may have been read and not written.
///
/// # Cancellation
///
/// Dropping the future loses up to 64 KiB that were read and not yet written.
///
/// ```
/// use compio::io::copy;
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
        // The read has set the buffer's length.
        let (result, written) = writer.write_all(buf).await;
        buf = written;
        result?;
        copied += len as u64;
    }
}

/// Copies all bytes of `reader`, until EOF, to `writer`, and returns their number.
///
/// As [`copy`], out of the reader's own buffer: one write takes all buffered bytes, and
/// only written bytes are consumed. The writer is not flushed.
///
/// # Errors
///
/// Errors of the reader and of the writer, and
/// [`WriteZero`](io::ErrorKind::WriteZero) if the writer accepts no more. The reader
/// keeps the unwritten bytes.
///
/// # Cancellation
///
/// The reader keeps the unwritten bytes, and the bytes of the write in flight. A prefix
/// of these may have been written. Bytes that the reader loses with a dropped read are
/// lost.
///
/// ```
/// use compio::io::{BufReader, copy_buf};
///
/// # pollster::block_on(async {
/// let mut sink = Vec::new();
/// let copied = copy_buf(&mut BufReader::new(&b"abc"[..]), &mut sink).await?;
/// assert_eq!((copied, &sink[..]), (3, &b"abc"[..]));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn copy_buf<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncBufRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    // The reader only lends its buffer; the writer needs an owned one.
    let mut buf = Vec::new();
    let mut copied = 0;
    loop {
        let bytes = match reader.fill_buf().await {
            Ok([]) => return Ok(copied),
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        buf.clear();
        buf.extend_from_slice(&bytes[..bytes.len().min(COPY_LEN)]);
        let mut begin = 0;
        while begin < buf.len() {
            let (written, window) = writer.write(buf.slice(begin..)).await;
            buf = window.into_inner();
            match written {
                Ok(0) => return Err(write_zero()),
                Ok(len) => {
                    reader.consume(len);
                    copied += len as u64;
                    begin += len;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Copies from `a` to `b` and from `b` to `a` at once, until both have ended.
/// Returns how many bytes went to `b` and how many to `a`.
///
/// At EOF of one side, the other side is shut down, and the other direction
/// continues. It takes streams that are read and written through shared references
/// at the same time, as sockets are; with two halves of each, use one [`copy`] for
/// each direction. Each direction has one buffer of 64 KiB.
///
/// # Errors
///
/// The first error of either direction, which ends the other one too. Up to 64 KiB
/// each way may have been read and not been written.
///
/// # Cancellation
///
/// As for [`copy`], each way.
///
/// ```
/// use compio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, duplex};
///
/// # pollster::block_on(async {
/// let (mut client, front) = duplex(64);
/// let (back, mut server) = duplex(64);
/// client.write_all("question").await.0?;
/// client.shutdown().await?;
/// server.write_all("answer").await.0?;
/// server.shutdown().await?;
/// assert_eq!(copy_bidirectional(&front, &back).await?, (8, 6));
/// assert_eq!(client.read_to_end(Vec::new()).await.1, b"answer");
/// assert_eq!(server.read_to_end(Vec::new()).await.1, b"question");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn copy_bidirectional<A, B>(a: &A, b: &B) -> io::Result<(u64, u64)>
where
    for<'s> &'s A: AsyncRead + AsyncWrite,
    for<'s> &'s B: AsyncRead + AsyncWrite,
{
    let mut there = pin!(copy_and_shut_down(a, b));
    let mut back = pin!(copy_and_shut_down(b, a));
    let (mut to_b, mut to_a) = (None, None);
    poll_fn(|cx| {
        // Poll both, so that each has this task's waker.
        advance(there.as_mut(), &mut to_b, cx)?;
        advance(back.as_mut(), &mut to_a, cx)?;
        match (to_b, to_a) {
            (Some(to_b), Some(to_a)) => Poll::Ready(Ok((to_b, to_a))),
            (None, _) | (_, None) => Poll::Pending,
        }
    })
    .await
}

/// One direction.
async fn copy_and_shut_down<R, W>(mut reader: R, mut writer: W) -> io::Result<u64>
where
    R: AsyncRead,
    W: AsyncWrite,
{
    let copied = copy(&mut reader, &mut writer).await?;
    writer.shutdown().await?;
    Ok(copied)
}

/// Polls one direction unless it is done already.
fn advance(
    direction: Pin<&mut impl Future<Output = io::Result<u64>>>,
    done: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    if done.is_none()
        && let Poll::Ready(copied) = direction.poll(cx)
    {
        *done = Some(copied?);
    }
    Ok(())
}
