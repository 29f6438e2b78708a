//! The accept loop of one listener, and the choice of the worker for each connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use compio_driver::{
    OwnedFd,
    op::{PollOnce, Readiness},
};

use super::{
    AtLimit, Listener,
    limit::{Limit, Permit},
};
use crate::{
    cores::{Workers, run_until_draining, worker_index},
    metrics::count_connection,
    runtime::submit,
    sys,
    task::spawn,
    time::{sleep, timeout},
};

/// The time limit for an accept of a queued connection.
const QUEUED_TIMEOUT: Duration = Duration::from_millis(100);

/// The time between accepts while they fail: a listener that is broken for good must not occupy a core.
const PAUSE: Duration = Duration::from_millis(10);

/// The part of a server that its accept loops share.
#[derive(Clone)]
pub(super) struct Acceptor<H> {
    pub(super) workers: Workers,
    pub(super) limit: Option<(Arc<Limit>, AtLimit)>,
    /// Whether a successor accepts from the same sockets.
    pub(super) is_handed_over: Arc<AtomicBool>,
    pub(super) handler: H,
}

impl<H> Acceptor<H> {
    /// Accepts until the shutdown begins, and then the connections that the kernel has queued.
    pub(super) async fn run<L>(self, listener: L)
    where
        L: Listener,
        H: AsyncFn(L::Stream) + Clone + Send + 'static,
    {
        while let Some(accepted) = run_until_draining(self.accept(&listener)).await {
            self.start::<L>(accepted);
        }
        self.accept_queued(listener).await;
    }

    /// Accepts the connections that the kernel has queued, unless a successor does, and those kept of the dropped
    /// accept.
    async fn accept_queued<L>(&self, mut listener: L)
    where
        L: Listener,
        H: AsyncFn(L::Stream) + Clone + Send + 'static,
    {
        // Relaxed: it has been set before the shutdown, whose lock orders it. A successor serves the queue: under
        // load, this process would compete with it for new connections, and never find the queue empty.
        let queue_is_ours = !self.is_handed_over.load(Relaxed);
        while listener.has_kept().await || queue_is_ours && listener.is_readable() {
            // Another process may share the listener, and be faster.
            match timeout(QUEUED_TIMEOUT, self.accept(&listener)).await {
                Ok(accepted) => self.start::<L>(accepted),
                Err(_) => return,
            }
        }
    }

    /// The next connection, and its part of the limit. An error is passed over, after a pause if the next accept
    /// may fail likewise.
    async fn accept<L: Listener>(&self, listener: &L) -> (OwnedFd, Option<Permit>) {
        loop {
            let permit = match &self.limit {
                // A permit is taken only when a connection is there: listeners without one must not hold
                // the permits that others need.
                Some((limit, AtLimit::Wait)) => {
                    wait_for_connection(listener).await;
                    Some(limit.acquire().await)
                }
                Some((_, AtLimit::Refuse)) | None => None,
            };
            let fd = match listener.accept_fd().await {
                Ok(fd) => fd,
                Err(error) => {
                    if !concerns_one_connection(&error) {
                        sleep(PAUSE).await;
                    }
                    continue;
                }
            };
            match &self.limit {
                Some((limit, AtLimit::Refuse)) => match limit.try_acquire() {
                    Some(permit) => return (fd, Some(permit)),
                    // Closed.
                    None => drop(fd),
                },
                Some((_, AtLimit::Wait)) | None => return (fd, permit),
            }
        }
    }

    /// Starts the task of a connection: here, or on a worker with clearly fewer connections.
    fn start<L>(&self, (fd, permit): (OwnedFd, Option<Permit>))
    where
        L: Listener,
        H: AsyncFn(L::Stream) + Clone + Send + 'static,
    {
        let here = worker_index().unwrap_or(0);
        let handler = self.handler.clone();
        match self.workers.less_loaded_than(here) {
            // The socket has no tie to this thread yet. It is closed if the worker ends before.
            Some(other) => {
                let serve = move || serve::<L, H>(handler, fd, permit);
                self.workers.dispatch_to(other, serve).detach();
            }
            None => {
                let load = self.workers.add_load(here);
                spawn(async move {
                    let permit = serve::<L, H>(handler, fd, permit).await;
                    drop(load);
                    drop(permit);
                })
                .detach();
            }
        }
    }
}

/// One connection. Returns its permit, which is given back after its part of the load: no snapshot of the
/// loads exceeds the limit.
async fn serve<L, H>(handler: H, fd: OwnedFd, permit: Option<Permit>) -> Option<Permit>
where
    L: Listener,
    H: AsyncFn(L::Stream),
{
    let _counted = count_connection();
    if let Ok(stream) = L::adopt_stream(fd) {
        handler(stream).await;
    }
    permit
}

/// Waits until a connection is queued in the kernel, or the listener is broken.
async fn wait_for_connection<L: Listener>(listener: &L) {
    if sys::LISTENERS_HAVE_READINESS {
        let readable = PollOnce::new(listener.handle(), Readiness::READABLE);
        if submit(readable).await.is_err() {
            sleep(PAUSE).await;
        }
        return;
    }
    while !listener.is_readable() {
        sleep(PAUSE).await;
    }
}

/// Whether an accept failed for a connection that has ended already.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
