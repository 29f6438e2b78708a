//! The waker of the future that a `block_on` polls in place, without a task.

use std::{
    fmt,
    mem::ManuallyDrop,
    ptr::NonNull,
    task::{RawWaker, RawWakerVTable, Waker},
};

use crate::{
    biased_count::{BiasedCount, LocalPart, SharedPart},
    sync::{AtomicBool, Cell, Ordering},
    thread_id::ThreadId,
};

/// Records whether the loop's own future was woken.
///
/// A wake on this thread only sets a flag; a wake from another thread also wakes `unpark`, unless a
/// remote wake is pending already. It starts woken, so the first poll needs no wake.
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
    // Neither `Send` nor `Sync`: it belongs to the home thread.
    flags: NonNull<Flags>,
    /// Lent: it holds no reference.
    waker: ManuallyDrop<Waker>,
}

/// Two flags: with one, a plain store by the home thread could overwrite a remote wake.
///
/// They live while the `MainWaker` exists, which is as long as the home thread counts, or a clone of its
/// waker. (A rule of this file, to which its `SAFETY:` comments refer as "life". The other is "home":
/// only the home thread accesses `woken_here` and `refs_at_home`.)
struct Flags {
    refs: SharedPart,
    refs_at_home: LocalPart,
    woken_elsewhere: AtomicBool,
    /// Only for the home thread.
    woken_here: Cell<bool>,
    home: ThreadId,
    unpark: Waker,
}

impl Flags {
    #[inline]
    fn count(&self) -> BiasedCount<'_> {
        BiasedCount {
            shared: &self.refs,
            local: &self.refs_at_home,
        }
    }

    #[cold]
    fn wake_from_elsewhere(&self) {
        // Release: pairs with the swap in `take_woken`. The future sees all writes before the wake,
        // even if the flag was set already.
        if !self.woken_elsewhere.swap(true, Ordering::Release) {
            self.unpark.wake_by_ref();
        }
    }
}

// A static: `Waker::will_wake` compares its address.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
/// `data` is of a waker with [`VTABLE`], which lives as long as the result is used.
#[inline]
unsafe fn flags<'a>(data: *const ()) -> &'a Flags {
    // SAFETY: life; there is no `&mut Flags` before they are freed.
    unsafe { &*data.cast() }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: called by a waker.
    let flags = unsafe { flags(data) };
    if flags.home.is_current() {
        // SAFETY: at home.
        unsafe { flags.count().add_at_home() };
    } else {
        flags.count().add();
    }
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: called by a waker, whose reference ends here.
    unsafe {
        let flags = flags(data);
        if flags.home.is_current() {
            flags.woken_here.set(true);
            drop_at_home(data);
        } else {
            // Dropped at the end of the scope, because `unpark` might panic.
            let _reference = Waker::from_raw(RawWaker::new(data, &VTABLE));
            flags.wake_from_elsewhere();
        }
    }
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: called by a waker.
    let flags = unsafe { flags(data) };
    if flags.home.is_current() {
        flags.woken_here.set(true);
    } else {
        flags.wake_from_elsewhere();
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: called by a waker, whose reference ends here.
    unsafe {
        let flags = flags(data);
        if flags.home.is_current() {
            drop_at_home(data);
        } else if flags.count().remove() {
            free(data);
        }
    }
}

/// # Safety
/// Home thread; the reference of a waker ends here.
#[inline]
unsafe fn drop_at_home(data: *const ()) {
    // SAFETY: the caller's promise; `free`: that was the last reference.
    unsafe {
        if flags(data).count().remove_at_home() {
            free(data);
        }
    }
}

/// # Safety
/// No reference is left, and the `MainWaker` is gone.
#[cold]
unsafe fn free(data: *const ()) {
    // SAFETY: it came from a box, and has no other owner.
    drop(unsafe { Box::<Flags>::from_raw(data.cast_mut().cast()) });
}

impl MainWaker {
    /// Makes a waker at home on this thread, woken.
    ///
    /// A wake from another thread wakes `unpark` there. It must be cheap and must not block. It may be
    /// dropped on another thread.
    #[must_use]
    pub fn new(unpark: Waker) -> Self {
        let flags = NonNull::from(Box::leak(Box::new(Flags {
            refs: SharedPart::new(),
            refs_at_home: LocalPart::new(),
            woken_elsewhere: AtomicBool::new(false),
            woken_here: Cell::new(true),
            home: ThreadId::current(),
            unpark,
        })));
        // SAFETY: the functions of the table keep the contract of `RawWaker`: they access the home
        // thread's fields only on that thread. The waker is lent, and never dropped.
        let waker = unsafe { Waker::from_raw(RawWaker::new(flags.as_ptr().cast(), &VTABLE)) };
        Self {
            flags,
            waker: ManuallyDrop::new(waker),
        }
    }

    #[inline]
    fn flags(&self) -> &Flags {
        // SAFETY: life.
        unsafe { self.flags.as_ref() }
    }

    /// The waker for the polls, without a reference count.
    #[inline]
    #[must_use]
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether the waker was woken since the last call. Call it before the poll.
    #[inline]
    pub fn take_woken(&self) -> bool {
        let flags = self.flags();
        let here = flags.woken_here.replace(false);
        // Relaxed: a hint that saves the swap. If it misses a wake, the flag stays set.
        // Acquire: pairs with the swap in `wake_by_ref`. The poll that follows sees all writes before
        // the wake. A swap, because a wake that found the flag set must be seen as well.
        let elsewhere = flags.woken_elsewhere.load(Ordering::Relaxed)
            && flags.woken_elsewhere.swap(false, Ordering::Acquire);
        here || elsewhere
    }

    /// Whether [`take_woken`](Self::take_woken) would return `true`. Check it before parking the thread,
    /// under the same condition as [`Executor::has_ready`](crate::Executor::has_ready).
    #[inline]
    #[must_use]
    pub fn is_woken(&self) -> bool {
        // Acquire, so that a loop which polls this reads nothing older afterwards.
        self.flags().woken_here.get() || self.flags().woken_elsewhere.load(Ordering::Acquire)
    }
}

impl Drop for MainWaker {
    fn drop(&mut self) {
        // SAFETY: at home, since it is not `Send`, and once.
        if unsafe { self.flags().count().leave() } {
            // SAFETY: there are no references.
            unsafe { free(self.flags.as_ptr().cast()) };
        }
    }
}

impl fmt::Debug for MainWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainWaker")
            .field("is_woken", &self.is_woken())
            .finish()
    }
}
