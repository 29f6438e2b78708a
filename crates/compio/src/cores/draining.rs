//! The signal that the shutdown of a dispatcher has begun, for the tasks of one worker.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use compio_io::panics::{discard, wake_all};
use slab::Slab;

use super::workers::with_member;

/// Completes when the shutdown of the dispatcher of this thread has begun: a server stops accepting, and
/// connections end after their current request.
///
/// Never completes on a thread that is no worker.
///
/// # Cancellation
///
/// Has no effect.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use compio::{cores::{self, Dispatcher}, time::{interval, timeout}};
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let dispatcher = Dispatcher::builder().workers(1).build()?;
///     let ticks = dispatcher.dispatch(|| async {
///         let mut interval = interval(Duration::from_millis(1));
///         let mut ticks = 0;
///         // Until the shutdown begins.
///         while timeout(Duration::ZERO, cores::draining()).await.is_err() {
///             interval.tick().await;
///             ticks += 1;
///         }
///         ticks
///     });
///     dispatcher.shutdown().await?;
///     println!("{} ticks", ticks.await?);
///     Ok(())
/// }
/// ```
pub fn draining() -> Draining {
    Draining {
        signal: with_member(|member| Rc::clone(&member.signal)),
        key: None,
    }
}

/// Runs a future until the shutdown of the dispatcher of this thread begins: its output, or `None`. On a thread
/// that is no worker, it runs to its end.
///
/// # Cancellation
///
/// Cancellation has the same effect as for `future`, and so has the begin of the shutdown.
///
/// # Example
///
/// ```
/// use compio::{cores, io::{AsyncRead, AsyncWriteExt}, net::TcpStream};
///
/// async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
///     let mut buffer = Vec::with_capacity(4096);
///     // Between two messages, the shutdown ends the connection.
///     while let Some((read, bytes)) = cores::run_until_draining(stream.read(buffer)).await {
///         if read? == 0 {
///             break;
///         }
///         let written;
///         (written, buffer) = stream.write_all(bytes).await;
///         written?;
///     }
///     Ok(())
/// }
/// ```
pub async fn run_until_draining<F: Future>(future: F) -> Option<F::Output> {
    let mut draining = draining();
    let mut future = pin!(future);
    poll_fn(|cx| {
        if Pin::new(&mut draining).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// The future of [`draining`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Draining {
    /// `None` on a thread that is no worker.
    signal: Option<Rc<Signal>>,
    /// The place of the waker.
    key: Option<usize>,
}

/// The signal of one worker.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_set: Cell<bool>,
    waiting: RefCell<Slab<Waker>>,
}

impl Signal {
    /// Wakes all waiting tasks, once.
    pub(super) fn set(&self) {
        if self.is_set.replace(true) {
            return;
        }
        let wakers: Vec<_> = self.waiting.borrow_mut().drain().collect();
        if let Some(panic) = wake_all(wakers.into_iter()) {
            // The panic hook has reported it.
            discard(panic);
        }
    }
}

impl Future for Draining {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(signal) = &this.signal else {
            return Poll::Pending;
        };
        if signal.is_set.get() {
            // The waker is gone with the others.
            this.key = None;
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut waiting = signal.waiting.borrow_mut();
        let old = match this.key {
            Some(key) => Some(std::mem::replace(&mut waiting[key], waker)),
            None => {
                this.key = Some(waiting.insert(waker));
                None
            }
        };
        drop(waiting);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if let (Some(signal), Some(key)) = (&self.signal, self.key) {
            let waker = signal.waiting.borrow_mut().try_remove(key);
            drop(waker);
        }
    }
}
