//! Values of this thread, for code that requires `Send`.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper_rt;
#[cfg(feature = "tokio")]
mod tokio_io;

use std::{
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
};

use compio_executor as executor;
use pin_project_lite::pin_project;

use super::current::entered;

pin_project! {
/// A value that only its own thread uses, for libraries that require `Send` and `Sync`.
///
/// Sockets, timers and futures of this crate stay on their thread, and the compiler checks that. Some libraries
/// require `Send` although they use a value only where their own futures run. This wrapper is `Send` and `Sync`,
/// and checks the thread of each use instead.
///
/// It implements [`Future`] for futures, and the I/O traits for streams: with the features `tokio`, `futures-io`
/// and `hyper` their readers and writers, with `hyper` also `Body`, with the feature `stream` the trait `Stream`.
/// Other methods are reached through [`Deref`] and [`DerefMut`].
///
/// The value is on the heap: it costs one allocation.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
///
/// use compio::{runtime::SendWrapper, task};
///
/// fn requires_send(future: impl Future<Output = i32> + Send) -> impl Future<Output = i32> + Send {
///     future
/// }
///
/// task::block_on(async {
///     let local = Rc::new(Cell::new(41));
///     let future = requires_send(SendWrapper::new(async move {
///         local.set(local.get() + 1);
///         local.get()
///     }));
///     assert_eq!(future.await, 42);
/// });
/// ```
///
/// # Panics
///
/// All methods and traits that use the value panic on another thread than the one that made the wrapper, with
/// advice. [`is_home`](Self::is_home), [`get`](Self::get), [`get_mut`](Self::get_mut),
/// [`try_into_inner`](Self::try_into_inner), [`fmt::Debug`] and the drop do not.
///
/// # Drops on other threads
///
/// Another thread may drop the wrapper. Then the value goes to the runtime that ran on its thread when the
/// wrapper was made. The runtime drops the value in its next turn, or when it is dropped itself. If that
/// runtime has ended, or if there was none, the value is leaked, with a message on stderr. A value without a
/// destructor is freed where the wrapper is dropped.
#[derive(Debug)]
pub struct SendWrapper<T: 'static> {
    #[pin]
    inner: executor::SendWrapper<T>,
}
}

impl<T: 'static> SendWrapper<T> {
    /// Wraps a value of this thread.
    pub fn new(value: T) -> Self {
        let spawner = entered().map(|runtime| runtime.executor.spawner());
        Self {
            inner: executor::SendWrapper::new(value, spawner),
        }
    }

    /// Whether this is the thread of the value.
    pub fn is_home(&self) -> bool {
        self.inner.is_home()
    }

    /// The value; `None` on another thread.
    pub fn get(&self) -> Option<&T> {
        self.inner.get()
    }

    /// The value; `None` on another thread.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.inner.get_mut()
    }

    /// Unwraps the value.
    ///
    /// # Errors
    ///
    /// The wrapper, on another thread than the value's.
    pub fn try_into_inner(self) -> Result<T, Self> {
        self.inner.try_into_inner().map_err(|inner| Self { inner })
    }
}

impl<T: 'static> SendWrapper<T> {
    /// The pinned value.
    #[inline]
    fn pinned(self: Pin<&mut Self>) -> Pin<&mut T> {
        self.project().inner.pin_mut()
    }
}

impl<T: 'static> Deref for SendWrapper<T> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: 'static> DerefMut for SendWrapper<T> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<F: Future + 'static> Future for SendWrapper<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.pinned().poll(cx)
    }
}

#[cfg(feature = "stream")]
impl<S: futures_core::Stream + 'static> futures_core::Stream for SendWrapper<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.pinned().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.get().map_or((0, None), S::size_hint)
    }
}
