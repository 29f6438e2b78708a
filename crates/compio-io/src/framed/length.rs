//! [`LengthDelimitedCodec`]: frames with a length field.

use bytes::{Buf, BufMut, BytesMut};

use crate::framed::{CodecError, Decoder, Encoder};

/// The default maximum length of a frame, in bytes.
const LEN_MAX: usize = 8 * 1024 * 1024;

/// Frames with a length field in a header.
///
/// ```text
/// | other header | length field | ... header | frame ...           |
/// 0              offset         |            skip                  |
///                               offset + field length
///                                            | value + adjustment  |
/// ```
///
/// By default the header is only the length field: 4 bytes, big-endian. It counts the
/// bytes behind it. Frames have 8 MiB at most.
///
/// The setters are named as in tokio-util's builder.
///
/// ```
/// use compio::framed::{FramedRead, FramedWrite, LengthDelimitedCodec};
///
/// # pollster::block_on(async {
/// let mut frames = FramedWrite::new(Vec::new(), LengthDelimitedCodec::new());
/// frames.send("abc").await?;
/// assert_eq!(frames.get_ref().unwrap(), b"\0\0\0\x03abc");
///
/// // The field counts itself, and two bytes of flags stand between.
/// let codec = LengthDelimitedCodec::new()
///     .length_field_length(2)
///     .little_endian()
///     .length_adjustment(-4)
///     .num_skip(4);
/// let mut frames = FramedRead::new(&b"\x07\0??abc"[..], codec);
/// assert_eq!(frames.next().await.unwrap()?, b"abc"[..]);
/// # Result::<(), compio::framed::CodecError>::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct LengthDelimitedCodec {
    field_offset: usize,
    field_len: usize,
    little_endian: bool,
    adjustment: isize,
    skip: Option<usize>,
    len_max: usize,
    // The length of the frame whose header has been decoded.
    begun: Option<usize>,
}

impl LengthDelimitedCodec {
    /// A header of 4 bytes, big-endian, which counts the bytes behind it.
    pub fn new() -> Self {
        Self {
            field_offset: 0,
            field_len: 4,
            little_endian: false,
            adjustment: 0,
            skip: None,
            len_max: LEN_MAX,
            begun: None,
        }
    }

    /// The size of the length field in bytes.
    ///
    /// # Panics
    ///
    /// If `bytes` is not from 1 to 8.
    #[must_use]
    pub fn length_field_length(mut self, bytes: usize) -> Self {
        assert!(
            (1..=8).contains(&bytes),
            "a length field of {bytes} bytes, not 1 to 8"
        );
        self.field_len = bytes;
        self
    }

    /// The offset of the length field: the number of header bytes before it.
    ///
    /// # Panics
    ///
    /// If the end of the field is behind [`usize::MAX`].
    #[must_use]
    pub fn length_field_offset(mut self, bytes: usize) -> Self {
        assert!(
            bytes <= usize::MAX - 8,
            "a length field that ends behind usize::MAX"
        );
        self.field_offset = bytes;
        self
    }

    /// The length field has its highest byte first.
    #[must_use]
    pub fn big_endian(mut self) -> Self {
        self.little_endian = false;
        self
    }

    /// The length field has its lowest byte first.
    #[must_use]
    pub fn little_endian(mut self) -> Self {
        self.little_endian = true;
        self
    }

    /// The difference between the number of bytes behind the
    /// [skipped](Self::num_skip) ones and the length field's value.
    #[must_use]
    pub fn length_adjustment(mut self, bytes: isize) -> Self {
        self.adjustment = bytes;
        self
    }

    /// How many bytes from the start of the header do not belong to the frame. By
    /// default the header up to the end of the length field.
    #[must_use]
    pub fn num_skip(mut self, bytes: usize) -> Self {
        self.skip = Some(bytes);
        self
    }

    /// The maximum length of a frame in bytes, with the part of the header that is not
    /// [skipped](Self::num_skip). Reading a longer frame fails before its memory is
    /// allocated. Sending one fails as well.
    #[must_use]
    pub fn max_frame_length(mut self, bytes: usize) -> Self {
        self.len_max = bytes;
        self
    }

