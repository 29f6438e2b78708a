//! Reads and writes without positions: pipes and the standard streams.

use compio_driver::{
    SharedFd,
    op::{WriteAt, WriteVectoredAt},
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

use crate::{
    runtime::{submit, with_driver},
    sys::{wait_readable, wait_writable},
};

/// Repeats the operation after a readiness wait, as long as it fails with `WouldBlock`. The open
/// file description may be non-blocking, and must stay so, because others may share it.
macro_rules! retry_when_ready {
    ($fd:expr, $buffer:ident, $wait:ident, $operation:expr) => {{
        let mut $buffer = $buffer;
        loop {
            let (result, returned) = $operation.await;
            $buffer = returned;
            match result {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if let Err(error) = $wait($fd).await {
                        return (Err(error), $buffer);
                    }
                }
                result => return (result, $buffer),
            }
        }
    }};
}

pub(crate) async fn read<B: IoBufMut>(fd: &SharedFd, buffer: B) -> BufResult<usize, B> {
    let read = |buffer| with_driver(|driver| driver.read(fd, buffer));
    retry_when_ready!(fd, buffer, wait_readable, read(buffer))
}

pub(crate) async fn read_vectored<V: IoVectoredBufMut>(
    fd: &SharedFd,
    buffers: V,
) -> BufResult<usize, V> {
    let read = |buffers| with_driver(|driver| driver.read_vectored(fd, buffers));
    retry_when_ready!(fd, buffers, wait_readable, read(buffers))
}

pub(crate) async fn write<B: IoBuf>(fd: &SharedFd, buffer: B) -> BufResult<usize, B> {
    let write = |buffer| submit(WriteAt::at_cursor(fd.clone(), buffer));
    retry_when_ready!(fd, buffer, wait_writable, write(buffer))
}

pub(crate) async fn write_vectored<V: IoVectoredBuf>(
    fd: &SharedFd,
    buffers: V,
) -> BufResult<usize, V> {
    let write = |buffers| submit(WriteVectoredAt::at_cursor(fd.clone(), buffers));
    retry_when_ready!(fd, buffers, wait_writable, write(buffers))
}
