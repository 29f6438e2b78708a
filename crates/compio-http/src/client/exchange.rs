//! One request and its response: a connection, the time limits, and the retry on another connection.

use std::{error::Error as _, future::poll_fn, io, pin::pin, rc::Rc, task::Poll, time::Duration};

use compio::time::{sleep, timeout, timeout_at};
use http_body::Body;
use hyper::{Method, Request, Response, Uri, body::Incoming, client::conn::TrySendError};

use super::connection::Http1;
#[cfg(feature = "http2")]
use super::connection::Http2;
use super::{
    Shared,
    body::{OutgoingBody, Progress},
    connect::Connect,
    connection::{ActiveStream, Connection},
    error::{Error, Kind},
    pool::{Key, Lease, Permit},
    response::ResponseBody,
};
use crate::{BoxError, deadline::DeadlineTimer};

/// The time limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) total: Option<Duration>,
    pub(super) read: Option<Duration>,
}

/// Sends a request, and returns when the head of the response has arrived.
pub(super) async fn exchange<C: Connect>(
    client: &Shared<C>,
    request: Request<OutgoingBody>,
    limits: Deadlines,
) -> Result<Response<ResponseBody>, Error> {
    let deadline = limits.total.map(|total| sleep(total).deadline());
    let exchange = attempts(client, request, limits.read);
    let (response, active) = match deadline {
        None => exchange.await?,
        Some(deadline) => timeout_at(deadline, exchange)
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::Timeout)))?,
    };
    let pool = Rc::clone(&client.pool);
    Ok(response.map(|body| ResponseBody::new(body, pool, active, deadline, limits.read)))
}

type Answer = (Response<Incoming>, Option<ActiveStream>);

async fn attempts<C: Connect>(
    client: &Shared<C>,
    mut request: Request<OutgoingBody>,
    read_timeout: Option<Duration>,
) -> Result<Answer, Error> {
    if request.method() == Method::CONNECT {
        let message = "the client opens no tunnels";
        return Err(Error::with(Kind::Builder, BoxError::from(message)));
    }
    let url = request.uri().clone();
    let key = Key::new(&url)?;
    let progress = read_timeout.map(Progress::new);
    if let Some(progress) = &progress {
        request.body_mut().report_to(progress.clone());
    }
    let mut is_retry = false;
    loop {
        let connection = match client.pool.acquire(&key, is_retry).await {
            Lease::Pooled(connection) => connection,
            Lease::New(permit) => connect(client, &url, permit).await?,
        };
        let is_reused = connection.is_reused();
        let again = if is_reused && !is_retry {
            try_clone(&request)
        } else {
            None
        };
        if let Some(progress) = &progress {
            progress.note();
        }
        let sent = send(client, connection, request, &url, &key);
        let mut error = match within(progress.as_ref(), sent).await? {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let unsent = error.take_message();
        let error = error.into_error();
        // The peer may close an idle connection while a request is on its way. A second failure is no such race.
        request = match (unsent, again) {
            (Some(unsent), _) if is_reused && !is_retry => unsent,
            (None, Some(again)) if is_closed_by_peer(&error) => again,
            _ => return Err(Error::with(Kind::Request, error)),
        };
        is_retry = true;
    }
}

/// The request again, if the server may see it twice.
fn try_clone(request: &Request<OutgoingBody>) -> Option<Request<OutgoingBody>> {
    if !request.method().is_idempotent() {
        return None;
    }
    let body = request.body().try_clone()?;
    let mut clone = Request::new(body);
    *clone.method_mut() = request.method().clone();
    *clone.uri_mut() = request.uri().clone();
    *clone.version_mut() = request.version();
    *clone.headers_mut() = request.headers().clone();
    *clone.extensions_mut() = request.extensions().clone();
    Some(clone)
}

/// Whether the connection has ended before a response.
fn is_closed_by_peer(error: &hyper::Error) -> bool {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return true;
    }
    let Some(source) = error.source() else {
        return false;
    };
    #[cfg(feature = "http2")]
    if let Some(h2) = source.downcast_ref::<h2::Error>() {
        let is_refused = h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
        return h2.is_remote() && (is_refused || h2.is_go_away())
            || h2.get_io().is_some_and(is_disconnect);
    }
    source
        .downcast_ref::<io::Error>()
        .is_some_and(is_disconnect)
}

