//! Events that any thread may signal.
//!
//! An [`Event`] is the smallest thing that a task can wait for and anybody else can bring about:
//! another thread, a callback of a foreign library, another task.
//!
//! # Channels and locks
//!
//! For anything larger, this crate has nothing of its own. Its wakers work from any thread, so that
//! whatever is made for no particular runtime can be awaited here:
//!
//! - channels: [`async-channel`], [`flume`], [`futures-channel`];
//! - locks: [`async-lock`]; between tasks of one thread, a `RefCell` that is not borrowed across an
//!   `await` is enough;
//! - all of Tokio's [`tokio::sync`](https://docs.rs/tokio/latest/tokio/sync/), with nothing but the
//!   feature `sync`.
//!
//! [`async-channel`]: https://docs.rs/async-channel
//! [`async-lock`]: https://docs.rs/async-lock
//! [`flume`]: https://docs.rs/flume
//! [`futures-channel`]: https://docs.rs/futures-channel

#[cfg(all(test, loom))]
mod model;
mod sync;

use std::{
    fmt, mem,
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

use compio_io::coop;
use slab::Slab;
use sync::{Arc, Mutex, MutexGuard};

/// Something that happens once, or again after each [`reset`](Self::reset).
///
/// Once it has been signalled it stays so, and whoever waits for it need not wait; so that it does
/// not matter which was first. How often it was signalled is not counted.
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
/// For work that comes again and again, reset it before looking for the work: what comes meanwhile
/// signals it again.
///
/// ```
/// # use std::{sync::Mutex, thread};
/// # use compio::event::Event;
/// # #[cfg(feature = "runtime")]
/// # compio::task::block_on(async {
/// # let event = Event::new();
/// # let handle = event.handle();
/// # static WORK: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// # thread::spawn(move || for n in 0..10 { WORK.lock().unwrap().push(n); handle.notify(); });
/// # let mut done = 0;
/// # while done < 10 {
/// event.wait().await;
/// event.reset();
/// let work = std::mem::take(&mut *WORK.lock().unwrap());
/// # done += work.len();
/// # }
/// # });
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

    /// What signals it.
    pub fn handle(&self) -> EventHandle {
        EventHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until the event has been signalled; not at all, if it is. Any number may wait, and all
    /// go on, even if the event is reset before their next turn. It stays signalled.
    ///
    /// The future need not stay with the event, nor on this thread. If the event and all of its
    /// handles are dropped, it waits for ever.
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

    /// Whether it has been signalled, and not been reset since.
    pub fn is_set(&self) -> bool {
        self.shared.lock().is_set
    }

    /// Makes it one that has not been signalled. Returns whether it was.
    ///
    /// What the signalling thread wrote before it can be seen now.
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
    /// Signals the event, and wakes whoever waits for it.
    ///
    /// It never waits for the other side: a lock is held for as long as it takes to take the list
    /// of those who wait, and no foreign code runs meanwhile. For a handler of a unix signal, in
    /// which no lock may be taken and no memory freed, that is too much: see `compio::signal`.
    pub fn notify(&self) {
        let mut waiters = {
            let mut state = self.shared.lock();
            if mem::replace(&mut state.is_set, true) {
                return;
            }
            state.round += 1;
            mem::take(&mut state.waiters)
        };
        for waker in waiters.drain() {
            waker.wake();
        }
        // For its memory; unless somebody waits again, or there is none.
        let mut state = self.shared.lock();
        if state.waiters.capacity() == 0 {
            state.waiters = waiters;
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
    /// How often it became set: those who wait since an earlier round are done.
    round: u64,
    /// Those who wait in this round. No waker is cloned, dropped or woken under the lock.
    waiters: Slab<Waker>,
}

impl Shared {
    /// What is in there is in order, whatever has panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Wait {
    shared: Arc<Shared>,
    /// In which round it waits, and where in its list.
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
