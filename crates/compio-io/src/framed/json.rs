//! [`JsonCodec`]: frames are values as JSON; under the feature `serde_json`.

use std::{error::Error, fmt, io, marker::PhantomData};

use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};

use crate::framed::{Decoder, Encoder};

/// Each frame of another codec is a value of type `T` as JSON.
///
/// Over [`LinesCodec`](crate::framed::LinesCodec), that is one value a line; over
/// [`LengthDelimitedCodec`](crate::framed::LengthDelimitedCodec), each value has
/// its length before it. Anything that can be serialized can be sent.
///
/// ```
/// use compio::framed::{FramedRead, JsonCodec, LinesCodec};
///
/// # pollster::block_on(async {
/// let codec = JsonCodec::<_, (u32, String)>::new(LinesCodec::new());
/// let mut values = FramedRead::new(&b"[1, \"one\"]\n[2, \"two\"]\n"[..], codec);
/// assert_eq!(values.next().await.unwrap().unwrap(), (1, "one".into()));
/// assert_eq!(values.next().await.unwrap().unwrap(), (2, "two".into()));
/// # });
/// ```
pub struct JsonCodec<C, T> {
    codec: C,
    // Only decoded, never stored.
    values: PhantomData<fn() -> T>,
}

impl<C, T> JsonCodec<C, T> {
    /// Values in the frames of `codec`.
    pub fn new(codec: C) -> Self {
        Self {
            codec,
            values: PhantomData,
        }
    }

    /// The codec of the frames.
    pub fn get_ref(&self) -> &C {
        &self.codec
    }

    /// Unwraps the codec of the frames.
    pub fn into_inner(self) -> C {
        self.codec
    }
}

impl<C, T> JsonCodec<C, T>
where
    C: Decoder<Item: AsRef<[u8]>>,
    T: DeserializeOwned,
{
    fn parse(frame: Option<C::Item>) -> Result<Option<T>, JsonError<C::Error>> {
        let value = frame.map(|frame| serde_json::from_slice(frame.as_ref()));
        value.transpose().map_err(JsonError::Json)
    }
}

/// # Errors
///
/// Errors of the codec, and [`Json`](JsonError::Json) for a frame that does not
/// parse as `T`; that frame is skipped.
impl<C, T> Decoder for JsonCodec<C, T>
where
    C: Decoder<Item: AsRef<[u8]>>,
    T: DeserializeOwned,
{
    type Item = T;
    type Error = JsonError<C::Error>;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<T>, Self::Error> {
        Self::parse(self.codec.decode(src).map_err(JsonError::Codec)?)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<T>, Self::Error> {
        Self::parse(self.codec.decode_eof(src).map_err(JsonError::Codec)?)
    }
}

/// # Errors
///
/// Errors of the codec, and [`Json`](JsonError::Json) for a value without JSON form.
impl<C, T, I> Encoder<I> for JsonCodec<C, T>
where
    C: Encoder<String>,
    I: Serialize,
{
    type Error = JsonError<C::Error>;

    fn encode(&mut self, value: I, dst: &mut BytesMut) -> Result<(), Self::Error> {
        // The text contains no line ends: inside of strings they are escaped.
        let text = serde_json::to_string(&value).map_err(JsonError::Json)?;
        self.codec.encode(text, dst).map_err(JsonError::Codec)
    }
}

impl<C: Clone, T> Clone for JsonCodec<C, T> {
    fn clone(&self) -> Self {
        Self::new(self.codec.clone())
    }
}

impl<C: fmt::Debug, T> fmt::Debug for JsonCodec<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonCodec").field(&self.codec).finish()
    }
}

/// The error of a [`JsonCodec`] over a codec with errors `E`.
#[derive(Debug)]
pub enum JsonError<E> {
    /// A frame does not parse, or a value does not serialize.
    Json(serde_json::Error),
    /// An error of the inner codec, or of the reader or writer.
    Codec(E),
}

impl<E: fmt::Display> fmt::Display for JsonError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(e) => e.fmt(f),
            Self::Codec(e) => e.fmt(f),
        }
    }
}

impl<E: Error> Error for JsonError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Json(e) => e.source(),
            Self::Codec(e) => e.source(),
        }
    }
}

impl<E: From<io::Error>> From<io::Error> for JsonError<E> {
    fn from(e: io::Error) -> Self {
        Self::Codec(e.into())
    }
}
