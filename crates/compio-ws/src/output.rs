//! The bytes that are to be sent: frames in a buffer, and behind them one large payload, which is not copied into it.
//!
//! The protocol writes its control frames here (`io::Write`), the engine adds data frames.

use std::io;

use tungstenite::{Bytes, protocol::frame::FrameHeader};

/// Buffered frames of this length make later ones wait.
const FULL: usize = 64 * 1024;

/// A longer payload is not copied behind its header.
const COPY_MAX: usize = 8 * 1024;

/// The largest buffer that an idle connection keeps.
const SPARE_MAX: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Output {
    frames: Vec<u8>,
    /// The number of bytes of `frames` that are sent.
    sent: usize,
    payload: Bytes,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.frames.len() && self.payload.is_empty()
    }

    /// Whether another frame is accepted.
    pub(crate) fn has_room(&self) -> bool {
        self.payload.is_empty() && self.frames.len() - self.sent < FULL
    }

    /// Adds a frame, and masks its payload if its header has a mask. The caller has waited for
    /// room.
    pub(crate) fn push(&mut self, header: &FrameHeader, mut payload: Bytes) {
        assert!(
            self.payload.is_empty(),
            "a message was sent before there was room for it"
        );
        let formatted = header.format(payload.len() as u64, &mut self.frames);
        formatted.expect("a vector accepts all bytes");
        if payload.len() <= COPY_MAX {
            let begin = self.frames.len();
            self.frames.extend_from_slice(&payload);
            if let Some(key) = header.mask {
                mask(&mut self.frames[begin..], key);
            }
            return;
        }
        if let Some(key) = header.mask {
            payload = match payload.try_into_mut() {
                Ok(mut unique) => {
                    mask(&mut unique, key);
                    unique.freeze()
                }
                Err(shared) => {
                    let mut copy = shared.to_vec();
                    mask(&mut copy, key);
                    copy.into()
                }
            };
        }
        self.payload = payload;
    }

    /// The bytes to send.
    pub(crate) fn slices(&self) -> [&[u8]; 2] {
        [&self.frames[self.sent..], &self.payload]
    }

    /// Notes that a prefix is sent.
    pub(crate) fn consume(&mut self, len: usize) {
        let of_frames = len.min(self.frames.len() - self.sent);
        self.sent += of_frames;
        if self.sent == self.frames.len() {
            self.frames.clear();
            self.sent = 0;
        }
        // The rest of the payload stays in its memory, which is freed with the last byte.
        let _ = self.payload.split_to(len - of_frames);
        if self.payload.is_empty() {
            self.payload = Bytes::new();
        }
    }

    /// Frees a large buffer.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && self.frames.capacity() > SPARE_MAX {
            self.frames = Vec::new();
        }
    }
}

/// Accepts all bytes, or none if there is no room.
impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.frames.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Masks bytes from their beginning, or unmasks them.
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let wide: [u8; 16] = std::array::from_fn(|index| key[index % 4]);
    let (chunks, rest) = bytes.as_chunks_mut::<16>();
    for chunk in chunks {
        for (byte, key) in chunk.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(wide) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::{COPY_MAX, Output, mask};
    use tungstenite::{
        Bytes,
        protocol::frame::{
            FrameHeader,
            coding::{Data, OpCode},
        },
    };

    #[test]
    fn masked_payloads_are_unmasked_by_the_same_key() {
        for len in [0, 1, 3, 4, 15, 16, 17, 1000] {
            let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut masked = bytes.clone();
            mask(&mut masked, [1, 2, 3, 4]);
            for (index, (masked, byte)) in masked.iter().zip(&bytes).enumerate() {
                assert_eq!(*masked, byte ^ (index % 4 + 1) as u8);
            }
        }
    }

    #[test]
    fn a_shared_payload_is_not_changed_by_its_mask() {
        let payload = Bytes::from(vec![7; COPY_MAX + 1]);
        let header = FrameHeader {
            opcode: OpCode::Data(Data::Binary),
            mask: Some([1, 2, 3, 4]),
            ..FrameHeader::default()
        };
        let mut output = Output::default();
        output.push(&header, payload.clone());
        assert!(payload.iter().all(|byte| *byte == 7));
        assert_eq!(output.slices()[1][..4], [6, 5, 4, 3]);
        assert!(!output.has_room());
        let len = output.slices().iter().map(|slice| slice.len()).sum();
        output.consume(len);
        assert!(output.is_empty() && output.has_room());
    }
}
