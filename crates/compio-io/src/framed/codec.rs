//! [`Decoder`] and [`Encoder`] define frames; [`CodecError`] is the error of the
//! codecs of this module.

use std::{error::Error, fmt, io};

use bytes::BytesMut;

/// Decodes frames from a buffer.
///
/// ```
/// use bytes::{Buf, BytesMut};
/// use compio::framed::{Decoder, FramedRead};
///
/// /// Frames of one byte, which must not be zero.
/// struct Bytes;
///
/// impl Decoder for Bytes {
///     type Item = u8;
///     type Error = std::io::Error;
///
///     fn decode(&mut self, src: &mut BytesMut) -> std::io::Result<Option<u8>> {
///         match src.try_get_u8() {
///             Ok(0) => Err(std::io::ErrorKind::InvalidData.into()),
///             Ok(byte) => Ok(Some(byte)),
///             Err(_) => Ok(None),
///         }
///     }
/// }
///
/// # pollster::block_on(async {
/// let mut frames = FramedRead::new(&b"a\0b"[..], Bytes);
/// assert_eq!(frames.next().await.unwrap().unwrap(), b'a');
/// assert!(frames.next().await.unwrap().is_err());
/// # });
/// ```
pub trait Decoder {
    /// A frame.
    type Item;

    /// The error of a bad frame. Errors of the reader are converted to it.
    type Error: From<io::Error>;

    /// Takes the first frame out of `src`, or returns `None` if it is incomplete.
    ///
    /// It is called again after more bytes were appended, and after each frame until
    /// it returns `None`. It may reserve room for the rest of a frame. The codec must
    /// bound that room.
    ///
    /// # Errors
    ///
    /// Errors of the codec. It documents the content of `src` after an error.
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error>;

    /// As [`decode`](Self::decode), after EOF, called until there is no frame left.
    /// The default implementation returns an error for bytes of an incomplete frame.
    ///
    /// # Errors
    ///
    /// Errors of the codec, such as `UnexpectedEof`.
    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        match self.decode(src)? {
            None if !src.is_empty() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the stream ends within a frame",
            )
            .into()),
            frame => Ok(frame),
        }
    }
}

/// Encodes frames into a buffer.
///
/// ```
/// use bytes::{BufMut, BytesMut};
/// use compio::framed::{Encoder, FramedWrite};
///
/// /// A frame is a number.
/// struct Numbers;
///
/// impl Encoder<u16> for Numbers {
///     type Error = std::io::Error;
///
///     fn encode(&mut self, item: u16, dst: &mut BytesMut) -> std::io::Result<()> {
///         dst.put_u16(item);
///         Ok(())
///     }
/// }
///
/// # pollster::block_on(async {
/// let mut frames = FramedWrite::new(Vec::new(), Numbers);
/// frames.send(0x6162).await?;
/// assert_eq!(frames.get_ref().unwrap(), b"ab");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait Encoder<Item> {
    /// The error of a bad frame. Errors of the writer are converted to it.
    type Error: From<io::Error>;

    /// Appends a frame to `dst`.
    ///
    /// # Errors
    ///
    /// Errors of the codec. The bytes that it has appended are removed.
    fn encode(&mut self, item: Item, dst: &mut BytesMut) -> Result<(), Self::Error>;
}

/// The error of the codecs of this module.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// A frame is longer than the codec allows, or than its length field can represent.
    TooLong,
    /// The length field of a frame, or the adjustment, gives an invalid length.
    Length,
    /// A line is not UTF-8.
    Utf8,
    /// The reader or writer failed, or ended within a frame.
    Io(io::Error),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the frame is too long"),
            Self::Length => f.write_str("the length of the frame is invalid"),
            Self::Utf8 => f.write_str("the line is not UTF-8"),
            Self::Io(e) => e.fmt(f),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(e) => e.source(),
            Self::TooLong | Self::Length | Self::Utf8 => None,
        }
    }
}

impl From<io::Error> for CodecError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// A bad frame becomes [`InvalidData`](io::ErrorKind::InvalidData).
impl From<CodecError> for io::Error {
    fn from(e: CodecError) -> Self {
        match e {
            CodecError::Io(e) => e,
            e @ (CodecError::TooLong | CodecError::Length | CodecError::Utf8) => {
                io::Error::new(io::ErrorKind::InvalidData, e)
            }
        }
    }
}
