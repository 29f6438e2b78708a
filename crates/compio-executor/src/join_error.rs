//! The error of a task without an output.

use std::{any::Any, fmt, io};

/// The reason that a task yielded no output: it was cancelled, or it panicked.
///
/// # Example
///
/// ```
/// use compio::task::{block_on, spawn};
///
/// block_on(async {
///     let task = spawn(std::future::pending::<()>());
///     task.abort();
///     let error = task.await.unwrap_err();
///     assert!(error.is_cancelled());
///     assert_eq!(error.to_string(), "task was cancelled");
/// });
/// ```
pub struct JoinError(Cause);

enum Cause {
    Cancelled,
    Panic(Box<dyn Any + Send>),
}

// SAFETY: not by the memory rules, but because a `&JoinError` gives no access to a payload, except to
// its type, and to its value if that is a `&str` or a `String`, which are `Sync`.
unsafe impl Sync for JoinError {}

impl JoinError {
    pub(crate) fn cancelled() -> Self {
        Self(Cause::Cancelled)
    }

    pub(crate) fn panic(payload: Box<dyn Any + Send>) -> Self {
        Self(Cause::Panic(payload))
    }

    /// Whether the task was aborted, or its executor was dropped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Cause::Cancelled)
    }

    /// Whether the task's future panicked, in a poll or in its destructor.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0, Cause::Panic(_))
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    ///
    /// If the task did not panic, but was cancelled.
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic().expect("the task did not panic")
    }

    /// The panic's payload.
    ///
    /// # Errors
    ///
    /// The error itself, if the task did not panic, but was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.0 {
            Cause::Panic(payload) => Ok(payload),
            Cause::Cancelled => Err(self),
        }
    }

    /// The panic message, if the payload is text.
    fn message(payload: &(dyn Any + Send)) -> Option<&str> {
        payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

/// Makes `?` on a joined task work in functions that return an I/O error.
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        io::Error::other(error)
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Cancelled => f.write_str("task was cancelled"),
            Cause::Panic(payload) => match Self::message(&**payload) {
                Some(message) => write!(f, "task panicked: {message}"),
                None => f.write_str("task panicked"),
            },
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Cancelled => f.write_str("JoinError::Cancelled"),
            Cause::Panic(payload) => match Self::message(&**payload) {
                Some(message) => write!(f, "JoinError::Panic({message:?})"),
                None => f.write_str("JoinError::Panic(..)"),
            },
        }
    }
}

impl std::error::Error for JoinError {}
