//! Accepting a connection in such a way that none is lost with the future that waited for it.
//!
//! A future is dropped when something else was quicker, and by then the kernel may have accepted a
//! connection for it. That goes to whoever asks next.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use socket2::SockAddr;

use crate::{
    driver::{Driver, Inner},
    fd::SharedFd,
    op::Accept,
    operation::{Operation, Owned},
    panics::{discard, wake_all},
    request::Request,
    submit::Submit,
    sys::OwnedFd,
    waiters::{Waiter, Waiters},
};

/// Accepts from one listening socket. Clones are handles of the same acceptor.
#[derive(Clone, Default)]
pub struct Acceptor(Rc<Kept>);

/// Connections that were accepted for somebody who had gone away, and who waits for them.
#[derive(Default)]
struct Kept {
    connections: RefCell<VecDeque<(OwnedFd, SockAddr)>>,
    /// The driver of the last one that was dropped while the kernel had it.
    abandoned_by: RefCell<Weak<Inner>>,
    /// Whether somebody has the place of the first, who needs no allocation: as a rule nobody else
    /// waits.
    has_first: Cell<bool>,
    first: RefCell<Option<Waker>>,
    /// All others.
    waiters: Waiters,
}

impl Acceptor {
    /// One that has accepted nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a connection of `fd`, or waits for one. The socket is the same each time.
    pub fn accept(&self, driver: &Driver, fd: &SharedFd) -> AcceptOne {
        AcceptOne {
            operation: driver.submit(AcceptKept {
                accept: Accept::new(fd.clone()),
                kept: Rc::clone(&self.0),
            }),
            kept: Rc::clone(&self.0),
            waits: Waits::Not,
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// The future of [`Acceptor::accept`].
///
/// # Cancellation
///
/// No connection is lost: one that was accepted all the same is the next one that the acceptor
/// hands out, to whoever waits already, too.
#[must_use = "futures do nothing unless awaited"]
pub struct AcceptOne {
    operation: Submit<AcceptKept>,
    kept: Rc<Kept>,
    waits: Waits,
}

/// Where it waits for what others leave.
enum Waits {
    Not,
    First,
    Listed(Waiter),
}

impl Future for AcceptOne {
    type Output = io::Result<(OwnedFd, SockAddr)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.operation.is_grounded() {
            this.kept.ask_other(this.operation.driver());
        }
        if let Some(connection) = this.kept.take() {
            return Poll::Ready(Ok(connection));
        }
        if let Poll::Ready(accepted) = Pin::new(&mut this.operation).poll(cx) {
            return Poll::Ready(accepted.map(Accepted::into_inner));
        }
        this.kept.list(&mut this.waits, cx.waker());
        // The code of the waker's maker: it may have dropped another future.
        match this.kept.take() {
            Some(connection) => Poll::Ready(Ok(connection)),
            None => Poll::Pending,
        }
    }
}

impl Drop for AcceptOne {
    fn drop(&mut self) {
        if self.operation.is_airborne() {
            let driver = Rc::downgrade(self.operation.driver());
            // With nothing borrowed: the last handle of a driver that is no more.
            drop(self.kept.abandoned_by.replace(driver));
        }
        if matches!(self.waits, Waits::First) {
            let waker = self.kept.first.take();
            self.kept.has_first.set(false);
            // With nothing borrowed: that is the code of the waker's maker.
            drop(waker);
        }
    }
}

impl fmt::Debug for AcceptOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcceptOne").field(&self.operation).finish()
    }
}

impl Kept {
    /// Has the driver say what has come of an accept that was dropped, unless it is this one, which is
    /// turned anyway. Nobody may turn another one: its accept would take the next connection.
    fn ask_other(&self, driver: &Rc<Inner>) {
        let other = self.abandoned_by.borrow().upgrade();
        if let Some(other) = other
            && !Rc::ptr_eq(&other, driver)
            && !other.is_closed()
        {
            other.pump_quietly();
        }
    }

    fn take(&self) -> Option<(OwnedFd, SockAddr)> {
        self.connections.borrow_mut().pop_front()
    }

    fn put(&self, connection: (OwnedFd, SockAddr)) {
        self.connections.borrow_mut().push_back(connection);
        let first = self.first.take();
        // The panic hook has reported it, and a destructor is to panic nowhere.
        [wake_all(first.into_iter()), self.waiters.wake()]
            .into_iter()
            .flatten()
            .for_each(discard);
    }

    /// From now on whoever waits there is woken by this waker.
    fn list(&self, waits: &mut Waits, waker: &Waker) {
        if matches!(waits, Waits::Not) {
            *waits = if self.has_first.replace(true) {
                Waits::Listed(Waiter::default())
            } else {
                Waits::First
            };
        }
        if let Waits::Listed(waiter) = waits {
            return self.waiters.list(waiter, waker);
        }
        let first = self.first.borrow();
        let is_known = first.as_ref().is_some_and(|known| known.will_wake(waker));
        drop(first);
        if !is_known {
            // Cloned and dropped with nothing borrowed: both run code of the waker's maker.
            let before = self.first.replace(Some(waker.clone()));
            drop(before);
        }
    }
}

/// An accept whose connection goes back if nobody takes it.
struct AcceptKept {
    accept: Accept,
    kept: Rc<Kept>,
}

// SAFETY: the request is that of the operation inside, which does not move in here.
unsafe impl Operation for AcceptKept {
    type Output = io::Result<Accepted>;

    fn request(&mut self) -> Request {
        self.accept.request()
    }

    fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let connection = self.accept.finish(answer)?;
        Ok(Accepted {
            connection: Some(connection),
            kept: self.kept,
        })
    }
}

// SAFETY: that of the operation inside.
unsafe impl Owned for AcceptKept {}

/// What has been accepted. If it is dropped, somebody else shall have it.
struct Accepted {
    connection: Option<(OwnedFd, SockAddr)>,
    kept: Rc<Kept>,
}

impl Accepted {
    fn into_inner(mut self) -> (OwnedFd, SockAddr) {
        self.connection.take().expect("taken once")
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.kept.put(connection);
        }
    }
}
