//! The waker of the one future that is no task: the one that a `block_on` polls in place.

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Wake, Waker},
};

use crate::{
    sync::{AtomicBool, Cell, Ordering},
    thread::ThreadNumber,
};

/// Remembers whether a loop's own future was woken.
///
/// A wake on this thread only sets a flag; one from another thread also wakes `unpark`, unless such a
/// wake is pending already. At first it is woken, because a future's first poll needs no wake.
///
/// # Example
///
/// ```
/// use std::{future::Future, pin::pin, task::{Context, Poll, Wake, Waker}, thread::{self, Thread}};
/// use compio_executor::{Executor, MainWaker};
///
/// struct Unpark(Thread);
/// impl Wake for Unpark {
///     fn wake(self: std::sync::Arc<Self>) {
///         self.0.unpark();
///     }
/// }
///
/// fn block_on<F: Future>(executor: &Executor, unpark: Waker, future: F) -> F::Output {
///     let main = MainWaker::new(unpark);
///     let mut future = pin!(future);
///     loop {
///         if main.take_woken()
///             && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(main.waker()))
///         {
///             return output;
///         }
///         if !executor.tick(64).has_ready && !main.is_woken() {
///             thread::park();
///         }
///     }
/// }
///
/// let unpark = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
/// let executor = Executor::new(unpark.clone());
/// let task = executor.spawn(async { 42 });
/// assert_eq!(block_on(&executor, unpark, task).unwrap(), 42);
/// ```
pub struct MainWaker {
    flags: Arc<Flags>,
    // The same `Arc` once more.
    waker: Waker,
    // Not `Send`, nor `Sync`: it belongs to the home thread.
    _home: PhantomData<*mut Flags>,
}

/// Two flags, for a plain store by the home thread would hide what another thread has written.
struct Flags {
    home: ThreadNumber,
    /// The home thread's.
    woken_here: Cell<bool>,
    woken_elsewhere: AtomicBool,
    unpark: Waker,
}

// SAFETY: `woken_here` is touched on the home thread only: `Flags::wake_by_ref` compares, `MainWaker` is
// neither `Send` nor `Sync`. (A rule of this file: nothing of a task is involved.)
unsafe impl Send for Flags {}
// SAFETY: as above.
unsafe impl Sync for Flags {}

impl Wake for Flags {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.home.is_current() {
            self.woken_here.set(true);
        // Release: pairs with the swap in `take_woken`; the future finds what was written before the
        // wake, even if the flag was set already.
        } else if !self.woken_elsewhere.swap(true, Ordering::Release) {
            self.unpark.wake_by_ref();
        }
    }
}

impl MainWaker {
    /// Makes a waker at home on this thread, woken.
    ///
    /// `unpark` is woken on the thread of whoever wakes from elsewhere. It is to be cheap and must not
    /// block; it may be dropped on another thread.
    #[must_use]
    pub fn new(unpark: Waker) -> Self {
        let flags = Arc::new(Flags {
            home: ThreadNumber::current(),
            woken_here: Cell::new(true),
            woken_elsewhere: AtomicBool::new(false),
            unpark,
        });
        Self {
            waker: Waker::from(flags.clone()),
            flags,
            _home: PhantomData,
        }
    }

    /// The waker to poll with. Costs nothing.
    #[inline]
    #[must_use]
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether the waker was woken since this was last asked. To be called before the poll.
    #[inline]
    pub fn take_woken(&self) -> bool {
        let here = self.flags.woken_here.replace(false);
        // Relaxed: a mere guess that spares the swap; the flag stays set for the next time.
        // Acquire: pairs with the swap in `wake_by_ref`; the poll that follows sees what was written
        // before the wake. It takes a swap, for a wake that found the flag set has to be seen.
        let elsewhere = self.flags.woken_elsewhere.load(Ordering::Relaxed)
            && self.flags.woken_elsewhere.swap(false, Ordering::Acquire);
        here || elsewhere
    }

    /// Whether [`take_woken`](Self::take_woken) would say yes. To be asked before parking the thread, under
    /// the same condition as [`Executor::has_ready`](crate::Executor::has_ready).
    #[inline]
    #[must_use]
    pub fn is_woken(&self) -> bool {
        // Acquire, so that a loop which polls this reads nothing older afterwards.
        self.flags.woken_here.get() || self.flags.woken_elsewhere.load(Ordering::Acquire)
    }
}

impl fmt::Debug for MainWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainWaker")
            .field("is_woken", &self.is_woken())
            .finish()
    }
}
