//! Blocking code as an operation.

use std::{
    fmt, io,
    panic::{self, AssertUnwindSafe},
    thread,
};

use crate::{
    operation::{Operation, Owned},
    request::{Request, Work},
};

/// Runs a closure on another thread, and takes back what it returns or its panic.
///
/// # Cancellation
///
/// A closure that waits in the queue is dropped, on the thread that submitted it. One that runs
/// goes on to its end; its result is dropped.
pub struct Blocking<F, T> {
    code: Option<F>,
    result: Option<thread::Result<T>>,
}

impl<F, T> Blocking<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// Runs `code`.
    pub fn new(code: F) -> Self {
        Self {
            code: Some(code),
            result: None,
        }
    }

    /// # Safety
    ///
    /// `data` is a `Self` that nobody else refers to while this runs.
    unsafe fn run(data: *mut ()) {
        // SAFETY: by this function's contract.
        let this = unsafe { &mut *data.cast::<Self>() };
        if let Some(code) = this.code.take() {
            this.result = Some(panic::catch_unwind(AssertUnwindSafe(code)));
        }
    }
}

// SAFETY: the request's data is the operation itself, which `run` may use on another thread since
// both the code and its result are `Send`; `run` does not unwind.
unsafe impl<F, T> Operation for Blocking<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// The result of the code or its panic; or an error if it did not run: `ECANCELED`, or no
    /// thread could be started.
    type Output = io::Result<thread::Result<T>>;

    fn request(&mut self) -> Request {
        Request::Work(Work {
            data: (&raw mut *self).cast(),
            run: Self::run,
        })
    }

    fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer?;
        self.result
            .ok_or_else(|| io::Error::other("the blocking code did not run"))
    }
}

// SAFETY: no descriptor is named.
unsafe impl<F, T> Owned for Blocking<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
}

impl<F, T> fmt::Debug for Blocking<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("has_run", &self.result.is_some())
            .finish_non_exhaustive()
    }
}
