//! Connections: the handles that requests use, and the task of each.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use compio::{
    cores::{Draining, draining},
    runtime::SendWrapper,
    time::sleep,
};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::TrySendError,
    rt::{Read, Write},
};

#[cfg(feature = "http2")]
use super::pool::ClientExecutor;
use super::{
    body::OutgoingBody,
    pool::{Key, Permit, Pool},
};
use crate::deadline::DeadlineTimer;

/// A connection for one request.
pub(super) enum Connection {
    Http1(Http1),
    #[cfg(feature = "http2")]
    Http2(Http2),
}

impl Connection {
    /// Whether it has served a request before this one.
    pub(super) fn is_reused(&self) -> bool {
        match *self {
            Self::Http1(ref connection) => connection.is_reused,
            #[cfg(feature = "http2")]
            Self::Http2(ref connection) => connection.is_reused,
        }
    }
}

/// The end of an idle connection, and the waker of its task.
#[derive(Debug, Default)]
struct Idle {
    number: u64,
    timeout: Option<Duration>,
    /// `None` while the connection is used.
    deadline: Cell<Option<Instant>>,
    /// Whether the task looks at the deadline in time without being woken.
    is_watched: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Idle {
    fn new(permit: &Permit, pool: &Pool) -> Self {
        Self {
            number: permit.number,
            timeout: pool.limits.idle_timeout,
            ..Self::default()
        }
    }

    /// The connection is idle from now on.
    fn begin(&self) {
        self.deadline.set(self.timeout.map(|t| sleep(t).deadline()));
        if !self.is_watched.get() {
            self.wake_task();
        }
    }

    fn wake_task(&self) {
        if let Some(waker) = self.task.take() {
            waker.wake();
        }
    }
}

/// Ends idle connections.
struct Expiry {
    timer: DeadlineTimer,
    /// The worker of the connection waits for the end of all tasks.
    draining: Draining,
}

impl Expiry {
    fn new() -> Self {
        Self {
            timer: DeadlineTimer::default(),
            draining: draining(),
        }
    }

    /// Ready when the connection must not stay idle: it has been idle for too long, or its worker ends. The task calls
    /// it after each poll of the connection.
    fn poll(&mut self, cx: &mut Context<'_>, idle: &Idle) -> Poll<()> {
        idle.task.replace(Some(cx.waker().clone()));
        if Pin::new(&mut self.draining).poll(cx).is_ready() {
            // The end of a request wakes the task.
            idle.is_watched.set(false);
            return Poll::Ready(());
        }
        let polled = self.timer.poll(cx, idle.deadline.get());
        idle.is_watched.set(self.timer.is_set());
        if polled.is_ready() {
            idle.deadline.set(None);
        }
        polled
    }
}

/// An HTTP/1 connection, which one request uses at a time.
pub(super) struct Http1 {
    sender: hyper::client::conn::http1::SendRequest<OutgoingBody>,
    shared: Rc<Http1Shared>,
    /// Whether it has served a request.
    is_reused: bool,
}

struct Http1Shared {
    idle: Idle,
    /// Of a response that has begun. The task adds it to the pool when the response has ended.
    returned: RefCell<Option<hyper::client::conn::http1::SendRequest<OutgoingBody>>>,
}

impl Http1 {
    /// Begins to speak HTTP/1 on a stream, in a task of the pool.
    pub(super) async fn start<S>(
        builder: &hyper::client::conn::http1::Builder,
        stream: S,
        mut permit: Permit,
        pool: &Pool,
    ) -> hyper::Result<Self>
    where
        S: Read + Write + Unpin + 'static,
    {
        // hyper asks for `Send` because an upgraded connection is.
        let (sender, connection) = builder.handshake(SendWrapper::new(stream)).await?;
        permit.established();
        let shared = Rc::new(Http1Shared {
            idle: Idle::new(&permit, pool),
            returned: RefCell::new(None),
        });
        let this = Self {
            sender,
            shared: Rc::clone(&shared),
            is_reused: false,
        };
        pool.tasks
            .spawn(drive_http1(connection.with_upgrades(), shared, permit));
        Ok(this)
    }

    pub(super) fn number(&self) -> u64 {
        self.shared.idle.number
    }

    /// Takes it out of the pool, unless it has been closed.
    pub(super) fn reuse(mut self) -> Option<Self> {
        self.shared.idle.deadline.set(None);
        self.is_reused = true;
        self.sender.is_ready().then_some(self)
    }

