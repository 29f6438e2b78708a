//! The traits of this module, as `std::io::prelude`.
//!
//! `read`, `write` and `shutdown` are methods of [`AsyncRead`] and [`AsyncWrite`]. The loops over them, such
//! as `read_exact` and `write_all`, are methods of [`AsyncReadExt`] and [`AsyncWriteExt`]. One import has
//! all of them:
//!
//! ```
//! use compio::io::{duplex, prelude::*};
//!
//! # pollster::block_on(async {
//! let (mut client, mut server) = duplex(64);
//! client.write_all("hello").await.0?;
//! client.shutdown().await?;
//! assert_eq!(server.read([0; 1]).await.1, *b"h");
//! assert_eq!(server.read_to_end(Vec::new()).await.1, b"ello");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

pub use super::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadAt, AsyncReadAtExt, AsyncReadExt, AsyncSeek,
    AsyncWrite, AsyncWriteAt, AsyncWriteAtExt, AsyncWriteExt,
};
