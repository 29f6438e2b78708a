//! [`LinesCodec`]: frames are lines.

use bytes::{BufMut, BytesMut};

use crate::framed::{CodecError, Decoder, Encoder, segments::Segments};

/// Frames are lines of text.
///
/// A line ends with `\n` or `\r\n`, which does not belong to the frame; the last
/// line needs no line end. Lines are sent with `\n`. A frame that contains a `\n` is
/// sent unchanged, and arrives as two frames.
///
/// ```
/// use compio::framed::{CodecError, FramedRead, LinesCodec};
///
/// # pollster::block_on(async {
/// let codec = LinesCodec::new_with_max_length(4);
/// let mut lines = FramedRead::new(&b"one\r\nmuch more\ntwo"[..], codec);
/// assert_eq!(lines.next().await.unwrap().unwrap(), "one");
/// assert!(matches!(lines.next().await, Some(Err(CodecError::TooLong))));
/// assert!(lines.next().await.is_none());
/// // The `None` ends loops. A further call returns the next line.
/// assert_eq!(lines.next().await.unwrap().unwrap(), "two");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct LinesCodec(Segments);

impl LinesCodec {
    /// Lines of any length. For an untrusted peer, use
    /// [`new_with_max_length`](Self::new_with_max_length): a line that never
    /// ends fills the memory.
    pub fn new() -> Self {
        Self::new_with_max_length(usize::MAX)
    }

    /// Lines of `max_length` bytes at most, without the `\n`. Reading a longer
    /// one is an error, and the rest of it is skipped; sending one is an error.
    pub fn new_with_max_length(max_length: usize) -> Self {
        Self(Segments::new(max_length))
    }

    /// How many bytes a line has at most.
    pub fn max_length(&self) -> usize {
        self.0.len_max()
    }
}

impl Default for LinesCodec {
    fn default() -> Self {
        Self::new()
    }
}

/// # Errors
///
/// [`TooLong`](CodecError::TooLong) and [`Utf8`](CodecError::Utf8); the line is
/// skipped.
impl Decoder for LinesCodec {
    type Item = String;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<String>, CodecError> {
        let Some(mut line) = self.0.next(src, |byte| byte == b'\n')? else {
            return Ok(None);
        };
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        text(line).map(Some)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<String>, CodecError> {
        match self.decode(src)? {
            Some(line) => Ok(Some(line)),
            // As in the standard library, a last `\r` is one of the line's bytes.
            None => self.0.last(src).map(text).transpose(),
        }
    }
}

/// # Errors
///
/// [`TooLong`](CodecError::TooLong).
impl<I: AsRef<str>> Encoder<I> for LinesCodec {
    type Error = CodecError;

    fn encode(&mut self, line: I, dst: &mut BytesMut) -> Result<(), CodecError> {
        let line = line.as_ref();
        if line.len() > self.max_length() {
            return Err(CodecError::TooLong);
        }
        dst.reserve(line.len() + 1);
        dst.put_slice(line.as_bytes());
        dst.put_u8(b'\n');
        Ok(())
    }
}

fn text(line: BytesMut) -> Result<String, CodecError> {
    match str::from_utf8(&line) {
        Ok(line) => Ok(line.to_owned()),
        Err(_) => Err(CodecError::Utf8),
    }
}
