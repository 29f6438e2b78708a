//! Shared code of the adapters in `futures_io` and `tokio_io`: owned buffers over
//! readers and writers that borrow a buffer for one poll.

use std::{
    io::{self, IoSlice},
    task::Poll,
};

use crate::buf::{IoBufMut, IoVectoredBuf};

/// The maximum number of buffers of one vectored write, a common value of `IOV_MAX`.
const SLICES_MAX: usize = 1024;

/// Lets `poll` write into the whole capacity of `buf`, and sets its length if
/// that is ready.
pub(super) fn poll_into<B: IoBufMut>(
    buf: &mut B,
    poll: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    let mut pending = false;
    let read = buf.init_with(|room| match poll(room) {
        Poll::Ready(read) => read,
        Poll::Pending => {
            pending = true;
            // Any error leaves the length unchanged. This one is never returned.
            Err(io::ErrorKind::WouldBlock.into())
        }
    });
    if pending {
        Poll::Pending
    } else {
        Poll::Ready(read)
    }
}

/// The buffers as the standard library's type.
pub(super) fn io_slices<V: IoVectoredBuf>(buf: &V) -> Vec<IoSlice<'_>> {
    let filled = buf.slices().filter(|slice| !slice.is_empty());
    filled.take(SLICES_MAX).map(IoSlice::new).collect()
}

/// The buffered bytes of a reader, which has just reported some.
///
/// The caller polls twice, because the borrow checker rejects a borrow that only
/// one branch of the first poll returns.
pub(super) fn buffered(poll: Poll<io::Result<&[u8]>>) -> io::Result<&[u8]> {
    match poll {
        Poll::Ready(bytes) => bytes,
        Poll::Pending => panic!("a reader returned Pending while it had buffered bytes"),
    }
}
