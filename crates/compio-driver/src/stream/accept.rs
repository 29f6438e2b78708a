//! A stream of accepted connections.

use std::{
    fmt, io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    accept::{AcceptOne, AcceptQueue, Acceptor, LosslessAccept, Place},
    driver::{Core, Driver},
    fd::SharedFd,
    multishot::{Next, SubmitMulti},
    op::multishot::AcceptMulti,
    sys::OwnedFd,
};

impl Driver {
    /// The connections of a listening socket, one after the other. One multishot request serves all, if
    /// the kernel supports that.
    pub fn accept_stream(&self, fd: SharedFd) -> AcceptStream {
        AcceptStream::new(self.share(), fd, Rc::default())
    }
}

impl Acceptor {
    /// The connections of `fd`, as [`Driver::accept_stream`]. If the stream is dropped, this acceptor
    /// returns its remaining connections next.
    pub fn stream(&self, driver: &Driver, fd: &SharedFd) -> AcceptStream {
        AcceptStream::new(driver.share(), fd.clone(), self.queue())
    }
}

/// The connections of a listening socket, one after the other. Made by
/// [`Driver::accept_stream`](crate::Driver::accept_stream).
///
/// A multishot accept takes connections before the stream is polled for them: all that wait in the backlog,
/// up to a few dozen.
///
/// # Cancellation
///
/// Nothing is lost if it is not polled between two connections. Dropping it closes the connections
/// that were accepted and not taken yet. An [`Acceptor`], however, keeps the
/// connections of its streams for the next accept.
pub struct AcceptStream {
    driver: Rc<Core>,
    fd: SharedFd,
    state: Accepting,
    place: Place,
}

enum Accepting {
    Idle,
    Multi(SubmitMulti<LosslessAccept<AcceptMulti<SharedFd>>>),
    Single(AcceptOne),
}

impl AcceptStream {
    pub(crate) fn new(driver: Rc<Core>, fd: SharedFd, kept: Rc<AcceptQueue>) -> Self {
        Self {
            driver,
            fd,
            state: Accepting::Idle,
            place: Place::new(kept),
        }
    }

    /// The next connection. An error concerns one connection or a temporary condition, and does not end
    /// the stream.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        loop {
            if let Some((fd, _)) = self.place.kept.take() {
                return Poll::Ready(Ok(fd.into_owned()));
            }
            let accepted = match &mut self.state {
                Accepting::Idle => {
                    self.place.kept.pump_others(&self.driver, cx.waker());
                    self.state = self.accept();
                    continue;
                }
                Accepting::Multi(accept) => match accept.poll_next(cx) {
                    Poll::Ready(Next::Item(fd)) => return Poll::Ready(Ok(fd)),
                    Poll::Ready(Next::End(last)) => last.transpose(),
                    Poll::Pending => {
                        self.place.list(cx.waker());
                        // User code of the waker has run: it may have dropped another future.
                        let kept = self.place.kept.take();
                        return kept
                            .map_or(Poll::Pending, |(fd, _)| Poll::Ready(Ok(fd.into_owned())));
                    }
                },
                Accepting::Single(accept) => {
                    Some(ready!(accept.poll_connection(cx)).map(|(fd, _)| fd.into_owned()))
                }
            };
            self.state = Accepting::Idle;
            if let Some(accepted) = accepted {
                return Poll::Ready(accepted);
            }
        }
    }

    fn accept(&self) -> Accepting {
        let (driver, kept) = (Rc::clone(&self.driver), Rc::clone(&self.place.kept));
        let fd = self.fd.clone();
        if self.driver.capabilities().accept_multi {
            let accept = LosslessAccept::new(AcceptMulti::new(fd), kept);
            Accepting::Multi(SubmitMulti::new(driver, accept))
        } else {
            Accepting::Single(AcceptOne::new(driver, kept, fd))
        }
    }
}

impl Drop for AcceptStream {
    fn drop(&mut self) {
        if let Accepting::Multi(accept) = &self.state
            && accept.is_pending()
        {
            // Before it is abandoned, which may complete it at once.
            self.place.kept.orphan_added(&self.driver);
        }
    }
}

impl fmt::Debug for AcceptStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcceptStream").field(&self.fd).finish()
    }
}
