//! Frames: messages out of and into streams of bytes, by a codec.
//!
//! | file | holds |
//! |---|---|
//! | `codec` | [`Decoder`], [`Encoder`], [`CodecError`] |
//! | `read` | [`FramedRead`]: the frames of a reader |
//! | `write` | [`FramedWrite`]: frames into a writer |
//! | `duplex` | [`Framed`]: both with one codec |
//! | `lines`, `delimiter` | [`LinesCodec`], [`AnyDelimiterCodec`], over `segments` |
//! | `length` | [`LengthDelimitedCodec`] |
//! | `bytes` | [`BytesCodec`] |
#![cfg_attr(feature = "serde_json", doc = "| `json` | [`JsonCodec`] |")]
//!
//! Codecs have the shape of tokio-util's: one method takes a frame out of a
//! `BytesMut`, another appends a frame to a `BytesMut`. A codec for tokio-util needs
//! only another `use`, and frames leave the buffer without a copy. Readers are a
//! `Stream` and writers a `Sink` for the combinators of the futures crates. They also
//! have `next`, `send`, `feed`, `flush` and `close` of their own, so that none of
//! these crates is needed.
//!
//! It differs in one point: [`Framed`] takes a reader and a writer, where
//! tokio-util takes one stream. A waiting read owns its reader, and frames must be
//! sent while it waits. [`split`](crate::io::split) and the sockets' `into_split`
//! make two halves of a stream.
//!
//! # Cancellation
//!
//! A read in flight and its buffer stay in the [`FramedRead`] when the future of
//! `next` is dropped. The following `next` waits for the same read. So `next` may
//! stand in a `select!`: no byte and no frame is lost. Writes are kept in the same
//! way. For that, reader and writer must be `'static`.
//!
//! ```
//! use compio::framed::{Framed, LinesCodec};
//! use compio::io::{duplex, split};
//!
//! # pollster::block_on(async {
//! let [mut client, mut server] = <[_; 2]>::from(duplex(64)).map(|stream| {
//!     let (reader, writer) = split(stream);
//!     Framed::new(reader, writer, LinesCodec::new())
//! });
//! client.send("question").await?;
//! assert_eq!(server.next().await.unwrap()?, "question");
//! server.send("answer").await?;
//! assert_eq!(client.next().await.unwrap()?, "answer");
//! client.close().await?;
//! assert!(server.next().await.is_none());
//! # Result::<(), compio::framed::CodecError>::Ok(())
//! # }).unwrap();
//! ```

mod bytes;
mod codec;
mod delimiter;
mod duplex;
#[cfg(feature = "serde_json")]
mod json;
mod length;
mod lines;
mod read;
mod segments;
mod write;

pub use bytes::BytesCodec;
pub use codec::{CodecError, Decoder, Encoder};
pub use delimiter::AnyDelimiterCodec;
pub use duplex::Framed;
#[cfg(feature = "serde_json")]
pub use json::{JsonCodec, JsonError};
pub use length::LengthDelimitedCodec;
pub use lines::LinesCodec;
pub use read::FramedRead;
pub use write::FramedWrite;
