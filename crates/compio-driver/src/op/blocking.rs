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
    request::{BlockingCall, Request, Threads},
    sys::{self, RawFd},
};

/// Runs a closure on another thread, and returns its result or its panic.
///
/// # Cancellation
///
/// A closure that waits in the queue is dropped, on the thread that submitted it. A running closure
/// continues to its end; its result is dropped.
pub struct Blocking<F, T> {
    threads: Threads,
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
            threads: Threads::Pool,
            code: Some(code),
            result: None,
        }
    }

    /// Runs `code`, which resolves a name, on threads of its own: see [`Threads::Resolver`].
    pub fn resolving(code: F) -> Self {
        Self {
            threads: Threads::Resolver,
            ..Self::new(code)
        }
    }

    /// # Safety
    ///
    /// `data` is a `Self` without other references while this runs.
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
    describe!(Blocking);
    /// The closure's result or its panic. An error if the closure did not run: `ECANCELED`, or the OS error
    /// if no thread could be started.
    type Output = io::Result<thread::Result<T>>;

    fn request(&mut self) -> Request {
        Request::Blocking(BlockingCall {
            threads: self.threads,
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

/// As [`Blocking`], with a file that stays open during the call: for calls on open files that no other
/// operation offers.
///
/// # Cancellation
///
/// As for [`Blocking`]. The file stays open for as long as the closure runs.
pub struct BlockingOn<C, T, F = SharedFd> {
    fd: F,
    /// A copy of the fd: the other thread must not access `fd` itself.
    number: Option<RawFd>,
    code: Option<C>,
    result: Option<thread::Result<T>>,
}

impl<C, T, F> BlockingOn<C, T, F>
where
    C: FnOnce(&File) -> T + Send + 'static,
    T: Send + 'static,
{
    /// Runs `code` with `fd` as a file.
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
    /// `data` is a `Self`; its descriptor is open, and the other fields have no other references while
    /// this runs.
    unsafe fn run(data: *mut ()) {
        let this = data.cast::<Self>();
        // SAFETY: by this function's contract. Only its own thread accesses `fd`.
        let (number, code, result) =
            unsafe { ((*this).number, &mut (*this).code, &mut (*this).result) };
        if let (Some(number), Some(code)) = (number, code.take()) {
            // SAFETY: it is open, by this function's contract.
            let file = unsafe { sys::borrow_as_file(number) };
            *result = Some(panic::catch_unwind(AssertUnwindSafe(|| code(&file))));
        }
    }
}

// SAFETY: as for `Blocking`. The other thread uses every field except `fd`, which may not be `Send`.
unsafe impl<C, T, F> Operation for BlockingOn<C, T, F>
where
    C: FnOnce(&File) -> T + Send + 'static,
    T: Send + 'static,
    F: OwnsFd,
{
    describe!(Blocking, fd);
    /// As for [`Blocking`].
    type Output = io::Result<thread::Result<T>>;

    fn request(&mut self) -> Request {
        self.number = Some(self.fd.as_raw_fd());
        Request::Blocking(BlockingCall {
            threads: Threads::Pool,
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

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
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
