//! Shared code of the adapters in `futures_io` and `tokio_io`: owned buffers over
//! readers and writers that borrow a buffer for one poll.

use std::{
    io::{self, IoSlice},
    task::Poll,
};

use crate::buf::IoVectoredBuf;

/// The maximum number of buffers of one vectored write, a common value of `IOV_MAX`.
const SLICES_MAX: usize = 1024;

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
