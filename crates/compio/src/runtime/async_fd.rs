//! Readiness of foreign descriptors.

use std::io;

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, HeldFd, RawFd,
    op::{PollOnce, Readiness},
};

use super::submit;

/// A value with a descriptor, whose readiness can be awaited: an inotify instance, a device, the
/// socket of a C library.
///
/// It reports readiness; the caller makes the descriptor's own calls. Readiness is the current state, as
/// of `poll(2)`: nothing is cached, and nothing has to be cleared. If the descriptor is ready, there is
/// no wait.
///
/// A call after a wait may still block, if others read from the same descriptor, or if a write exceeds
/// the free space. Then the descriptor must be in non-blocking mode. This type never changes the mode,
/// because all users of the open file description share it, other processes included.
///
/// For each of these types, a descriptor can be ready in `poll(2)` and the call after it blocks,
/// unless the descriptor is in non-blocking mode:
///
/// | type | a call that blocks on a ready descriptor |
/// |---|---|
/// | terminal | a write of more bytes than there is room for; a read with VMIN and VTIME; a read, if another process reads |
/// | pipe, FIFO | a write of more than `PIPE_BUF` bytes; a read, if another process reads |
/// | socket | a send of more bytes than there is room for; a receive, if another process receives |
/// | eventfd, timerfd, signalfd, inotify | a read, if another process reads |
/// | regular file, FUSE file | any transfer: the file is always ready |
/// | `/dev/null`, `/dev/zero`, `/dev/urandom` | none |
///
/// [`File`](crate::fs::File) and [`pipe`](crate::pipe) read and write all of these types without blocking the
/// runtime.
///
/// Any number of tasks can wait at once, for either direction; all of them continue when it is
/// ready.
///
/// ```
/// # #[cfg(unix)]
/// fn main() -> std::io::Result<()> {
///     use std::{
///         io::{Read, Write},
///         os::unix::net::UnixStream,
///     };
///
///     use compio::runtime::AsyncFd;
///
///     let (mut one, other) = UnixStream::pair()?;
///     other.set_nonblocking(true)?;
///     compio::task::block_on(async {
///         let other = AsyncFd::new(other)?;
///         one.write_all(b"hello")?;
///
///         let mut buffer = [0; 16];
///         let len = other.read_with(|mut other| other.read(&mut buffer)).await?;
///         assert_eq!(&buffer[..len], b"hello");
///         std::io::Result::Ok(())
///     })
/// }
/// # #[cfg(windows)]
/// # fn main() {}
/// ```
///
/// # Platform differences
///
/// A regular file is always ready. On Windows there are two kinds of descriptors:
///
/// - sockets behave as elsewhere. The system reports read readiness. Write readiness is polled once a
///   millisecond, because no documented call reports it;
/// - for a handle of an event, a process, a thread or a timer, both directions wait until it is
///   *signalled*. The wait has its usual effect: it resets an auto-reset event, and decrements a
///   semaphore. A cancelled wait may have had this effect. Files and pipes are not supported.
#[derive(Debug)]
pub struct AsyncFd<T> {
    fd: HeldFd<T>,
}

impl<T: AsFd + 'static> AsyncFd<T> {
    /// Takes ownership of `inner`. `as_fd` is called once, here.
    ///
    /// # Errors
    ///
    /// None at present: a descriptor that cannot be waited for makes the wait fail.
    pub fn new(inner: T) -> io::Result<Self> {
        Ok(Self {
            fd: HeldFd::new(inner),
        })
    }

    /// Waits until the descriptor is readable, at EOF, or has an error.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: readiness stays as it is.
    ///
    /// # Errors
    ///
    /// The OS error of the wait. An error of the descriptor itself counts as readiness: the call that
    /// follows returns it.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Readiness::READABLE).await.map(drop)
    }

    /// Waits until there is room to write, or an error.
    ///
    /// # Cancellation
    ///
    /// As of [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable).
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Readiness::WRITABLE).await.map(drop)
    }

    /// Waits until it is ready for any of `interest`, and returns the readiness. Errors and hang-ups
    /// always end the wait.
    ///
    /// # Cancellation
    ///
    /// As of [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable).
    pub async fn ready(&self, interest: Readiness) -> io::Result<Readiness> {
        submit(PollOnce::new(self.fd.clone(), interest)).await
    }

    /// Waits until the descriptor is readable, and calls `code`, which reads. Repeats both if `code`
    /// returns [`WouldBlock`](io::ErrorKind::WouldBlock), because another reader was faster.
    ///
    /// # Cancellation
    ///
    /// As of [`readable`](Self::readable): `code` never runs across two polls.
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable), and the errors of `code`.
    pub async fn read_with<R>(&self, code: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.async_io(Readiness::READABLE, code).await
    }

    /// As [`read_with`](Self::read_with), for code that writes.
    ///
    /// # Cancellation
    ///
    /// As of [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable), and the errors of `code`.
    pub async fn write_with<R>(&self, code: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.async_io(Readiness::WRITABLE, code).await
    }

    /// As [`read_with`](Self::read_with), for code that needs any readiness of `interest`.
    ///
    /// # Cancellation
    ///
    /// As of [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable), and the errors of `code`.
    pub async fn async_io<R>(
        &self,
        interest: Readiness,
        mut code: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match code(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

impl<T> AsyncFd<T> {
    /// The inner value.
    pub fn get_ref(&self) -> &T {
        self.fd.get_ref()
    }

    /// Returns the inner value.
    ///
    /// # Errors
    ///
    /// `self`, if waits are in flight, also cancelled ones whose completion is outstanding.
    pub fn into_inner(self) -> Result<T, Self> {
        self.fd.try_unwrap().map_err(|fd| Self { fd })
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