    pub(super) async fn send(
        mut self,
        request: Request<OutgoingBody>,
        pool: &Pool,
        key: &Key,
    ) -> Result<Response<Incoming>, TrySendError<Request<OutgoingBody>>> {
        let response = self.sender.try_send_request(request).await?;
        if self.sender.is_ready() {
            // The response is complete. The next request of this task must not open another connection.
            self.shared.idle.begin();
            pool.put(key, self);
        } else {
            *self.shared.returned.borrow_mut() = Some(self.sender);
            self.shared.idle.wake_task();
        }
        Ok(response)
    }
}

/// The task of a connection.
async fn drive_http1(
    connection: impl Future<Output = hyper::Result<()>>,
    shared: Rc<Http1Shared>,
    permit: Permit,
) {
    let mut connection = pin!(connection);
    let mut expiry = Expiry::new();
    poll_fn(|cx| {
        // A request in progress has the error, if there is one.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let returned = shared.returned.take();
        if let Some(mut sender) = returned {
            match sender.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    shared.idle.begin();
                    if let Some(pool) = permit.pool() {
                        let connection = Http1 {
                            sender,
                            shared: Rc::clone(&shared),
                            is_reused: true,
                        };
                        pool.put(&permit.key, connection);
                    }
                }
                Poll::Ready(Err(_)) => {}
                Poll::Pending => *shared.returned.borrow_mut() = Some(sender),
            }
        }
        if expiry.poll(cx, &shared.idle).is_ready() {
            // The drop of the sender ends the connection.
            if let Some(pool) = permit.pool() {
                pool.remove(&permit.key, permit.number);
            }
        }
        Poll::Pending
    })
    .await;
    shared.returned.take();
}

/// An HTTP/2 connection, which requests share.
#[cfg(feature = "http2")]
pub(super) struct Http2 {
    sender: hyper::client::conn::http2::SendRequest<OutgoingBody>,
    shared: Rc<Http2Shared>,
    /// Whether it has been shared with another request.
    is_reused: bool,
}

#[cfg(feature = "http2")]
struct Http2Shared {
    idle: Idle,
    /// Requests whose response has not ended.
    active: Cell<usize>,
}

#[cfg(feature = "http2")]
impl Http2 {
    /// Begins to speak HTTP/2 on a stream, in a task of the pool.
    pub(super) async fn start<S>(
        builder: &hyper::client::conn::http2::Builder<ClientExecutor>,
        stream: S,
        mut permit: Permit,
        pool: &Pool,
    ) -> hyper::Result<Self>
    where
        S: Read + Write + Unpin + 'static,
    {
        let (sender, connection) = builder.handshake(stream).await?;
        let shared = Rc::new(Http2Shared {
            idle: Idle::new(&permit, pool),
            active: Cell::new(0),
        });
        shared.idle.begin();
        let this = Self {
            sender,
            shared: Rc::clone(&shared),
            is_reused: false,
        };
        pool.put_http2(&permit.key, this.share());
        permit.established();
        pool.tasks.spawn(drive_http2(connection, shared, permit));
        Ok(this)
    }

    pub(super) fn number(&self) -> u64 {
        self.shared.idle.number
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Another handle of the connection.
    pub(super) fn share(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            shared: Rc::clone(&self.shared),
            is_reused: true,
        }
    }

    pub(super) async fn send(
        mut self,
        request: Request<OutgoingBody>,
    ) -> Result<(Response<Incoming>, ActiveStream), TrySendError<Request<OutgoingBody>>> {
        let active = ActiveStream::new(self.shared);
        let response = self.sender.try_send_request(request).await?;
        Ok((response, active))
    }
}

/// A request in progress on an HTTP/2 connection. Its drop ends it.
pub(super) struct ActiveStream {
    #[cfg(feature = "http2")]
    shared: Rc<Http2Shared>,
}

#[cfg(feature = "http2")]
impl ActiveStream {
    fn new(shared: Rc<Http2Shared>) -> Self {
        shared.active.set(shared.active.get() + 1);
        shared.idle.deadline.set(None);
        Self { shared }
    }
}

#[cfg(feature = "http2")]
impl Drop for ActiveStream {
    fn drop(&mut self) {
        let active = self.shared.active.get() - 1;
        self.shared.active.set(active);
        if active == 0 {
            self.shared.idle.begin();
        }
    }
}

/// The task of a connection.
#[cfg(feature = "http2")]
async fn drive_http2(
    connection: impl Future<Output = hyper::Result<()>>,
    shared: Rc<Http2Shared>,
    permit: Permit,
) {
    let mut connection = pin!(connection);
    let mut expiry = Expiry::new();
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if expiry.poll(cx, &shared.idle).is_ready() {
            // The drop of the last sender ends the connection.
            if let Some(pool) = permit.pool() {
                pool.remove(&permit.key, permit.number);
            }
        }
        Poll::Pending
    })
    .await;
}
