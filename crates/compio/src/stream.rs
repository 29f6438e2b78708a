//! Reads and writes of what has no positions: pipes and the standard streams.

use compio_driver::{
    SharedFd,
    op::{ReadAt, ReadVectoredAt, WriteAt, WriteVectoredAt},
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

use crate::{
    runtime::submit,
    sys::{wait_readable, wait_writable},
};

/// Somebody else may have said that the descriptor shall refuse where it would wait, and may rely on
/// that: then we wait by other means. This is the loop.
macro_rules! insist {
    ($fd:expr, $buffer:expr, $wait:ident, $operation:expr) => {{
        let mut buffer = $buffer;
        loop {
            let (result, returned) = submit($operation($fd.clone(), buffer)).await;
            buffer = returned;
            match result {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if let Err(error) = $wait($fd).await {
                        return (Err(error), buffer);
                    }
                }
                result => return (result, buffer),
            }
        }
    }};
}

pub(crate) async fn read<B: IoBufMut>(fd: &SharedFd, buffer: B) -> BufResult<usize, B> {
    insist!(fd, buffer, wait_readable, ReadAt::at_cursor)
}

pub(crate) async fn read_vectored<V: IoVectoredBufMut>(
    fd: &SharedFd,
    buffers: V,
) -> BufResult<usize, V> {
    insist!(fd, buffers, wait_readable, ReadVectoredAt::at_cursor)
}

pub(crate) async fn write<B: IoBuf>(fd: &SharedFd, buffer: B) -> BufResult<usize, B> {
    insist!(fd, buffer, wait_writable, WriteAt::at_cursor)
}

pub(crate) async fn write_vectored<V: IoVectoredBuf>(
    fd: &SharedFd,
    buffers: V,
) -> BufResult<usize, V> {
    insist!(fd, buffers, wait_writable, WriteVectoredAt::at_cursor)
}
