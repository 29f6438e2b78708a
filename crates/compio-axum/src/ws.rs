//! WebSocket connections of handlers, over [compio-ws](compio_ws).
//!
//! ```no_run
//! use axum::{Router, response::Response, routing::any};
//! use compio::net::TcpListener;
//! use compio_axum::ws::{WebSocket, WebSocketUpgrade};
//!
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(async |mut socket: WebSocket| {
//!         while let Some(Ok(message)) = socket.recv().await {
//!             if message.is_text() && socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//! }
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let router = Router::new().route("/echo", any(echo));
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     compio_axum::serve(listener, router).await
//! }
//! ```

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use compio::task;
pub use compio_ws::{Bytes, CloseCode, CloseFrame, Config, Error, Message, Utf8Bytes};
use compio_ws::{Stream, select_protocol, upgrade::Upgrade};

/// A connection over the native stream of the server.
pub type WebSocket = compio_ws::WebSocket<Stream>;

/// The extractor of a WebSocket handshake, over HTTP/1.1. Its route accepts GET requests.
#[derive(Debug)]
pub struct WebSocketUpgrade {
    response: compio_ws::Response,
    upgrade: Upgrade,
    /// The subprotocols that the client offers.
    offered: HeaderMap,
}

impl WebSocketUpgrade {
    /// Sets the limits of the connection.
    pub fn config(mut self, config: Config) -> Self {
        self.upgrade = self.upgrade.config(config);
        self
    }

    /// Selects the first of these subprotocols that the client offers, if there is one.
    pub fn protocols(mut self, supported: &[&str]) -> Self {
        select_protocol(&self.offered, self.response.headers_mut(), supported);
        self
    }

    /// The subprotocol that [`protocols`](Self::protocols) has selected.
    pub fn selected_protocol(&self) -> Option<&str> {
        let selected = self
            .response
            .headers()
            .get(header::SEC_WEBSOCKET_PROTOCOL)?;
        selected.to_str().ok()
    }

    /// Returns the response of the handler, and calls the function with the connection in a task of its own. The function and
    /// its future need not be `Send`.
    ///
    /// The function is not called if the client has gone before. [`into_parts`](Self::into_parts) reports that.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of compio.
    pub fn on_upgrade<F>(self, serve: F) -> Response
    where
        F: AsyncFnOnce(WebSocket) + 'static,
    {
        let (response, upgrade) = self.into_parts();
        task::spawn(async move {
            if let Ok(socket) = upgrade.accept().await {
                serve(socket).await;
            }
        })
        .detach();
        response
    }

    /// The response of the handler, and the upgrade to await in a task.
    pub fn into_parts(self) -> (Response, Upgrade) {
        (self.response.map(|()| Body::empty()), self.upgrade)
    }
}

/// # Errors
///
/// The rejection is a response with the status 400, 405 or 426.
impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match compio_ws::upgrade::upgrade_parts(parts) {
            Ok((response, upgrade)) => {
                let mut offered = HeaderMap::new();
                for value in parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
                    offered.append(header::SEC_WEBSOCKET_PROTOCOL, value.clone());
                }
                Ok(Self {
                    response,
                    upgrade,
                    offered,
                })
            }
            Err(error) => Err(compio_ws::upgrade::refusal(&error).into_response()),
        }
    }
}
