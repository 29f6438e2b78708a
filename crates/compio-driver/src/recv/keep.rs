//! The copies between the buffers of receives and the unread data of their descriptor.

use std::{io, mem};

use compio_io::buf::{IoBufMut, IoVectoredBufMut};

use super::{
    RecvMode,
    delivery::{KeepsUnread, Receives, UnreadSink},
    unread::{MsgMeta, Unread, UnreadData},
};
use crate::{
    ancillary::SocketAncillary,
    arena::SMALL,
    fd::SharedFd,
    op::{
        ReadAt, ReadVectoredAt, Received, Recv, RecvAncillary, RecvFrom, RecvMsg,
        multishot::{RecvMulti, RecvPooled},
    },
    orphan::{Keeper, Lossless},
    sys,
};

/// A receive whose result is kept as unread data if its future is dropped. Only `RecvMode::Consume` keeps it.
pub(crate) type LosslessRecv<O> = Lossless<O, RecvMode>;

/// A receive into a `Vec` fits a small cell of the arena.
const _: () = assert!(size_of::<LosslessRecv<Recv<Vec<u8>>>>() <= SMALL);

impl<O: KeepsUnread> Keeper<O> for RecvMode {
    unsafe fn keep(self, operation: O, answer: io::Result<usize>) {
        /// Counts the orphan as completed, even if user code of the buffer panics.
        struct Settle<'a>(&'a Unread);
        impl Drop for Settle<'_> {
            fn drop(&mut self) {
                self.0.orphan_done();
            }
        }
        if self != Self::Consume {
            // SAFETY: passed on from this function.
            drop(unsafe { operation.finish(answer) });
            return;
        }
        let fd = operation.fd().clone();
        // Dropped after the orphan is counted: the buffer's destructor may receive.
        let mut output;
        let unread = fd.unread_or_new();
        let settle = Settle(unread);
        // User code of the buffer: it may panic, or use the descriptor.
        // SAFETY: passed on from this function.
        output = unsafe { operation.finish(answer) };
        O::keep(&mut output, &UnreadSink { unread, fd: &fd });
        drop(settle);
    }
}

/// Copies the received bytes out of one buffer.
fn copy_out(buffer: &impl IoBufMut, len: usize) -> Option<Vec<u8>> {
    (buffer.buf_capacity() > 0).then(|| buffer.as_init()[..len].to_vec())
}

/// Copies the received bytes out of several buffers.
fn copy_out_vectored(buffers: &mut impl IoVectoredBufMut, len: usize) -> Option<Vec<u8>> {
    if buffers.total_capacity() == 0 {
        return None;
    }
    let mut bytes = Vec::with_capacity(len);
    for slice in buffers.slices() {
        let left = len - bytes.len();
        bytes.extend_from_slice(&slice[..slice.len().min(left)]);
    }
    Some(bytes)
}

/// Takes the result, and leaves a default value. Stores an error as unread.
fn take<T: Default>(result: &mut io::Result<T>, sink: &UnreadSink<'_>) -> Option<T> {
    match mem::replace(result, Ok(T::default())) {
        Ok(value) => Some(value),
        Err(error) => {
            sink.put_error(error);
            None
        }
    }
}

impl<B: IoBufMut> KeepsUnread for Recv<B> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep((result, buffer): &mut Self::Output, sink: &UnreadSink<'_>) {
        if let Some(bytes) = take(result, sink).and_then(|len| copy_out(buffer, len)) {
            sink.put(bytes, MsgMeta::default());
        }
    }
}

impl<B: IoBufMut> Receives for Recv<B> {
    fn fill((result, buffer): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let len = buffer.init_from(arrival.rest());
        *result = Ok(len);
        len
    }
}

impl<B: IoBufMut> KeepsUnread for ReadAt<B> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep(output: &mut Self::Output, sink: &UnreadSink<'_>) {
        Recv::keep(output, sink);
    }
}

impl<B: IoBufMut> Receives for ReadAt<B> {
    fn fill(output: &mut Self::Output, arrival: &mut UnreadData) -> usize {
        Recv::fill(output, arrival)
    }
}

impl<V: IoVectoredBufMut> KeepsUnread for ReadVectoredAt<V> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep((result, buffers): &mut Self::Output, sink: &UnreadSink<'_>) {
        if let Some(bytes) = take(result, sink).and_then(|len| copy_out_vectored(buffers, len)) {
            sink.put(bytes, MsgMeta::default());
        }
    }
}

