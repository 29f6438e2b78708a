//! The opening handshake of both sides, over HTTP/1.1.
//!
//! Upgrades of an HTTP server are in `upgrade.rs`.

use std::{
    future::Future,
    io::{self, Read, Write},
    mem,
    rc::Rc,
    time::Duration,
};

use compio::time::timeout;
use compio_io::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, PollReader, PollWriter};
use tungstenite::{
    client::IntoClientRequest,
    error::ProtocolError,
    handshake::{
        HandshakeError,
        client::ClientHandshake,
        machine::TryParse,
        server::{ErrorResponse, Request, Response, create_response, write_response},
    },
    http::{self, HeaderValue, StatusCode, header},
    protocol::Role,
};

use crate::{Config, Error, WebSocket, engine::Engine};

/// The time for the body of a refusal.
const BODY_WAIT: Duration = Duration::from_secs(1);

/// The longest body of a refusal that a client reads.
const BODY_MAX: usize = 4 * 1024;

/// How long a refused client may keep its stream open.
const LINGER: Duration = Duration::from_secs(1);

/// Executes the handshake of a client over a stream. Returns the connection and the server's response, for instance
/// for its `sec-websocket-protocol`.
///
/// The request is a URL, or a [`ClientRequestBuilder`](crate::ClientRequestBuilder) with headers and subprotocols, or
/// an [`http::Request`] that has all headers of a handshake. Its scheme is `ws` or `wss`; both
/// use the stream as it is.
///
/// ```
/// use compio::net::{TcpListener, TcpStream};
/// use compio_ws::{ClientRequestBuilder, Message, accept, client};
///
/// # compio::task::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let server = compio::task::spawn(async move {
///     let (stream, _) = listener.accept().await?;
///     let (mut socket, request) = accept(stream).await?;
///     socket.send(request.headers()["x-name"].to_str().unwrap()).await
/// });
///
/// let stream = TcpStream::connect(address).await?;
/// let request = ClientRequestBuilder::new("ws://localhost/chat".parse().unwrap())
///     .with_header("x-name", "Ann");
/// let (mut socket, response) = client(stream, request).await?;
/// assert_eq!(response.status(), 101);
/// assert_eq!(socket.recv().await.unwrap()?, Message::text("Ann"));
/// server.await.unwrap()
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// - [`Error::InvalidRequest`]: the URL or a header cannot be sent.
/// - [`Error::Refused`]: the server has answered with another status than 101.
/// - [`Error::Handshake`]: the response violates the protocol, selects a subprotocol that was not offered or no
///   subprotocol, or an extension.
/// - [`Error::Io`]: `TimedOut` after the [limit](Config::handshake_timeout), `UnexpectedEof` if the server has closed
///   the stream, `InvalidData` if the head of the response is too long, and other errors of the stream.
///
/// # Cancellation
///
/// The stream is closed.
pub async fn client<S: 'static>(
    stream: S,
    request: impl IntoClientRequest,
) -> Result<(WebSocket<S>, Response), Error>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    client_with(stream, request, Config::new()).await
}

/// As [`client`], with other limits.
///
/// # Errors
///
/// As [`client`].
///
/// # Cancellation
///
/// As [`client`].
pub async fn client_with<S: 'static>(
    stream: S,
    request: impl IntoClientRequest,
    config: Config,
) -> Result<(WebSocket<S>, Response), Error>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    within(config, client_handshake(stream, request, config)).await
}

/// The handshake of a client, without a time limit.
pub(crate) async fn client_handshake<S: 'static>(
    stream: S,
    request: impl IntoClientRequest,
    config: Config,
) -> Result<(WebSocket<S>, Response), Error>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    let invalid = |error| Error::InvalidRequest(Box::new(error));
    let request = request.into_client_request().map_err(invalid)?;
    let memory = Memory::default();
    let handshake = ClientHandshake::start(memory, request, None).map_err(invalid)?;
    // It writes its request, and waits for the response.
    let mut handshake = match handshake.handshake() {
        Err(HandshakeError::Interrupted(handshake)) => handshake,
        Err(HandshakeError::Failure(error)) => return Err(Error::handshake(error, None)),
        Ok(_) => unreachable!("there is no response"),
    };
    let mut opening = Opening::new(stream);
    let memory = handshake.get_mut().get_mut();
    opening.send(mem::take(&mut memory.output)).await?;
    let Some(head) = opening.read_head(config.max_head_size).await? else {
        let message = "the head of the response is too long";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
    };
    handshake.get_mut().get_mut().input = io::Cursor::new(head);
    let response = match handshake.handshake() {
        Ok((_, response)) => response.map(drop),
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            let (parts, _) = response.into_parts();
            let mut body = Vec::new();
            let len = parts.headers.get(header::CONTENT_LENGTH);
            // A server that stalls must not hide the status.
            let _ = timeout(BODY_WAIT, opening.read_body(len, &mut body)).await;
            return Err(Error::Refused(Box::new(
                Response::from_parts(parts, ()).map(|()| body),
            )));
        }
        Err(HandshakeError::Failure(error)) => return Err(Error::handshake(error, None)),
        // Its head is complete by the same rule.
        Err(HandshakeError::Interrupted(_)) => {
            return Err(Error::eof("the response has no end"));
        }
    };
    // tungstenite offers no extension, and leaves this check open.
    let extensions = header::SEC_WEBSOCKET_EXTENSIONS;
    if response.headers().contains_key(&extensions) {
        let error = ProtocolError::InvalidHeader(Box::new(extensions));
        return Err(Error::handshake(error.into(), None));
    }
    Ok((opening.into_socket(Role::Client, config), response))
}

