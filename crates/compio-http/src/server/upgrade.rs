//! Connections that leave HTTP, as for WebSocket.

use bytes::{Bytes, BytesMut};
use compio::runtime::SendWrapper;
use hyper::upgrade::{Parts, Upgraded};

use super::connection::UpgradedIo;

/// Returns the stream below an upgraded connection of a server or a client, and the bytes that were read from it
/// already and that the new protocol must read first. `I` is the stream type that
/// [`serve_connection`](crate::Http::serve_connection) was given, or that the client's connector makes. A server of sockets has
/// `PollStream<TcpStream>`, and with TLS `TlsStream<TcpStream>`.
///
/// Without this, an [`Upgraded`] implements the I/O traits of hyper, and boxes the stream.
///
/// # Errors
///
/// The connection itself, if its stream has another type.
///
/// # Panics
///
/// On another thread than the connection's.
pub fn into_stream<I>(upgraded: Upgraded) -> Result<(I, Bytes), Upgraded>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let upgraded = match upgraded.downcast::<UpgradedIo<I>>() {
        Ok(Parts { io, read_buf, .. }) => {
            let (stream, unread) = on_this_thread(io).into_parts();
            if unread.is_empty() {
                return Ok((stream, read_buf));
            }
            let mut all = BytesMut::from(&read_buf[..]);
            all.extend_from_slice(&unread);
            return Ok((stream, all.freeze()));
        }
        Err(upgraded) => upgraded,
    };
    // A client's streams are bare.
    let Parts { io, read_buf, .. } = upgraded.downcast::<SendWrapper<I>>()?;
    Ok((on_this_thread(io), read_buf))
}

#[track_caller]
fn on_this_thread<T>(io: SendWrapper<T>) -> T {
    match io.try_into_inner() {
        Ok(io) => io,
        Err(_) => panic!("an upgraded connection is on another thread: use it where it was made"),
    }
}
