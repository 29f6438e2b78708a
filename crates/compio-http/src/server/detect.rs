//! The choice of the protocol by the first bytes of a connection.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf};

/// A client of HTTP/2 begins with these bytes (RFC 9113, 3.4). They are no request of HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Reads until the first bytes decide, or until one has arrived if the protocol is known. Also returns these bytes.
/// `None` if the peer has sent nothing and closed.
pub(super) async fn detect<I: Read + Unpin>(
    io: &mut I,
    known: Option<Version>,
) -> io::Result<Option<(Version, Bytes)>> {
    let mut first = Vec::new();
    loop {
        let before = first.len();
        poll_fn(|cx| poll_read(io, cx, &mut first)).await?;
        if first.is_empty() {
            return Ok(None);
        }
        if let Some(version) = known {
            return Ok(Some((version, first.into())));
        }
        let len = first.len().min(PREFACE.len());
        if first[..len] != PREFACE[..len] || first.len() == before {
            // After an early end of the stream HTTP/1 reports an incomplete head.
            return Ok(Some((Version::Http1, first.into())));
        }
        if len == PREFACE.len() {
            return Ok(Some((Version::Http2, first.into())));
        }
    }
}

/// Appends at most the rest of the preface.
fn poll_read<I: Read + Unpin>(
    io: &mut I,
    cx: &mut Context<'_>,
    first: &mut Vec<u8>,
) -> Poll<io::Result<()>> {
    let mut room = [MaybeUninit::uninit(); PREFACE.len()];
    let mut buffer = ReadBuf::uninit(&mut room[first.len()..]);
    ready!(Pin::new(io).poll_read(cx, buffer.unfilled()))?;
    first.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(()))
}