    /// How many bytes there are up to the end of the length field.
    fn field_end(&self) -> usize {
        self.field_offset + self.field_len
    }

    fn skip(&self) -> usize {
        self.skip.unwrap_or(self.field_end())
    }

    /// How many bytes of the header belong to the frame.
    fn kept(&self) -> usize {
        self.field_end().saturating_sub(self.skip())
    }

    /// Takes the header out of `src`, if it is there, and returns how long the
    /// frame is.
    fn begin(&self, src: &mut BytesMut) -> Result<Option<usize>, CodecError> {
        if src.len() < self.field_end().max(self.skip()) {
            return Ok(None);
        }
        let mut field = &src[self.field_offset..self.field_end()];
        let value = if self.little_endian {
            field.get_uint_le(self.field_len)
        } else {
            field.get_uint(self.field_len)
        };
        // Both fit into 128 bits, and so does their sum.
        let len = i128::from(value) + self.adjustment as i128;
        // If a frame ended within its own header, the next would begin there. Frames of no bytes
        // would never end.
        if len < self.kept() as i128 {
            return Err(CodecError::Length);
        }
        match usize::try_from(len) {
            Ok(len) if len <= self.len_max => {
                src.advance(self.skip());
                Ok(Some(len))
            }
            _ => Err(CodecError::TooLong),
        }
    }

    /// The value of the length field for a frame of `len` bytes.
    fn value(&self, len: usize) -> Result<u64, CodecError> {
        // The length field and the frame are sent. A reader skips `skip` bytes, and
        // takes value plus adjustment bytes as the frame.
        if self.field_offset > 0 || self.skip() > self.field_len {
            return Err(CodecError::Length);
        }
        let len = len.saturating_add(self.kept());
        let value = len as i128 - self.adjustment as i128;
        if value < 0 {
            return Err(CodecError::Length);
        }
        let bits = 8 * self.field_len;
        match u64::try_from(value) {
            Ok(value) if len <= self.len_max && (bits == 64 || value >> bits == 0) => Ok(value),
            _ => Err(CodecError::TooLong),
        }
    }
}

impl Default for LengthDelimitedCodec {
    fn default() -> Self {
        Self::new()
    }
}

/// # Errors
///
/// [`TooLong`](CodecError::TooLong), and [`Length`](CodecError::Length) if the
/// adjustment makes a length negative, or shorter than the part of the header that
/// belongs to the frame. The header stays where it is: where the next frame begins
/// is not known.
impl Decoder for LengthDelimitedCodec {
    type Item = BytesMut;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        if self.begun.is_none() {
            self.begun = self.begin(src)?;
        }
        let Some(len) = self.begun else {
            return Ok(None);
        };
        if src.len() < len {
            src.reserve(len - src.len());
            return Ok(None);
        }
        self.begun = None;
        Ok(Some(src.split_to(len)))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        match self.decode(src)? {
            // A decoded header without its frame: the stream ends within a frame.
            None if !src.is_empty() || self.begun.is_some() => {
                Err(CodecError::Io(std::io::ErrorKind::UnexpectedEof.into()))
            }
            frame => Ok(frame),
        }
    }
}

/// Sends the length field, and the given bytes behind it.
///
/// # Errors
///
/// [`TooLong`](CodecError::TooLong), also if the length field is too short for the
/// value. [`Length`](CodecError::Length) if the adjustment makes the value negative,
/// or if the header has bytes beside the length field, which this codec cannot fill.
impl<I: AsRef<[u8]>> Encoder<I> for LengthDelimitedCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: I, dst: &mut BytesMut) -> Result<(), CodecError> {
        let frame = frame.as_ref();
        let value = self.value(frame.len())?;
        dst.reserve(self.field_len + frame.len());
        if self.little_endian {
            dst.put_uint_le(value, self.field_len);
        } else {
            dst.put_uint(value, self.field_len);
        }
        dst.put_slice(frame);
        Ok(())
    }
}
