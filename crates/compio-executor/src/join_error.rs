//! The error of a task without an output.

use std::{any::Any, fmt, io};

use crate::meta::{TaskId, TaskMeta};

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
///     assert!(error.to_string().ends_with("was cancelled"));
/// });
/// ```
pub struct JoinError {
    failure: Failure,
    task: TaskMeta,
}

/// The reason, without the task.
pub(crate) enum Failure {
    Cancelled,
    Panic(Box<dyn Any + Send>),
}

impl Failure {
    pub(crate) fn is_panic(&self) -> bool {
        matches!(self, Self::Panic(_))
    }
}

// SAFETY: not by the memory rules, but because a `&JoinError` gives no access to a payload, except to
// its type, and to its value if that is a `&str` or a `String`, which are `Sync`.
unsafe impl Sync for JoinError {}

impl JoinError {
    pub(crate) fn new(failure: Failure, task: TaskMeta) -> Self {
        Self { failure, task }
    }

    /// The number of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The number, name, and place of the spawn of the task.
    #[must_use]
    pub fn task(&self) -> &TaskMeta {
        &self.task
    }

    /// Whether the task was aborted, or its executor was dropped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.failure, Failure::Cancelled)
    }

    /// Whether the task's future panicked, in a poll or in its destructor.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.failure, Failure::Panic(_))
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
        match self.failure {
            Failure::Panic(payload) => Ok(payload),
            Failure::Cancelled => Err(self),
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
        write!(f, "{} ", self.task)?;
        match &self.failure {
            Failure::Cancelled => f.write_str("was cancelled"),
            Failure::Panic(payload) => match Self::message(&**payload) {
                Some(message) => write!(f, "panicked: {message}"),
                None => f.write_str("panicked"),
            },
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::Cancelled => write!(f, "JoinError::Cancelled({:?})", self.task),
            Failure::Panic(payload) => match Self::message(&**payload) {
                Some(message) => write!(f, "JoinError::Panic({:?}, {message:?})", self.task),
                None => write!(f, "JoinError::Panic({:?}, ..)", self.task),
            },
        }
    }
}

impl std::error::Error for JoinError {}