impl<V: IoVectoredBufMut> Receives for ReadVectoredAt<V> {
    fn fill((result, buffers): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let len = buffers.init_from(arrival.rest());
        *result = Ok(len);
        len
    }
}

impl<B: IoBufMut> KeepsUnread for RecvFrom<B> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep((result, buffer): &mut Self::Output, sink: &UnreadSink<'_>) {
        let Some((len, sender)) = take(result, sink) else {
            return;
        };
        if let Some(bytes) = copy_out(buffer, len) {
            let sender = Some(sender);
            sink.put(
                bytes,
                MsgMeta {
                    sender,
                    ..MsgMeta::default()
                },
            );
        }
    }
}

impl<B: IoBufMut> Receives for RecvFrom<B> {
    const HAS_SENDER: bool = true;

    fn fill((result, buffer): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let len = buffer.init_from(arrival.rest());
        *result = Ok((len, arrival.sender.clone().flatten()));
        len
    }
}

/// Stores a message that was received into several buffers, with its metadata.
fn keep_message<V: IoVectoredBufMut>(
    result: &mut io::Result<Received>,
    buffers: &mut V,
    ancillary: SocketAncillary,
    sink: &UnreadSink<'_>,
) {
    let Some(received) = take(result, sink) else {
        return;
    };
    if let Some(bytes) = copy_out_vectored(buffers, received.len) {
        let about = MsgMeta {
            sender: Some(received.address),
            ancillary,
            flags: received.flags,
        };
        sink.put(bytes, about);
    }
}

fn fill_message<V: IoVectoredBufMut>(buffers: &mut V, arrival: &UnreadData) -> Received {
    let len = buffers.init_from(arrival.rest());
    let is_cut = arrival.is_message && len < arrival.bytes.len();
    Received {
        len,
        control_len: 0,
        address: arrival.sender.clone().flatten(),
        flags: arrival.flags | if is_cut { sys::MSG_TRUNC } else { 0 },
    }
}

impl<V: IoVectoredBufMut> KeepsUnread for RecvMsg<V, [u8; 0]> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep((result, (buffers, _)): &mut Self::Output, sink: &UnreadSink<'_>) {
        keep_message(result, buffers, SocketAncillary::new(), sink);
    }
}

impl<V: IoVectoredBufMut> Receives for RecvMsg<V, [u8; 0]> {
    const HAS_SENDER: bool = true;

    fn fill((result, (buffers, _)): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let received = fill_message(buffers, arrival);
        let len = received.len;
        *result = Ok(received);
        len
    }
}

impl<V: IoVectoredBufMut> KeepsUnread for RecvAncillary<V> {
    fn fd(&self) -> &SharedFd {
        &self.0.fd
    }

    fn keep((result, (buffers, ancillary)): &mut Self::Output, sink: &UnreadSink<'_>) {
        keep_message(result, buffers, mem::take(ancillary), sink);
    }
}

impl<V: IoVectoredBufMut> Receives for RecvAncillary<V> {
    const HAS_SENDER: bool = true;

    fn fill((result, (buffers, ancillary)): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let mut received = fill_message(buffers, arrival);
        if !arrival.ancillary.is_empty() || arrival.ancillary.truncated() {
            *ancillary = mem::take(&mut arrival.ancillary);
        }
        received.control_len = ancillary.len();
        let len = received.len;
        *result = Ok(received);
        len
    }
}

impl KeepsUnread for RecvMulti<SharedFd> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep((result, received): &mut Self::Output, sink: &UnreadSink<'_>) {
        while let Some(buffer) = received.pop() {
            if !buffer.is_empty() {
                sink.put(buffer.to_vec(), MsgMeta::default());
            }
        }
        // The bytes of the final completion have arrived with an item.
        take(result, sink);
    }
}

impl KeepsUnread for RecvPooled<SharedFd> {
    fn fd(&self) -> &SharedFd {
        &self.fd
    }

    fn keep(output: &mut Self::Output, sink: &UnreadSink<'_>) {
        if let Some(buffer) = take(output, sink).flatten() {
            sink.put(buffer.to_vec(), MsgMeta::default());
        }
    }
}
