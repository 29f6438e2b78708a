//! WebSocket (RFC 6455) for the streams of compio: clients and servers on completion-based I/O.
//!
//! A [`WebSocket`] works over any stream that can be read and written through a shared reference: TCP, Unix sockets,
//! TLS streams, streams in memory. [tungstenite] implements the protocol, over buffers in memory. Each send and each
//! receive is one operation on an owned buffer.
//!
//! ```
//! use compio::{net::TcpListener, task};
//! use compio_ws::{CloseCode, Error, Message, accept, connect};
//!
//! async fn echo(listener: TcpListener) -> Result<(), Error> {
//!     let (stream, _) = listener.accept().await?;
//!     let (mut socket, request) = accept(stream).await?;
//!     println!("{}", request.uri());
//!     while let Some(message) = socket.recv().await {
//!         let message = message?;
//!         if message.is_text() || message.is_binary() {
//!             socket.send(message).await?;
//!         }
//!     }
//!     // The peer has closed the connection: wait until its stream has ended.
//!     socket.close(CloseCode::Normal, "").await
//! }
//!
//! async fn run() -> Result<(), Error> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("ws://{}/chat", listener.local_addr()?);
//!     let server = task::spawn(echo(listener));
//!
//!     let (mut socket, _response) = connect(url).await?;
//!     socket.send("hello").await?;
//!     assert_eq!(socket.recv().await.unwrap()?, Message::text("hello"));
//!     socket.close(CloseCode::Normal, "").await?;
//!     server.await.unwrap()
//! }
//!
//! task::block_on(run()).unwrap();
//! ```
//!
//! Set `TCP_NODELAY` on the streams of a server, as [`connect()`] does for clients: small messages otherwise wait for the
//! acknowledgment of earlier ones.
//!
//! Compression (permessage-deflate, RFC 7692) is not supported, nor are connections over HTTP/2 (RFC 8441).
//! [docs/websocket.md](https://github.com/Berrysoft/compio/blob/main/docs/websocket.md) has the results of the
//! Autobahn test suite.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `tls` | `connect_tls`, for `wss` URLs. Without it, [`client`] and [`accept`] work over a TLS stream as well |
//! | `http` | module `upgrade`: upgrades of requests of compio-http |
//! | `futures` | `futures_core::Stream` and `futures_sink::Sink` |
//!
//! # Code map
//!
//! `handshake.rs` both sides of the opening handshake, `connect.rs` URLs, `upgrade.rs` servers of compio-http,
//! `stream.rs` a stream of any of these; `engine.rs` the state machine of polls, `output.rs` the bytes to send,
//! `socket.rs` the connection and its halves.

#![forbid(unsafe_code)]

mod config;
mod connect;
mod engine;
mod error;
mod handshake;
mod output;
mod socket;
mod stream;
#[cfg(feature = "http")]
pub mod upgrade;

pub use tungstenite::{
    self, Bytes, ClientRequestBuilder, Message, Utf8Bytes,
    client::IntoClientRequest,
    handshake::server::{ErrorResponse, Request, Response},
    http,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

#[cfg(feature = "tls")]
pub use crate::connect::connect_tls;
pub use crate::{
    config::Config,
    connect::{connect, connect_with},
    error::Error,
    handshake::{accept, accept_with, client, client_with, select_protocol},
    socket::{Receiver, Sender, WebSocket},
    stream::Stream,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
