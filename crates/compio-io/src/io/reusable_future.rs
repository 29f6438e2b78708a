//! [`ReusableFuture`]: operations that outlive the futures that wait for them. [`Reading`]
//! and [`Writing`]: a reader and a writer with one such operation each.
//!
//! ```text
//! at home --start--> in flight --poll, ready--> at home
//! ```
//!
//! An operation owns its reader or writer, and its buffer. They are at home while
//! no operation is in flight. A future that waits polls the operation from outside,
//! and can be dropped at any time. The operation stays here, and the next future
//! continues to poll it. Dropping the [`Reading`] or [`Writing`] cancels it, unless
//! its bytes have been acknowledged.
//!
//! The types of operations have no names, so they are behind a `dyn`. Hence readers
//! and writers must be `'static` here. All operations use one allocation, one after
//! the other.

use std::{
    cell::Cell,
    future::poll_fn,
    io, mem,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
};

use crate::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut},
    io::{
        AsyncRead, AsyncWrite,
        detached::{Detached, DetachedRunner, runner},
        write_zero,
    },
};

/// A place for operations that turn an `I` into an `O`.
pub(crate) struct ReusableFuture<I, O>(Box<dyn Run<I, O>>);

trait Run<I, O> {
    fn start(&mut self, input: I);
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<O>;
    /// The operation in flight, for another owner.
    fn detach(&mut self) -> Option<Detached>;
}

struct Place<M, F> {
    make: M,
    // One pinned allocation for all futures, one after the other.
    future: Pin<Box<Option<F>>>,
}

impl<I, O, M, F> Run<I, O> for Place<M, F>
where
    M: FnMut(I) -> F,
    F: Future<Output = O> + 'static,
{
    fn start(&mut self, input: I) {
        let future = (self.make)(input);
        self.future.set(Some(future));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<O> {
        let future = self.future.as_mut().as_pin_mut();
        let output = ready!(future.expect("no operation is in flight").poll(cx));
        self.future.set(None);
        Poll::Ready(output)
    }

    fn detach(&mut self) -> Option<Detached> {
        self.future.as_ref().as_pin_ref()?;
        let mut future = mem::replace(&mut self.future, Box::pin(None));
        Some(Box::pin(poll_fn(move |cx| {
            let Some(running) = future.as_mut().as_pin_mut() else {
                return Poll::Ready(());
            };
            // The output contains the writer, which is dropped here.
            ready!(running.poll(cx));
            future.set(None);
            Poll::Ready(())
        })))
    }
}

impl<I: 'static, O: 'static> ReusableFuture<I, O> {
    pub(crate) fn new<F>(make: impl FnMut(I) -> F + 'static) -> Self
    where
        F: Future<Output = O> + 'static,
    {
        Self(Box::new(Place {
            make,
            future: Box::pin(None),
        }))
    }
}

impl<I, O> ReusableFuture<I, O> {
    /// Begins an operation, and cancels the one in flight.
    pub(crate) fn start(&mut self, input: I) {
        self.0.start(input);
    }

    /// # Panics
    ///
    /// If no operation is in flight.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<O> {
        self.0.poll(cx)
    }
}

/// A reader with its buffer, and the read that is in flight with both.
pub(crate) struct Reading<R, B> {
    home: Option<(R, B)>,
    read: ReusableFuture<(R, B), (R, B, io::Result<usize>)>,
    /// Requests the end of the read in flight.
    is_cancelled: Rc<Cell<bool>>,
}

#[cfg(feature = "framed")]
impl<R: AsyncRead + 'static, B: IoBufMut> Reading<R, B> {
    pub(crate) fn new(reader: R, buf: B) -> Self {
        let read = async |(mut reader, buf): (R, B)| {
            let (buf, read) = read_behind(&mut reader, buf).await;
            (reader, buf, read)
        };
        Self {
            home: Some((reader, buf)),
            read: ReusableFuture::new(read),
            is_cancelled: Rc::default(),
        }
    }
}

impl<R: AsyncRead + 'static> Reading<R, Vec<u8>> {
    /// With reads that [`poll_cancel`](Self::poll_cancel) ends. They begin with an empty buffer.
    pub(crate) fn cancellable(reader: R) -> Self {
        let is_cancelled = Rc::<Cell<bool>>::default();
        let flag = Rc::clone(&is_cancelled);
        Self {
            home: Some((reader, Vec::new())),
            read: ReusableFuture::new(move |input| read_until_cancelled(input, Rc::clone(&flag))),
            is_cancelled,
        }
    }
}

impl<R> Reading<R, Vec<u8>> {
    /// Cancels the read in flight, and waits for its end. The buffer then contains the bytes that it has
    /// received, also if it has failed after them.
    pub(crate) fn poll_cancel(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.home.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.is_cancelled.set(true);
        let (reader, buf, read) = ready!(self.read.poll(cx));
        self.is_cancelled.set(false);
        self.home = Some((reader, buf));
        Poll::Ready(read.map(drop))
    }
}

