//! A wrapper that makes a value `Send` and `Sync`, and checks the thread of each use.
//!
//! ```text
//! made ---> used on its home thread ---> dropped there
//!   |
//!   | moved to another thread
//!   +---> used there: panic with advice
//!   +---> dropped there ---> injector ---> dropped on the home thread
//!                               | closed, or there is none
//!                               +---> leaked, with a message on stderr
//! ```
//!
//! The crate `send_wrapper` is the common one. Its drop on another thread panics, or leaks while the thread
//! unwinds.

use std::{
    any::type_name,
    fmt,
    io::{self, Write},
    marker::PhantomData,
    mem::{ManuallyDrop, needs_drop},
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    executor::Executor, injector::Job, panics::drop_caught, spawner::Spawner, thread_id::ThreadId,
};

/// Makes a value `Send` and `Sync`, and checks at run time that only its home thread uses it.
///
/// The home thread is the one that has made the wrapper. The value is on the heap and never moves. A drop on
/// another thread sends it home, where the executor drops it in its next [tick](Executor::tick), or at its end.
/// If the executor has gone, or if there is none, the value is leaked, with a message on stderr. Such a drop
/// does not panic, also while its thread unwinds.
///
/// ```
/// use std::{rc::Rc, thread, task::Waker};
///
/// use compio_executor::{Executor, SendWrapper};
///
/// let executor = Executor::new(Waker::noop().clone());
/// let wrapped = SendWrapper::new(Rc::new(42), Some(executor.spawner()));
/// let wrapped = thread::spawn(move || wrapped).join().unwrap();
/// assert_eq!(**wrapped, 42);
/// ```
// `Unpin` only if `T` is: a pinned wrapper pins its value.
pub struct SendWrapper<T: 'static> {
    value: ManuallyDrop<AtHome<T>>,
    spawner: Option<Spawner>,
    pinned: PhantomData<T>,
}

// SAFETY: each access checks that it is on the home thread, and so does the drop of the value. Other threads
// move only the pointer.
unsafe impl<T> Send for SendWrapper<T> {}
// SAFETY: likewise, by a shared reference.
unsafe impl<T> Sync for SendWrapper<T> {}

/// A value that is dropped on its home thread, or leaked.
struct AtHome<T: 'static> {
    value: ManuallyDrop<Box<T>>,
    home: ThreadId,
}

// SAFETY: other threads move only the pointer: the value is accessed and dropped on the home thread only.
unsafe impl<T> Send for AtHome<T> {}

impl<T> AtHome<T> {
    /// Whether this thread may drop it: any thread may free memory without a destructor.
    fn is_droppable(&self) -> bool {
        self.home.is_current() || !needs_drop::<T>()
    }
}

impl<T> Drop for AtHome<T> {
    fn drop(&mut self) {
        if self.is_droppable() {
            // SAFETY: not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        } else {
            report_leak(type_name::<T>());
        }
    }
}

#[cold]
fn report_leak(name: &str) {
    let message = format!(
        "compio: a `SendWrapper` was dropped on another thread, and no runtime of its own thread is left to drop \
         its value: it is leaked ({name})\n"
    );
    // Without stderr there is no report, and no panic.
    let _ = io::stderr().write_all(message.as_bytes());
}

impl<T> Job for AtHome<T> {
    fn run(self: Box<Self>, _: &Executor) {
        // At home. The value's destructor is a user's.
        drop_caught(self);
    }
}

impl<T: 'static> SendWrapper<T> {
    /// Wraps a value of this thread. `spawner` belongs to an executor of this thread, which drops the value if
    /// another thread drops the wrapper.
    pub fn new(value: T, spawner: Option<Spawner>) -> Self {
        Self {
            value: ManuallyDrop::new(AtHome {
                value: ManuallyDrop::new(Box::new(value)),
                home: ThreadId::current(),
            }),
            spawner,
            pinned: PhantomData,
        }
    }

    /// Whether this is the home thread of the value.
    #[inline]
    pub fn is_home(&self) -> bool {
        self.value.home.is_current()
    }

    /// The value; `None` on another thread.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.is_home().then(|| &**self.value.value)
    }

    /// The value; `None` on another thread.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.is_home().then(|| &mut **self.value.value)
    }

    /// The pinned value; `None` on another thread.
    #[inline]
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut T>> {
        // SAFETY: the wrapper is not moved. The value is dropped where it is, or leaked: a pinned wrapper
        // can be unwrapped only if `T` is `Unpin`, because otherwise the wrapper is not.
        unsafe {
            self.get_unchecked_mut()
                .get_mut()
                .map(|value| Pin::new_unchecked(value))
        }
    }

    /// Unwraps the value.
    ///
    /// # Errors
    ///
    /// The wrapper, on another thread than the value's.
    pub fn try_into_inner(self) -> Result<T, Self> {
        if !self.is_home() {
            return Err(self);
        }
        let mut this = ManuallyDrop::new(self);
        drop(this.spawner.take());
        // SAFETY: taken once, because `this` and the `AtHome` in it are never dropped.
        let value = unsafe { ManuallyDrop::take(&mut this.value.value) };
        Ok(*value)
    }
}

/// # Panics
///
/// On another thread than the value's.
impl<T: 'static> Deref for SendWrapper<T> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        match self.get() {
            Some(value) => value,
            None => away::<T>(),
        }
    }
}

/// # Panics
///
/// On another thread than the value's.
impl<T: 'static> DerefMut for SendWrapper<T> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        match self.get_mut() {
            Some(value) => value,
            None => away::<T>(),
        }
    }
}

impl<T: 'static> SendWrapper<T> {
    /// The pinned value.
    ///
    /// # Panics
    ///
    /// On another thread than the value's.
    #[inline]
    #[track_caller]
    pub fn pin_mut(self: Pin<&mut Self>) -> Pin<&mut T> {
        match self.get_pin_mut() {
            Some(value) => value,
            None => away::<T>(),
        }
    }
}

#[cold]
#[track_caller]
fn away<T>() -> ! {
    panic!(
        "a `{}` is used on another thread than its own: its `SendWrapper` may be moved and dropped anywhere, but \
         spawn the code that uses it on the runtime of its thread, for instance by `runtime::Handle::spawn_with`",
        type_name::<T>()
    )
}

impl<T: 'static> Drop for SendWrapper<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, and not used afterwards.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        match &self.spawner {
            // A closed injector drops it here, on a foreign thread, which reports the leak.
            Some(spawner) if !value.is_droppable() => spawner.send(Box::new(value)),
            Some(_) | None => drop(value),
        }
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for SendWrapper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("SendWrapper");
        match self.get() {
            Some(value) => tuple.field(value).finish(),
            None => tuple.field(&format_args!("<of another thread>")).finish(),
        }
    }
}

/// # Panics
///
/// If it is polled on another thread than the future's.
impl<F: Future + 'static> Future for SendWrapper<F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.pin_mut().poll(cx)
    }
}