/// Executes the handshake of a server over a stream. Returns the connection and the client's request. It selects no
/// subprotocol: see [`accept_with`].
///
/// An invalid request is answered with the status 400, 405 (not a GET), 426 (another version) or 431 (the head is too
/// long), and the stream is shut down.
///
/// # Errors
///
/// - [`Error::Handshake`]: the request is invalid. Its [`status`](Error::status) was sent.
/// - [`Error::Io`]: `TimedOut` after the [limit](Config::handshake_timeout), `UnexpectedEof` if the client has closed
///   the stream, and other errors of the stream.
///
/// # Cancellation
///
/// The stream is closed.
pub async fn accept<S: 'static>(stream: S) -> Result<(WebSocket<S>, Request), Error>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    accept_with(stream, Config::new(), |_, response| Ok(response)).await
}

/// As [`accept`], with other limits and a callback, which gets the request and the response. It can add headers to the
/// response, [select a subprotocol](select_protocol), or refuse the request with another response.
///
/// ```
/// use compio::net::TcpListener;
/// use compio_ws::{Config, accept_with, http, select_protocol};
///
/// async fn serve(listener: TcpListener) -> Result<(), compio_ws::Error> {
///     let (stream, _) = listener.accept().await?;
///     let (mut socket, _) = accept_with(stream, Config::new(), |request, mut response| {
///         if request.uri().path() != "/chat" {
///             let mut refusal = http::Response::new(Some("no such room".to_owned()));
///             *refusal.status_mut() = http::StatusCode::NOT_FOUND;
///             return Err(refusal.into());
///         }
///         select_protocol(request.headers(), response.headers_mut(), &["v2.chat", "v1.chat"]);
///         Ok(response)
///     })
///     .await?;
///     socket.send("welcome").await
/// }
/// ```
///
/// # Errors
///
/// As [`accept`], and:
///
/// - [`Error::Refused`] with the response of the callback.
/// - [`Error::InvalidRequest`]: a header of this response, or of the accepted one, is not ASCII. The client gets no
///   response.
///
/// # Cancellation
///
/// As [`accept`].
pub async fn accept_with<S: 'static>(
    stream: S,
    config: Config,
    callback: impl FnOnce(&Request, Response) -> Result<Response, Box<ErrorResponse>>,
) -> Result<(WebSocket<S>, Request), Error>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    within(config, server_handshake(stream, config, callback)).await
}

async fn server_handshake<S: 'static>(
    stream: S,
    config: Config,
    callback: impl FnOnce(&Request, Response) -> Result<Response, Box<ErrorResponse>>,
) -> Result<(WebSocket<S>, Request), Error>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    let mut opening = Opening::new(stream);
    let head = opening.read_head(config.max_head_size).await?;
    let request = match head.as_deref() {
        None => Err((
            tungstenite::Error::AttackAttempt,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        )),
        Some(head) => parse(head).map_err(|error| {
            let status = status_for(&error);
            (error, status)
        }),
    };
    let (request, response) = match request {
        Ok(request) => request,
        Err((error, status)) => {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = status;
            if status == StatusCode::UPGRADE_REQUIRED {
                let version = HeaderValue::from_static("13");
                let headers = refusal.headers_mut();
                headers.insert(header::SEC_WEBSOCKET_VERSION, version);
            }
            opening.refuse(refusal).await?;
            return Err(Error::handshake(error, Some(status)));
        }
    };
    match callback(&request, response) {
        Ok(response) => {
            opening.send(head_of(&response)?).await?;
        }
        Err(refusal) => {
            let sent = (*refusal)
                .clone()
                .map(|body| body.unwrap_or_default().into_bytes());
            opening.refuse(*refusal).await?;
            return Err(Error::Refused(Box::new(sent)));
        }
    }
    Ok((opening.into_socket(Role::Server, config), request))
}