impl<R, B> Reading<R, B> {
    /// The reader and the buffer, while no read is in flight.
    pub(crate) fn home(&self) -> Option<&(R, B)> {
        self.home.as_ref()
    }

    /// The reader and the buffer, while no read is in flight.
    pub(crate) fn home_mut(&mut self) -> Option<&mut (R, B)> {
        self.home.as_mut()
    }

    pub(crate) fn into_home(mut self) -> Result<(R, B), Self> {
        self.home.take().ok_or(self)
    }

    /// Reads behind the bytes in the buffer and returns how many bytes were
    /// added. Begins a read unless one is in flight; `prepare` makes room for it.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        prepare: impl Fn(&mut B),
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some((reader, mut buf)) = self.home.take() {
                prepare(&mut buf);
                self.read.start((reader, buf));
            }
            let (reader, buf, read) = ready!(self.read.poll(cx));
            self.home = Some((reader, buf));
            // After a cancel whose future was dropped, 0 does not mean EOF.
            if !self.is_cancelled.replace(false) || !matches!(read, Ok(0)) {
                return Poll::Ready(read);
            }
        }
    }
}

async fn read_behind<R: AsyncRead, B: IoBufMut>(
    reader: &mut R,
    mut buf: B,
) -> (B, io::Result<usize>) {
    loop {
        let len = buf.buf_len();
        let (read, window) = reader.read(buf.slice(len..)).await;
        buf = window.into_inner();
        match read {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            read => return (buf, read),
        }
    }
}

/// Reads once, or until the cancel. After a cancel it returns the bytes that the reader has kept of the
/// dropped read.
async fn read_until_cancelled<R: AsyncRead>(
    (mut reader, buf): (R, Vec<u8>),
    is_cancelled: Rc<Cell<bool>>,
) -> (R, Vec<u8>, io::Result<usize>) {
    let room = buf.capacity();
    let read = {
        let mut read = pin!(read_behind(&mut reader, buf));
        poll_fn(|cx| match read.as_mut().poll(cx) {
            Poll::Pending if is_cancelled.get() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => Poll::Ready(Some(read)),
        })
        .await
    };
    if let Some((buf, read)) = read {
        return (reader, buf, read);
    }
    let mut buf = Vec::new();
    while reader.settle().await {
        buf.reserve(room);
        let read;
        (buf, read) = read_behind(&mut reader, buf).await;
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (reader, buf, Err(error)),
        }
    }
    let len = buf.len();
    (reader, buf, Ok(len))
}

/// An operation of a writer.
enum Order<B> {
    /// With the number of bytes that were written.
    Write(B, usize),
    Flush,
    ShutDown,
}

/// The writer, its order, and the result.
type Done<W, B> = (W, Order<B>, io::Result<()>);

/// A writer, and its operation in flight.
///
/// With [`acknowledging`](Self::acknowledging) it reports bytes as written while the operation is in
/// flight. To keep that promise, its drop hands the operation to the runtime. If the operation fails or
/// is dropped later, it [aborts](AsyncWrite::abort) the writer.
pub(crate) struct Writing<W, B> {
    home: Option<W>,
    acknowledges: bool,
    /// Stays true after a poll that panicked: the operation cannot continue.
    is_polling: bool,
    operation: ReusableFuture<(W, Order<B>), Done<W, B>>,
    /// The runtime of the operation in flight.
    runner: Option<Weak<dyn DetachedRunner>>,
    // The last buffer that was written, and the number of its bytes that were written.
    spare: Option<B>,
    written: usize,
    flushed: bool,
    shut_down: bool,
}

impl<W: AsyncWrite + 'static, B: IoBuf> Writing<W, B> {
    #[cfg(feature = "framed")]
    pub(crate) fn new(writer: W) -> Self {
        Self::with(writer, ReusableFuture::new(carry_out), false)
    }

    pub(crate) fn acknowledging(writer: W) -> Self {
        Self::with(writer, ReusableFuture::new(carry_out_or_abort), true)
    }

    fn with(
        writer: W,
        operation: ReusableFuture<(W, Order<B>), Done<W, B>>,
        acknowledges: bool,
    ) -> Self {
        Self {
            home: Some(writer),
            acknowledges,
            is_polling: false,
            operation,
            runner: None,
            spare: None,
            written: 0,
            flushed: false,
            shut_down: false,
        }
    }
}

impl<W, B> Writing<W, B> {
    /// The writer, while no operation is in flight.
    pub(crate) fn home(&self) -> Option<&W> {
        self.home.as_ref()
    }

    /// The writer, while no operation is in flight.
    pub(crate) fn home_mut(&mut self) -> Option<&mut W> {
        self.home.as_mut()
    }

    pub(crate) fn into_home(mut self) -> Result<W, Self> {
        self.home.take().ok_or(self)
    }

    /// The last buffer that was written, unchanged.
    pub(crate) fn take_spare(&mut self) -> Option<B> {
        self.spare.take()
    }

