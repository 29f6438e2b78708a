//! The pool of one client: idle connections, the limit of each host, and the requests that wait for a connection.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    future::poll_fn,
    mem,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio::task::JoinSet;
use hyper::{
    Uri,
    http::uri::{Authority, Scheme},
    rt,
};

use super::connection::Http1;
#[cfg(feature = "http2")]
use super::connection::Http2;
use super::{
    connection::Connection,
    error::{Error, Kind},
};
use crate::BoxError;

/// The tasks of a client's connections, which end with it.
#[derive(Debug, Default)]
pub(super) struct Tasks(RefCell<JoinSet<()>>);

impl Tasks {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.borrow_mut();
        // Removes those that have ended.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Spawns the tasks of hyper that belong to a client's connections. They end with the client.
#[derive(Debug, Clone)]
pub struct ClientExecutor(Weak<Tasks>);

impl ClientExecutor {
    #[cfg(feature = "http2")]
    pub(super) fn new(tasks: &Rc<Tasks>) -> Self {
        Self(Rc::downgrade(tasks))
    }
}

impl<F: Future + 'static> rt::Executor<F> for ClientExecutor {
    fn execute(&self, future: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.spawn(async move {
                future.await;
            });
        }
    }
}

/// The key of a host in the pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) scheme: Scheme,
    /// Without the port if it is the scheme's.
    pub(super) authority: Authority,
}

impl Key {
    pub(super) fn new(uri: &Uri) -> Result<Self, Error> {
        let invalid = |message: &str| Error::with(Kind::Builder, BoxError::from(message));
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(invalid("the URL has no scheme or no host"));
        };
        if authority.as_str().contains('@') {
            return Err(invalid(
                "the URL has credentials: send them in the header authorization",
            ));
        }
        let default = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let authority = if authority.port().is_some() && authority.port_u16() == default {
            let parsed = authority.host().parse();
            parsed.map_err(|error| Error::with(Kind::Builder, error))?
        } else {
            authority.clone()
        };
        Ok(Self {
            scheme: scheme.clone(),
            authority,
        })
    }
}

/// The limits of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) connections_per_host: usize,
    pub(super) idle_timeout: Option<Duration>,
    /// One connection serves all requests to a host.
    pub(super) is_http2: bool,
}

/// See the module.
pub(super) struct Pool {
    hosts: RefCell<HashMap<Key, Host>>,
    pub(super) tasks: Rc<Tasks>,
    pub(super) limits: Limits,
    next_number: Cell<u64>,
}

#[derive(Default)]
struct Host {
    /// Connections that are established, or are being established.
    open: usize,
    /// Connections that are being established.
    connecting: usize,
    /// The latest one last.
    idle: Vec<Http1>,
    #[cfg(feature = "http2")]
    http2: Option<Http2>,
    /// The host has chosen HTTP/2: requests wait for a connection that is being established, and share it.
    is_http2: bool,
    waiters: VecDeque<(u64, Option<Waker>)>,
}

impl Host {
    /// Wakes the request that waits longest. It wakes the next one when it has its connection.
    fn wake_first(&mut self) {
        if let Some(waker) = self.waiters.front_mut().and_then(|first| first.1.take()) {
            waker.wake();
        }
    }

    fn is_unused(&self) -> bool {
        self.open == 0 && self.waiters.is_empty()
    }
}

/// The turn of one request.
pub(super) enum Lease {
    Pooled(Connection),
    /// None is idle, and the host's limit permits a new one.
    New(Permit),
}

impl Pool {
    pub(super) fn new(tasks: Rc<Tasks>, limits: Limits) -> Self {
        Self {
            hosts: RefCell::default(),
            tasks,
            limits,
            next_number: Cell::new(0),
        }
    }

    fn number(&self) -> u64 {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        number
    }

    /// A connection to a host. Requests have their turn in order. `is_retry` takes no idle HTTP/1 connection.
    pub(super) async fn acquire(self: &Rc<Self>, key: &Key, is_retry: bool) -> Lease {
        let mut waiter = Waiter {
            pool: self,
            key,
            number: None,
        };
        poll_fn(|cx| waiter.poll(cx, is_retry)).await
    }

    fn try_take(self: &Rc<Self>, key: &Key, host: &mut Host, is_retry: bool) -> Option<Lease> {
        #[cfg(feature = "http2")]
        if let Some(http2) = &host.http2 {
            if http2.is_open() {
                return Some(Lease::Pooled(Connection::Http2(http2.share())));
            }
            host.http2 = None;
        }
        if !is_retry {
            while let Some(idle) = host.idle.pop() {
                if let Some(connection) = idle.reuse() {
                    return Some(Lease::Pooled(Connection::Http1(connection)));
                }
            }
        }
        let is_shared = self.limits.is_http2 || host.is_http2;
        let is_awaited = is_shared && host.connecting > 0;
        if host.open < self.limits.connections_per_host && !is_awaited {
            host.open += 1;
            host.connecting += 1;
            return Some(Lease::New(Permit {
                pool: Rc::downgrade(self),
                key: key.clone(),
                number: self.number(),
                is_connecting: true,
            }));
        }
        if is_retry {
            // Makes room: the connection's task wakes this request when it has ended.
            host.idle.pop();
        }
        None
    }

