//! Readiness of foreign descriptors.

use std::{
    cell::Cell,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, HeldFd, RawFd, Submit,
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
///
/// # Libraries that poll
///
/// The methods `poll_*` are for hand-written futures. With the feature `futures-io` an `AsyncFd<T>` of a
/// type that is read and written by `&T` implements the traits of `futures-io`: each read or write waits
/// for readiness and calls `T`. So a C library's socket, wrapped in a type with [`Read`](io::Read) and
/// [`Write`](io::Write) by reference, works with libraries that take these traits. A close flushes; it
/// shuts nothing down.
pub struct AsyncFd<T> {
    read_wait: PollWait,
    write_wait: PollWait,
    fd: HeldFd<T>,
}

/// The wait of the polls of one direction, made by the first poll. Without the type `T`, which would need
/// bounds in the definition of [`AsyncFd`].
type PollWait = Cell<Option<Box<dyn PollReady>>>;

trait PollReady {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Readiness>>;
}

struct Wait<T: 'static> {
    fd: HeldFd<T>,
    interest: Readiness,
    in_flight: Option<Submit<PollOnce<HeldFd<T>>>>,
}

impl<T: AsFd + 'static> PollReady for Wait<T> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Readiness>> {
        let Self {
            fd,
            interest,
            in_flight,
        } = self;
        let wait = in_flight.get_or_insert_with(|| submit(PollOnce::new(fd.clone(), *interest)));
        let readiness = ready!(Pin::new(wait).poll(cx));
        *in_flight = None;
        Poll::Ready(readiness)
    }
}

impl<T: AsFd + 'static> AsyncFd<T> {
    /// Takes ownership of `inner`. `as_fd` is called once, here.
    ///
    /// # Errors
    ///
    /// None at present: a descriptor that cannot be waited for makes the wait fail.
    pub fn new(inner: T) -> io::Result<Self> {
        Ok(Self {
            read_wait: Cell::default(),
            write_wait: Cell::default(),
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

/// Polls, for hand-written futures.
///
/// Each direction has one wait, which stays in flight between polls: only the waker of the last poll of
/// this direction is woken. The async methods do not share it.
impl<T: AsFd + 'static> AsyncFd<T> {
    /// Polls for read readiness, as [`readable`](Self::readable).
    ///
    /// There is no guard, and nothing to clear: after `Ready`, the next poll checks the descriptor again.
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable).
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(&self.read_wait, Readiness::READABLE, cx)
    }

    /// Polls for write readiness, as [`writable`](Self::writable): see
    /// [`poll_read_ready`](Self::poll_read_ready).
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable).
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(&self.write_wait, Readiness::WRITABLE, cx)
    }

    /// Polls for read readiness, and calls `code`, which reads. Repeats both if `code` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). The polled form of [`read_with`](Self::read_with).
    ///
    /// ```
    /// # #[cfg(unix)]
    /// fn main() -> std::io::Result<()> {
    ///     use std::{
    ///         future::poll_fn,
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
    ///         let read = poll_fn(|cx| other.poll_read_with(cx, |mut other| other.read(&mut buffer)));
    ///         assert_eq!(read.await?, 5);
    ///         Ok(())
    ///     })
    /// }
    /// # #[cfg(windows)]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable), and the errors of `code`.
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        code: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(&self.read_wait, Readiness::READABLE, cx, code)
    }

    /// As [`poll_read_with`](Self::poll_read_with), for code that writes.
    ///
    /// # Errors
    ///
    /// As of [`readable`](Self::readable), and the errors of `code`.
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        code: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(&self.write_wait, Readiness::WRITABLE, cx, code)
    }

    fn poll_io<R>(
        &self,
        place: &PollWait,
        interest: Readiness,
        cx: &mut Context<'_>,
        mut code: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            ready!(self.poll_ready(place, interest, cx))?;
            match code(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_ready(
        &self,
        place: &PollWait,
        interest: Readiness,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // Taken out while it is polled: the clone of the waker runs user code, which may poll as well.
        let mut wait = place.take().unwrap_or_else(|| {
            Box::new(Wait {
                fd: self.fd.clone(),
                interest,
                in_flight: None,
            })
        });
        let poll = wait.poll_ready(cx);
        drop(place.replace(Some(wait)));
        poll.map_ok(drop)
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
    /// `self`, if waits are in flight, also cancelled ones whose completion is outstanding. It cancels
    /// the waits of the `poll_*` methods: a later call succeeds.
    pub fn into_inner(self) -> Result<T, Self> {
        let Self {
            read_wait,
            write_wait,
            fd,
        } = self;
        // They have handles of the descriptor.
        drop((read_wait, write_wait));
        fd.try_unwrap().map_err(|fd| Self {
            read_wait: Cell::default(),
            write_wait: Cell::default(),
            fd,
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("fd", &self.fd).finish()
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

#[cfg(feature = "futures-io")]
mod futures {
    //! The traits of `futures-io`, by calls of std's traits on ready descriptors.

    use std::{
        io::{self, IoSlice, IoSliceMut, Read, Write},
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use futures_io::{AsyncRead, AsyncWrite};

    use super::{AsFd, AsyncFd};

    /// Repeats a call that a signal has interrupted.
    fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        loop {
            match call() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    impl<T: AsFd + 'static> AsyncRead for &AsyncFd<T>
    where
        for<'a> &'a T: Read,
    {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            room: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_read_with(cx, |mut inner| uninterrupted(|| inner.read(room)))
        }

        fn poll_read_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            rooms: &mut [IoSliceMut<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_read_with(cx, |mut inner| uninterrupted(|| inner.read_vectored(rooms)))
        }
    }

    /// Each write is one call of `T`, after a wait for room.
    impl<T: AsFd + 'static> AsyncWrite for &AsyncFd<T>
    where
        for<'a> &'a T: Write,
    {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_with(cx, |mut inner| uninterrupted(|| inner.write(bytes)))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_with(cx, |mut inner| {
                uninterrupted(|| inner.write_vectored(slices))
            })
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            loop {
                // It seldom has anything to flush, and then it need not wait for room.
                match uninterrupted(|| self.get_ref().flush()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
                ready!(self.poll_write_ready(cx))?;
            }
        }

        /// Flushes.
        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    impl<T: AsFd + 'static> AsyncRead for AsyncFd<T>
    where
        for<'a> &'a T: Read,
    {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            room: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut &*self).poll_read(cx, room)
        }

        fn poll_read_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            rooms: &mut [IoSliceMut<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut &*self).poll_read_vectored(cx, rooms)
        }
    }

    /// Each write is one call of `T`, after a wait for room.
    impl<T: AsFd + 'static> AsyncWrite for AsyncFd<T>
    where
        for<'a> &'a T: Write,
    {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut &*self).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut &*self).poll_write_vectored(cx, slices)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut &*self).poll_flush(cx)
        }

        /// Flushes.
        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut &*self).poll_close(cx)
        }
    }
}