fn is_disconnect(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}

/// Establishes a connection.
async fn connect<C: Connect>(
    client: &Shared<C>,
    url: &Uri,
    permit: Permit,
) -> Result<Connection, Error> {
    let connected = async {
        let connected = client.connector.connect(url).await;
        let connected = connected.map_err(|error| Error::with(Kind::Connect, error))?;
        let is_http2 = connected.is_http2 || client.pool.limits.is_http2;
        start(client, connected.stream, is_http2, permit).await
    };
    match client.connect_timeout {
        None => connected.await,
        Some(limit) => timeout(limit, connected)
            .await
            .unwrap_or_else(|_| Err(Error::new(Kind::ConnectTimeout))),
    }
}

async fn start<C: Connect>(
    client: &Shared<C>,
    stream: C::Stream,
    is_http2: bool,
    permit: Permit,
) -> Result<Connection, Error> {
    let failed = |error: hyper::Error| Error::with(Kind::Connect, error);
    match is_http2 {
        false => Http1::start(&client.http1, stream, permit, &client.pool)
            .await
            .map(Connection::Http1)
            .map_err(failed),
        // Several connections may have been begun before the first one has chosen the protocol.
        #[cfg(feature = "http2")]
        true if let Some(http2) = client.pool.http2(&permit.key) => Ok(Connection::Http2(http2)),
        #[cfg(feature = "http2")]
        true => Http2::start(&client.http2, stream, permit, &client.pool)
            .await
            .map(Connection::Http2)
            .map_err(failed),
        #[allow(unreachable_patterns, reason = "with both protocols")]
        _ => {
            drop((stream, permit));
            let message = "the program was built without the protocol of this server";
            let error = io::Error::new(io::ErrorKind::Unsupported, message);
            Err(Error::with(Kind::Connect, error))
        }
    }
}

async fn send<C>(
    client: &Shared<C>,
    connection: Connection,
    mut request: Request<OutgoingBody>,
    url: &Uri,
    key: &Key,
) -> Result<Answer, TrySendError<Request<OutgoingBody>>> {
    match connection {
        Connection::Http1(connection) => {
            prepare_http1(&mut request, url);
            let response = connection.send(request, &client.pool, key).await?;
            Ok((response, None))
        }
        #[cfg(feature = "http2")]
        Connection::Http2(connection) => {
            *request.uri_mut() = url.clone();
            *request.version_mut() = hyper::Version::HTTP_2;
            let (response, active) = connection.send(request).await?;
            Ok((response, Some(active)))
        }
    }
}

/// Gives the request the form of HTTP/1: a path as its target, a header `host`, and the length of an empty body if the
/// method has content.
fn prepare_http1(request: &mut Request<OutgoingBody>, url: &Uri) {
    use hyper::{
        Version,
        header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING},
    };

    let has_content = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH
    );
    if has_content
        && request.body().is_end_stream()
        && !request.headers().contains_key(CONTENT_LENGTH)
        && !request.headers().contains_key(TRANSFER_ENCODING)
    {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(CONTENT_LENGTH, none);
    }

    let path = url.path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    if request.version() != Version::HTTP_10 {
        *request.version_mut() = Version::HTTP_11;
    }
    if !request.headers().contains_key(HOST)
        && let Some(authority) = url.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// Fails if neither the response arrives nor the request moves for this time.
async fn within<F: Future>(progress: Option<&Progress>, future: F) -> Result<F::Output, Error> {
    let mut future = pin!(future);
    let mut timer = DeadlineTimer::default();
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let late = timer.poll(cx, progress.map(Progress::deadline));
        late.map(|()| Err(Error::new(Kind::ReadTimeout)))
    })
    .await
}