    fn with_host<T>(&self, key: &Key, change: impl FnOnce(&mut Host) -> T) -> Option<T> {
        let mut hosts = self.hosts.borrow_mut();
        let host = hosts.get_mut(key)?;
        let changed = change(host);
        if host.is_unused() {
            hosts.remove(key);
        }
        Some(changed)
    }

    /// Adds an idle connection.
    pub(super) fn put(&self, key: &Key, connection: Http1) {
        self.with_host(key, |host| {
            host.idle.push(connection);
            host.wake_first();
        });
    }

    /// Shares a new HTTP/2 connection.
    #[cfg(feature = "http2")]
    pub(super) fn put_http2(&self, key: &Key, connection: Http2) {
        let older = self.with_host(key, |host| {
            host.is_http2 = true;
            host.http2.replace(connection)
        });
        drop(older);
    }

    /// The HTTP/2 connection of a host.
    #[cfg(feature = "http2")]
    pub(super) fn http2(&self, key: &Key) -> Option<Http2> {
        let hosts = self.hosts.borrow();
        let http2 = hosts.get(key)?.http2.as_ref()?;
        http2.is_open().then(|| http2.share())
    }

    /// Removes a connection, which ends if it is idle.
    pub(super) fn remove(&self, key: &Key, number: u64) {
        let removed = self.with_host(key, |host| {
            let http1 = {
                let at = host.idle.iter().position(|idle| idle.number() == number);
                at.map(|at| host.idle.remove(at))
            };
            #[cfg(feature = "http2")]
            let http2 = host.http2.take_if(|http2| http2.number() == number);
            (
                http1,
                #[cfg(feature = "http2")]
                http2,
            )
        });
        drop(removed);
    }
}

/// A request that takes a connection, or waits for one.
struct Waiter<'a> {
    pool: &'a Rc<Pool>,
    key: &'a Key,
    /// Of the place in the queue.
    number: Option<u64>,
}

impl Waiter<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, is_retry: bool) -> Poll<Lease> {
        let mut hosts = self.pool.hosts.borrow_mut();
        if !hosts.contains_key(self.key) {
            hosts.insert(self.key.clone(), Host::default());
        }
        let host = hosts.get_mut(self.key).expect("it was just inserted");
        let first = host.waiters.front().map(|first| first.0);
        // A newcomer has its turn at once if no request waits.
        if first == self.number
            && let Some(lease) = self.pool.try_take(self.key, host, is_retry)
        {
            if self.number.take().is_some() {
                host.waiters.pop_front();
                host.wake_first();
            }
            return Poll::Ready(lease);
        }
        let waker = Some(cx.waker().clone());
        match self.number {
            None => {
                let number = self.pool.number();
                self.number = Some(number);
                host.waiters.push_back((number, waker));
            }
            Some(number) => {
                let place = host.waiters.iter_mut().find(|place| place.0 == number);
                place.expect("a waiting request is in the queue").1 = waker;
            }
        }
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        self.pool.with_host(self.key, |host| {
            host.waiters.retain(|place| place.0 != number);
            // It may have been woken, and passes that on.
            host.wake_first();
        });
    }
}

/// The place of one connection in its host's limit. Its drop frees the place.
pub(super) struct Permit {
    pool: Weak<Pool>,
    pub(super) key: Key,
    pub(super) number: u64,
    is_connecting: bool,
}

impl Permit {
    /// The pool, unless the client has been dropped.
    pub(super) fn pool(&self) -> Option<Rc<Pool>> {
        self.pool.upgrade()
    }

    /// The connection is established.
    pub(super) fn established(&mut self) {
        if mem::take(&mut self.is_connecting)
            && let Some(pool) = self.pool()
        {
            pool.with_host(&self.key, |host| {
                host.connecting -= 1;
                host.wake_first();
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.established();
        if let Some(pool) = self.pool() {
            pool.remove(&self.key, self.number);
            pool.with_host(&self.key, |host| {
                host.open -= 1;
                host.wake_first();
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::Uri;

    use super::Key;

    #[test]
    fn keys_are_equal_for_the_same_server() {
        let key = |url: &'static str| Key::new(&Uri::from_static(url)).unwrap();
        assert_eq!(key("http://example.com/a"), key("HTTP://Example.com:80/b"));
        assert_eq!(key("https://[::1]:443/"), key("https://[::1]/"));
        let distinct = [
            "http://example.com/",
            "https://example.com/",
            "http://example.com:443/",
            "http://www.example.com/",
        ];
        for (at, one) in distinct.iter().enumerate() {
            for another in &distinct[at + 1..] {
                assert_ne!(key(one), key(another));
            }
        }
    }
}
