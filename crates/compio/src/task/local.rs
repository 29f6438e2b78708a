//! Values that belong to a task: [`task_local!`](crate::task_local).

use std::{
    cell::RefCell,
    error::Error,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use pin_project_lite::pin_project;

/// Declares task-local values: statics of type [`LocalKey`].
///
/// ```
/// use compio::task;
///
/// compio::task_local! {
///     /// The number of the request that this task serves.
///     static REQUEST: u64;
///     static USER: String;
/// }
///
/// #[compio::main]
/// async fn main() {
///     let served = REQUEST.scope(7, async {
///         task::yield_now().await;
///         USER.scope("ada".to_string(), async {
///             USER.with(|user| format!("{} for {user}", REQUEST.get()))
///         })
///         .await
///     });
///     assert_eq!(served.await, "7 for ada");
///     assert!(REQUEST.try_get().is_err());
/// }
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static VALUE: ::std::cell::RefCell<::core::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::core::option::Option::None) };
            }
            $crate::task::LocalKey::new(&VALUE)
        };
    };
}

/// The key of a task-local value, declared by [`task_local!`](crate::task_local).
///
/// A value exists in the future of [`scope`](Self::scope), and in code that this future calls. A task that it
/// spawns does not inherit the value.
pub struct LocalKey<T: 'static> {
    /// The value of the running scope.
    current: &'static thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(current: &'static thread::LocalKey<RefCell<Option<T>>>) -> Self {
        Self { current }
    }

    /// Runs a future with this value. Scopes of one key may be nested.
    ///
    /// # Cancellation
    ///
    /// The future is dropped with the value.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            future: Some(future),
            key: self,
            value: Some(value),
        }
    }

    /// Runs a function with this value.
    pub fn sync_scope<R>(&'static self, value: T, code: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let _current = Current::new(self, &mut value);
        code()
    }

    /// Calls `code` with the value.
    ///
    /// # Panics
    ///
    /// Outside of a scope; or if `code` enters a scope of this key.
    #[track_caller]
    pub fn with<R>(&'static self, code: impl FnOnce(&T) -> R) -> R {
        match self.try_with(code) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`with`](Self::with), but an error outside of a scope.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of a scope.
    ///
    /// # Panics
    ///
    /// If `code` enters a scope of this key.
    pub fn try_with<R>(&'static self, code: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        self.current
            .try_with(|current| current.borrow().as_ref().map(code))
            .ok()
            .flatten()
            .ok_or(AccessError(()))
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// A clone of the value.
    ///
    /// # Panics
    ///
    /// Outside of a scope.
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// As [`get`](Self::get), but an error outside of a scope.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of a scope.
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// The error of an access to a task-local value outside of its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task-local value is used outside of its scope: see `LocalKey::scope`")
    }
}

impl Error for AccessError {}

pin_project! {
    /// The future of [`LocalKey::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TaskLocalFuture<T: 'static, F> {
        // `None` after its end.
        #[pin]
        future: Option<F>,
        key: &'static LocalKey<T>,
        // While the future does not run.
        value: Option<T>,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            // Destructors of the future find the value.
            let mut this = this.project();
            let _current = Current::new(this.key, this.value);
            this.future.set(None);
        }
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _current = Current::new(this.key, this.value);
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("a `TaskLocalFuture` was polled after it was ready");
        };
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}

impl<T, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").finish_non_exhaustive()
    }
}

/// While this lives, a value is the current one of its key. Its drop swaps them back.
struct Current<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<'a, T: 'static> Current<'a, T> {
    fn new(key: &'static LocalKey<T>, value: &'a mut Option<T>) -> Self {
        key.swap(value);
        Self { key, value }
    }
}

impl<T: 'static> Drop for Current<'_, T> {
    fn drop(&mut self) {
        self.key.swap(self.value);
    }
}

impl<T: 'static> LocalKey<T> {
    /// Has no effect in the destructor of a thread local: the key has no value there.
    fn swap(&'static self, value: &mut Option<T>) {
        let _ = self
            .current
            .try_with(|current| match current.try_borrow_mut() {
                Ok(mut current) => mem::swap(&mut *current, value),
                Err(_) => panic!("`LocalKey::with` enters a scope of the same key"),
            });
    }
}
