//! Blocking code as an operation.

use std::{
    fmt,
    fs::File,
    io,
    panic::{self, AssertUnwindSafe},
    thread,
};

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Request, Work},
    sys::{self, RawFd},
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

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
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

/// As [`Blocking`], with a file that stays open meanwhile: for what a system does to open files in
/// no other way.
///
/// # Cancellation
///
/// As of [`Blocking`]. The file stays open for as long as the closure runs.
pub struct BlockingOn<C, T, F = SharedFd> {
    fd: F,
    /// The other thread must not ask `fd` itself.
    number: Option<RawFd>,
    code: Option<C>,
    result: Option<thread::Result<T>>,
}

impl<C, T, F> BlockingOn<C, T, F>
where
    C: FnOnce(&File) -> T + Send + 'static,
    T: Send + 'static,
{
    /// Runs `code` with the file that is `fd`.
    pub fn new(fd: F, code: C) -> Self {
        Self {
            fd,
            number: None,
            code: Some(code),
            result: None,
        }
    }

    /// # Safety
    ///
    /// `data` is a `Self`; its descriptor is open, and nobody else refers to the rest while this
    /// runs.
    unsafe fn run(data: *mut ()) {
        let this = data.cast::<Self>();
        // SAFETY: by this function's contract. `fd` stays with its own thread.
        let (number, code, result) =
            unsafe { ((*this).number, &mut (*this).code, &mut (*this).result) };
        if let (Some(number), Some(code)) = (number, code.take()) {
            // SAFETY: it is open, by this function's contract.
            let file = unsafe { sys::borrow_as_file(number) };
            *result = Some(panic::catch_unwind(AssertUnwindSafe(|| code(&file))));
        }
    }
}

// SAFETY: as for `Blocking`. Of the operation, the other thread uses all but the descriptor's
// owner, which may not be `Send`.
unsafe impl<C, T, F> Operation for BlockingOn<C, T, F>
where
    C: FnOnce(&File) -> T + Send + 'static,
    T: Send + 'static,
    F: OwnsFd,
{
    /// As of [`Blocking`].
    type Output = io::Result<thread::Result<T>>;

    fn request(&mut self) -> Request {
        self.number = Some(self.fd.as_raw_fd());
        Request::Work(Work {
            data: (&raw mut *self).cast(),
            run: Self::run,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer?;
        self.result
            .ok_or_else(|| io::Error::other("the blocking code did not run"))
    }
}

// SAFETY: the descriptor is owned by what the operation holds.
unsafe impl<C, T, F> Owned for BlockingOn<C, T, F>
where
    C: FnOnce(&File) -> T + Send + 'static,
    T: Send + 'static,
    F: OwnsFd,
{
}

impl<C, T, F: fmt::Debug> fmt::Debug for BlockingOn<C, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingOn")
            .field("fd", &self.fd)
            .field("has_run", &self.result.is_some())
            .finish_non_exhaustive()
    }
}