/// Selects the first of these subprotocols that the client offers, and names it in the response.
pub fn select_protocol<'p>(
    request: &header::HeaderMap,
    response: &mut header::HeaderMap,
    supported: &[&'p str],
) -> Option<&'p str> {
    let offered = request.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let offered: Vec<&str> = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let selected = supported.iter().find(|name| offered.contains(name))?;
    let value = HeaderValue::from_str(selected).ok()?;
    response.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    Some(selected)
}

fn parse(head: &[u8]) -> Result<(Request, Response), tungstenite::Error> {
    let Some((_, request)) = Request::try_parse(head)? else {
        return Err(ProtocolError::HandshakeIncomplete.into());
    };
    let response = create_response(&request)?;
    Ok((request, response))
}

/// The status of the answer to an invalid request.
pub(crate) fn status_for(error: &tungstenite::Error) -> StatusCode {
    let tungstenite::Error::Protocol(error) = error else {
        return StatusCode::BAD_REQUEST;
    };
    if *error == ProtocolError::WrongHttpMethod {
        StatusCode::METHOD_NOT_ALLOWED
    } else if *error == ProtocolError::MissingSecWebSocketVersionHeader
        || *error == ProtocolError::MissingUpgradeWebSocketHeader
    {
        StatusCode::UPGRADE_REQUIRED
    } else {
        StatusCode::BAD_REQUEST
    }
}

/// The head of a response, as it is sent.
fn head_of<T>(response: &http::Response<T>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    write_response(&mut bytes, response).map_err(|error| Error::InvalidRequest(Box::new(error)))?;
    Ok(bytes)
}

/// A stream in its handshake.
struct Opening<S> {
    stream: Rc<S>,
    reader: PollReader<Rc<S>>,
    writer: PollWriter<Rc<S>>,
}

impl<S: 'static> Opening<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    fn new(stream: S) -> Self {
        let stream = Rc::new(stream);
        let (reader, writer) = Engine::operations(&stream);
        Self {
            stream,
            reader,
            writer,
        }
    }

    /// The connection after the handshake. Bytes behind the head of the peer are in the reader.
    fn into_socket(self, role: Role, config: Config) -> WebSocket<S> {
        let engine = Engine::new(role, self.reader, self.writer, Vec::new(), &config);
        WebSocket::new(engine, self.stream, &config)
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.writer.write_all(bytes).await.0?;
        Ok(self.writer.flush().await?)
    }

    /// Reads to the end of a head, and leaves the bytes behind it in the reader. `None` if it is too long.
    async fn read_head(&mut self, max: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut head = Vec::new();
        loop {
            let received = self.reader.fill_buf().await?;
            if received.is_empty() {
                return Err(Error::eof(
                    "the peer has closed the stream in the handshake",
                ));
            }
            let (before, len) = (head.len(), received.len());
            head.extend_from_slice(received);
            // The end may have begun before.
            let begin = before.saturating_sub(3);
            let end = head[begin..].windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(end) = end.map(|end| begin + end + 4) {
                self.reader.consume(end - before);
                head.truncate(end);
                return Ok((end <= max).then_some(head));
            }
            self.reader.consume(len);
            if head.len() > max {
                return Ok(None);
            }
        }
    }

    /// The beginning of the body of a refusal.
    async fn read_body(&mut self, len: Option<&HeaderValue>, body: &mut Vec<u8>) {
        let len = len.and_then(|len| len.to_str().ok()?.parse().ok());
        let len: usize = len.unwrap_or(0).min(BODY_MAX);
        while body.len() < len {
            match self.reader.fill_buf().await {
                Ok([]) | Err(_) => break,
                Ok(received) => {
                    let received = &received[..received.len().min(len - body.len())];
                    body.extend_from_slice(received);
                    let len = received.len();
                    self.reader.consume(len);
                }
            }
        }
    }

    /// Sends a refusal, and waits until the client has closed the stream: unread bytes would reset it.
    async fn refuse(&mut self, mut refusal: ErrorResponse) -> Result<(), Error> {
        let body = refusal.body_mut().take().unwrap_or_default();
        let headers = refusal.headers_mut();
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let mut bytes = head_of(&refusal)?;
        bytes.extend_from_slice(body.as_bytes());
        self.send(bytes).await?;
        self.writer.shutdown().await?;
        let drained = async {
            while let Ok([_, ..]) = self.reader.fill_buf().await {
                let len = self.reader.buffer().len();
                self.reader.consume(len);
            }
        };
        let _ = timeout(LINGER, drained).await;
        Ok(())
    }
}

/// Ends a handshake after its limit.
pub(crate) async fn within<T>(
    config: Config,
    handshake: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match timeout(config.handshake_timeout, handshake).await {
        Ok(done) => done,
        Err(_) => Err(Error::timed_out("the handshake has not ended in time")),
    }
}

/// The stream that tungstenite's handshake sees.
#[derive(Debug, Default)]
struct Memory {
    input: io::Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match Read::read(&mut self.input, buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.output, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
