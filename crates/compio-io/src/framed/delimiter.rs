//! [`AnyDelimiterCodec`]: frames that end with a delimiter.

use bytes::{BufMut, BytesMut};

use crate::framed::{CodecError, Decoder, Encoder, segments::Segments};

/// Each frame ends with one of a set of delimiter bytes.
///
/// The delimiter is not part of the frame; the last frame needs none. Sent frames
/// end with a given byte sequence.
///
/// ```
/// use compio::framed::{AnyDelimiterCodec, FramedRead, FramedWrite};
///
/// # pollster::block_on(async {
/// let codec = AnyDelimiterCodec::new(b",;", b"; ");
/// let mut parts = FramedRead::new(&b"a,b;c"[..], codec.clone());
/// for part in [b"a", b"b", b"c"] {
///     assert_eq!(parts.next().await.unwrap()?, part[..]);
/// }
/// let mut parts = FramedWrite::new(Vec::new(), codec);
/// parts.send("x").await?;
/// assert_eq!(parts.get_ref().unwrap(), b"x; ");
/// # Result::<(), compio::framed::CodecError>::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AnyDelimiterCodec {
    segments: Segments,
    delimiters: Vec<u8>,
    ending: Vec<u8>,
}

impl AnyDelimiterCodec {
    /// Frames of any length that end with one of `delimiters`. Sent frames end with
    /// the whole of `ending`.
    pub fn new(delimiters: impl Into<Vec<u8>>, ending: impl Into<Vec<u8>>) -> Self {
        Self::new_with_max_length(delimiters, ending, usize::MAX)
    }

    /// The same, with frames of `max_length` bytes at most. Reading a longer one
    /// is an error, and the rest of it is skipped; sending one is an error.
    pub fn new_with_max_length(
        delimiters: impl Into<Vec<u8>>,
        ending: impl Into<Vec<u8>>,
        max_length: usize,
    ) -> Self {
        Self {
            segments: Segments::new(max_length),
            delimiters: delimiters.into(),
            ending: ending.into(),
        }
    }

    /// How many bytes a frame has at most.
    pub fn max_length(&self) -> usize {
        self.segments.len_max()
    }
}

/// # Errors
///
/// [`TooLong`](CodecError::TooLong); the frame is skipped.
impl Decoder for AnyDelimiterCodec {
    type Item = BytesMut;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        self.segments
            .next(src, |byte| self.delimiters.contains(&byte))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        match self.decode(src)? {
            Some(frame) => Ok(Some(frame)),
            None => Ok(self.segments.last(src)),
        }
    }
}

/// # Errors
///
/// [`TooLong`](CodecError::TooLong).
impl<I: AsRef<[u8]>> Encoder<I> for AnyDelimiterCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: I, dst: &mut BytesMut) -> Result<(), CodecError> {
        let frame = frame.as_ref();
        if frame.len() > self.max_length() {
            return Err(CodecError::TooLong);
        }
        dst.reserve(frame.len() + self.ending.len());
        dst.put_slice(frame);
        dst.put_slice(&self.ending);
        Ok(())
    }
}
