//! [`BytesCodec`]: frames without delimiters, as reads return them.

use std::io;

use bytes::BytesMut;

use crate::framed::{Decoder, Encoder};

/// A received frame is the bytes of a read. A sent frame is written unchanged.
///
/// ```
/// use compio::framed::{BytesCodec, FramedRead};
///
/// # pollster::block_on(async {
/// let mut chunks = FramedRead::new(&b"abc"[..], BytesCodec);
/// assert_eq!(chunks.next().await.unwrap().unwrap(), b"abc"[..]);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesCodec;

impl Decoder for BytesCodec {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        Ok((!src.is_empty()).then(|| src.split()))
    }
}

impl<I: AsRef<[u8]>> Encoder<I> for BytesCodec {
    type Error = io::Error;

    fn encode(&mut self, bytes: I, dst: &mut BytesMut) -> io::Result<()> {
        dst.extend_from_slice(bytes.as_ref());
        Ok(())
    }
}
