//! The low-level API: operations stay with their caller.

use std::{io, iter, time::Duration};

use super::{Driver, core::closed, entry::Entry};
use crate::{
    operation::Operation,
    os_calls::clock,
    sys::{Backend as _, RawFd},
};

/// The low-level API: operations stay with their caller, and a number identifies each.
///
/// ```
/// use compio::driver::{Driver, Poller, op::Nop};
///
/// fn main() -> std::io::Result<()> {
///     let driver = Driver::new()?;
///     let mut op = Nop::new();
///     // SAFETY: `op` stays in place until its entry arrives.
///     unsafe { driver.push(&mut op, 7)? };
///     let entry = driver.poll_one(None)?;
///     assert_eq!(entry.user_data(), 7);
///     assert_eq!(entry.into_result()?, 0);
///     Ok(())
/// }
/// ```
pub trait Poller {
    /// Registers a descriptor with the driver. Otherwise its first operation does so, on systems that need
    /// it; an explicit call reports an error early.
    ///
    /// # Platform differences
    ///
    /// On Windows, operations on a raw handle that is used more than once are faster if it is attached: the
    /// driver then assumes that the value names the same object until it is attached again. The call waits if
    /// the handle does not support overlapped calls and another thread waits in a call on it. So does the first
    /// operation on a raw handle that is not attached.
    ///
    /// # Errors
    ///
    /// The OS error if the registration fails. Only Windows registers descriptors.
    fn attach(&self, fd: RawFd) -> io::Result<()>;

    /// Begins an operation that stays in place. When it completes, [`poll`](Self::poll) returns an
    /// [`Entry`] with `user_data`.
    ///
    /// # Errors
    ///
    /// An error of kind [`Other`](io::ErrorKind::Other) if the driver has been shut down. The operation
    /// has not begun, and no entry follows. Errors of the operation itself, also the lack of a thread for
    /// blocking work, are in its entry.
    ///
    /// # Safety
    ///
    /// Until the entry arrives, the caller neither moves, drops nor accesses the operation, its
    /// descriptors stay open, and the driver is not leaked. Dropping the driver waits for the
    /// operation. If that wait exceeds the shutdown timeout, the operation must be leaked.
    ///
    /// # Dropping an operation
    ///
    /// After its entry has arrived, a pushed operation may be dropped. Its drop does not close an fd that the
    /// kernel has closed ([`Close`](crate::op::Close)). Nor does it close a descriptor that the completion
    /// returns ([`Accept`](crate::op::Accept), [`Open`](crate::op::Open), [`Socket`](crate::op::Socket),
    /// [`RecvAncillary`](crate::op::RecvAncillary)): such a descriptor leaks.
    /// [`finish`](Operation::finish) with the entry's result gives it an owner.
    unsafe fn push<O: Operation>(&self, op: &mut O, user_data: usize) -> io::Result<()>;

    /// Requests the cancellation of all operations that were pushed with this number. Their entries
    /// still arrive, with the error `ECANCELED` or with the result of an earlier completion. Does
    /// nothing if there are no such operations.
    fn cancel(&self, user_data: usize);

    /// Submits the pushed operations and waits until one completes, at most for `timeout` (`None`: no
    /// limit; zero: no wait). Appends all available entries, and returns their number.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if no entry arrived in time.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `timeout` is `None` and nothing is in flight.
    /// The OS error if waiting fails.
    fn poll(
        &self,
        timeout: Option<Duration>,
        entries: &mut impl Extend<Entry>,
    ) -> io::Result<usize>;

    /// As [`poll`](Self::poll), for one entry. Other available entries stay for the next call.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    fn poll_one(&self, timeout: Option<Duration>) -> io::Result<Entry>;
}

impl Poller for Driver {
    fn attach(&self, fd: RawFd) -> io::Result<()> {
        self.inner.backend.borrow_mut().attach(fd)
    }

    unsafe fn push<O: Operation>(&self, op: &mut O, user_data: usize) -> io::Result<()> {
        // Before the request, which may take a descriptor out of the operation.
        if self.inner.closed.get() {
            return Err(closed());
        }
        let request = op.request();
        // User code of a buffer may have shut the driver down.
        if self.inner.closed.get() {
            return Err(closed());
        }
        let key = self.inner.arena.insert_external(request, user_data);
        // SAFETY: the operation stays in place, by this function's contract.
        let submitted = unsafe { self.inner.submit(key, &request) };
        if let Some(answer) = submitted {
            self.inner.complete(key, answer);
        }
        Ok(())
    }

    fn cancel(&self, user_data: usize) {
        self.inner
            .cancel_all(self.inner.arena.keys_of_caller(user_data));
    }

    fn poll(
        &self,
        timeout: Option<Duration>,
        entries: &mut impl Extend<Entry>,
    ) -> io::Result<usize> {
        let first = self.poll_one(timeout)?;
        // One by one: the queue keeps its memory, and no entry is lost if `extend` panics.
        let rest = iter::from_fn(|| self.inner.entries.borrow_mut().pop_front());
        let mut count = 0;
        entries.extend(iter::once(first).chain(rest).inspect(|_| count += 1));
        Ok(count)
    }

    fn poll_one(&self, timeout: Option<Duration>) -> io::Result<Entry> {
        let deadline = timeout.and_then(|timeout| clock::now().checked_add(timeout));
        let mut left = timeout;
        loop {
            if let Some(entry) = self.inner.entries.borrow_mut().pop_front() {
                return Ok(entry);
            }
            if self.inner.arena.in_flight_count() == 0 && timeout.is_none() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "nothing is in flight: push an operation first, or pass a timeout",
                ));
            }
            self.inner.turn(left)?;
            let Some(deadline) = deadline else { continue };
            left = Some(deadline.saturating_duration_since(clock::now()));
            if left == Some(Duration::ZERO) {
                let entry = self.inner.entries.borrow_mut().pop_front();
                return entry.ok_or_else(|| io::ErrorKind::TimedOut.into());
            }
        }
    }
}