    /// Keeps a buffer for the next write.
    pub(crate) fn put_spare(&mut self, buf: B) {
        self.spare = Some(buf);
    }

    /// The number of bytes of the last buffer that were written, also if the write failed.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Waits for the operation in flight, if there is one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.home.is_some() {
            return Poll::Ready(Ok(()));
        }
        self.is_polling = true;
        let done = self.operation.poll(cx);
        self.is_polling = false;
        let (writer, order, result) = ready!(done);
        self.home = Some(writer);
        match order {
            Order::Write(buf, written) => {
                self.spare = Some(buf);
                self.written = written;
            }
            Order::Flush => self.flushed = result.is_ok(),
            Order::ShutDown => self.shut_down = result.is_ok(),
        }
        Poll::Ready(result)
    }

    /// Begins to write all of `buf`. Must not be called while an operation is in flight.
    pub(crate) fn write(&mut self, buf: B) {
        (self.flushed, self.shut_down) = (false, false);
        self.start(Order::Write(buf, 0));
    }

    /// Waits for the operation in flight, then flushes unless the last operation was
    /// a flush.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll(cx))?;
            if self.flushed {
                return Poll::Ready(Ok(()));
            }
            self.start(Order::Flush);
        }
    }

    /// Waits for the operation in flight, then shuts down unless the writer is shut
    /// down already.
    pub(crate) fn poll_shut_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll(cx))?;
            if self.shut_down {
                return Poll::Ready(Ok(()));
            }
            self.start(Order::ShutDown);
        }
    }

    fn start(&mut self, order: Order<B>) {
        let writer = mem::take(&mut self.home).expect("one operation at a time");
        if self.acknowledges {
            self.runner = runner();
        }
        self.operation.start((writer, order));
    }
}

impl<W, B> Drop for Writing<W, B> {
    fn drop(&mut self) {
        if self.acknowledges
            && !self.is_polling
            && let Some(operation) = self.operation.0.detach()
            && let Some(runner) = self.runner.take().and_then(|runner| runner.upgrade())
        {
            runner.run(operation);
        }
    }
}

#[cfg(feature = "framed")]
async fn carry_out<W: AsyncWrite, B: IoBuf>((mut writer, order): (W, Order<B>)) -> Done<W, B> {
    let (order, result) = match order {
        Order::Write(buf, mut written) => {
            let (result, buf) = write_rest(&mut writer, buf, &mut written).await;
            (Order::Write(buf, written), result)
        }
        Order::Flush => (Order::Flush, writer.flush().await),
        Order::ShutDown => (Order::ShutDown, writer.shutdown().await),
    };
    (writer, order, result)
}

/// Executes an order whose bytes have been acknowledged. If it cannot finish, it aborts the writer.
async fn carry_out_or_abort<W: AsyncWrite, B: IoBuf>((writer, order): (W, Order<B>)) -> Done<W, B> {
    let mut writer = AbortOnDrop(Some(writer));
    match order {
        Order::Write(buf, mut written) => {
            // A failure at the first poll is returned to the caller instead of an acknowledgement.
            let mut is_acknowledged = false;
            let (result, buf) = {
                let mut write = pin!(write_rest(writer.get(), buf, &mut written));
                poll_fn(|cx| {
                    let poll = write.as_mut().poll(cx);
                    is_acknowledged |= poll.is_pending();
                    poll
                })
                .await
            };
            if is_acknowledged && result.is_err() {
                writer.get().abort();
            }
            (writer.into_inner(), Order::Write(buf, written), result)
        }
        Order::Flush => {
            let result = writer.get().flush().await;
            (writer.into_inner(), Order::Flush, result)
        }
        Order::ShutDown => {
            // All bytes are written: an abort could only discard them.
            let mut writer = writer.into_inner();
            let result = writer.shutdown().await;
            (writer, Order::ShutDown, result)
        }
    }
}

/// Writes the bytes behind the first `written`, and counts them.
async fn write_rest<W: AsyncWrite, B: IoBuf>(
    writer: &mut W,
    mut buf: B,
    written: &mut usize,
) -> BufResult<(), B> {
    while *written < buf.buf_len() {
        let (result, window) = writer.write(buf.slice(*written..)).await;
        buf = window.into_inner();
        match result {
            Ok(0) => return (Err(write_zero()), buf),
            Ok(len) => *written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), buf),
        }
    }
    (Ok(()), buf)
}

/// A writer whose operation must not be dropped.
struct AbortOnDrop<W: AsyncWrite>(Option<W>);

impl<W: AsyncWrite> AbortOnDrop<W> {
    fn get(&mut self) -> &mut W {
        self.0.as_mut().expect("taken at the end")
    }

    fn into_inner(mut self) -> W {
        self.0.take().expect("taken once")
    }
}

impl<W: AsyncWrite> Drop for AbortOnDrop<W> {
    fn drop(&mut self) {
        if let Some(writer) = &mut self.0 {
            writer.abort();
        }
    }
}
