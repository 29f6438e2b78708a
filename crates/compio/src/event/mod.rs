//! Events that any thread can signal.
//!
//! An [`Event`] is the simplest source of wakes: another thread, a callback of a foreign library or
//! another task signals it.
//!
//! # Channels and locks
//!
//! This crate has no channels and locks of its own. Its wakers work from any thread, so that
//! runtime-independent crates work here:
//!
//! - channels: [`async-channel`], [`flume`], [`futures-channel`];
//! - locks: [`async-lock`]; between tasks of one thread, a `RefCell` that is not borrowed across an
//!   `await` is enough;
//! - all of Tokio's [`tokio::sync`](https://docs.rs/tokio/latest/tokio/sync/), with only the
//!   feature `sync`.
//!
//! [`async-channel`]: https://docs.rs/async-channel
//! [`async-lock`]: https://docs.rs/async-lock
//! [`flume`]: https://docs.rs/flume
//! [`futures-channel`]: https://docs.rs/futures-channel

#[cfg(all(test, loom))]
mod loom_tests;
mod sync;

use std::{
    fmt, mem, panic,
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

use compio_io::coop;
use compio_io::panics::wake_all;
use slab::Slab;
use sync::{Arc, Mutex, MutexGuard};

/// An event that happens once, or again after each [`reset`](Self::reset).
///
/// A signalled event stays signalled, and waits for it end at once. So the order of signal and wait does
/// not matter. Signals are not counted.
///
/// ```
/// use std::thread;
///
/// use compio::event::Event;
///
/// # #[cfg(feature = "runtime")]
/// compio::task::block_on(async {
///     let event = Event::new();
///     let handle = event.handle();
///     thread::spawn(move || handle.notify());
///     event.wait().await;
/// });
/// ```
///
/// For repeated work, reset the event before looking for work: new work signals it again.
///
/// ```
/// use std::{mem, sync::Mutex, thread};
///
/// use compio::event::Event;
///
/// static WORK: Mutex<Vec<u32>> = Mutex::new(Vec::new());
///
/// # #[cfg(feature = "runtime")]
/// compio::task::block_on(async {
///     let event = Event::new();
///     let handle = event.handle();
///     thread::spawn(move || {
///         for job in 0..10 {
///             WORK.lock().unwrap().push(job);
///             handle.notify();
///         }
///     });
///     let mut done = 0;
///     while done < 10 {
///         event.wait().await;
///         event.reset();
///         done += mem::take(&mut *WORK.lock().unwrap()).len();
///     }
/// });
/// ```
pub struct Event {
    shared: Arc<Shared>,
}

impl Event {
    /// An event that has not been signalled.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    is_set: false,
                    round: 0,
                    waiters: Slab::new(),
                }),
            }),
        }
    }

    /// A handle that signals the event.
    pub fn handle(&self) -> EventHandle {
        EventHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until the event has been signalled; returns at once if it is. Any number of tasks can
    /// wait, and all continue, even if the event is reset before their next poll. It stays
    /// signalled.
    ///
    /// The future need not stay with the event, nor on this thread. If the event and all of its
    /// handles are dropped, it never completes.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the event stays as it is.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        Wait {
            shared: Arc::clone(&self.shared),
            place: None,
        }
    }

    /// Whether it has been signalled since the last reset.
    pub fn is_set(&self) -> bool {
        self.shared.lock().is_set
    }

    /// Resets it to not signalled. Returns whether it was signalled.
    ///
    /// Writes of the signalling thread before the signal are visible afterwards.
    pub fn reset(&self) -> bool {
        mem::take(&mut self.shared.lock().is_set)
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}

/// Signals an [`Event`], from any thread. Clones signal the same event.
#[derive(Clone)]
pub struct EventHandle {
    shared: Arc<Shared>,
}

impl EventHandle {
    /// Signals the event, and wakes all waiting tasks.
    ///
    /// It never waits for the other side: it holds a lock only to take the list of waiting tasks, and runs
    /// no user code under it. A unix signal handler must not call it, because it takes a lock and frees
    /// memory: see `compio::signal`.
    pub fn notify(&self) {
        let mut waiters = {
            let mut state = self.shared.lock();
            if mem::replace(&mut state.is_set, true) {
                return;
            }
            state.round += 1;
            mem::take(&mut state.waiters)
        };
        let panicked = wake_all(waiters.drain());
        // Keeps the list's memory, unless a task waits again.
        let mut state = self.shared.lock();
        if state.waiters.capacity() == 0 {
            state.waiters = waiters;
        }
        drop(state);
        if let Some(panic) = panicked {
            panic::resume_unwind(panic);
        }
    }
}

impl fmt::Debug for EventHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHandle").finish_non_exhaustive()
    }
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    is_set: bool,
    /// The number of signals: waits from an earlier round are over.
    round: u64,
    /// The waiting tasks of this round. No waker is cloned, dropped or woken under the lock.
    waiters: Slab<Waker>,
}

impl Shared {
    /// The state is consistent, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Wait {
    shared: Arc<Shared>,
    /// The round of the wait, and the key in its list.
    place: Option<(u64, usize)>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut waker = None;
        loop {
            let mut state = this.shared.lock();
            let known = match this.place {
                Some((round, _)) if round != state.round => {
                    this.place = None;
                    return Poll::Ready(());
                }
                None if state.is_set => {
                    // A later poll is always ready, also after a reset.
                    this.place = Some((state.round.wrapping_sub(1), 0));
                    drop(state);
                    return coop::poll_proceed(cx);
                }
                Some((_, place)) => state.waiters.get_mut(place),
                None => None,
            };
            if known
                .as_ref()
                .is_some_and(|known| known.will_wake(cx.waker()))
            {
                return Poll::Pending;
            }
            let Some(waker) = waker.take() else {
                drop(state);
                waker = Some(cx.waker().clone());
                continue;
            };
            let before = match known {
                Some(known) => Some(mem::replace(known, waker)),
                None => {
                    this.place = Some((state.round, state.waiters.insert(waker)));
                    None
                }
            };
            drop(state);
            drop(before);
            return Poll::Pending;
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some((round, place)) = self.place else {
            return;
        };
        let mut state = self.shared.lock();
        let waker = (round == state.round).then(|| state.waiters.try_remove(place));
        drop(state);
        drop(waker);
    }
}
