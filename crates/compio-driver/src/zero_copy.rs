//! Zero-copy sends: of a buffer, of a datagram to an address, of several buffers. A send whose buffers the
//! kernel cannot use in place is repeated as an ordinary send.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use compio_io::buf::{BufResult, IoBuf, IoVectoredBuf};
use socket2::SockAddr;

use crate::{
    driver::{Core, Driver},
    fd::SharedFd,
    multishot::{Ending, Next, SubmitMulti},
    op::{
        Send, SendMsg, SendTo,
        multishot::{SendZeroCopy, ZeroCopySend},
    },
    stream::is_out_of_buffers,
    sys::{self, AsRawFd, RawFd},
};

impl Driver {
    /// Sends the initialised part of a buffer without copying it, if the kernel supports that. The
    /// kernel uses the buffer longer than the send takes, so the result is returned first and the
    /// buffer later. `flags` are the system's `MSG_` flags.
    ///
    /// It is worthwhile for large buffers only, and never on loopback.
    pub fn send_zero_copy<B: IoBuf>(
        &self,
        fd: SharedFd,
        buffer: B,
        flags: i32,
    ) -> SendZeroCopyFuture<B> {
        let send = Send::new(fd.as_raw_fd(), buffer, flags);
        SendZeroCopyFuture(Sending::new(self.share(), fd, send))
    }

    /// Sends a datagram to an address, as [`send_zero_copy`](Self::send_zero_copy).
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not. The buffer is dropped when the kernel no longer uses it.
    pub fn send_to_zero_copy<B: IoBuf>(
        &self,
        fd: SharedFd,
        buffer: B,
        address: SockAddr,
        flags: i32,
    ) -> impl Future<Output = BufResult<usize, Loan<B>>> + Unpin + use<B> {
        let send = SendTo::new(fd.as_raw_fd(), buffer, address, flags);
        Sending::new(self.share(), fd, send)
    }

    /// Sends several buffers as one message, or one after the other to a stream, as
    /// [`send_zero_copy`](Self::send_zero_copy): to `address`, or to the connected peer. A stream takes the
    /// first 1,024 buffers; a longer datagram fails with EMSGSIZE.
    ///
    /// # Cancellation
    ///
    /// A part may have been sent, or a datagram as a whole. The buffers are dropped when the kernel no
    /// longer uses them.
    pub fn send_msg_zero_copy<V: IoVectoredBuf>(
        &self,
        fd: SharedFd,
        buffers: V,
        address: Option<SockAddr>,
        flags: i32,
    ) -> impl Future<Output = BufResult<usize, Loan<V>>> + Unpin + use<V> {
        let send = SendMsg::new(fd.as_raw_fd(), buffers, [0; 0], address, flags);
        Sending::new(self.share(), fd, send)
    }
}

/// A send that avoids the copy if the kernel can. Made by
/// [`Driver::send_zero_copy`](crate::Driver::send_zero_copy). Its output is the number of bytes sent, and the
/// buffer as a [`Loan`], until the kernel no longer uses it.
///
/// # Cancellation
///
/// As for [`Send`]: a part may have been sent. The buffer is dropped when the kernel no longer uses it,
/// which may be when the peer has read the data, or is gone.
pub struct SendZeroCopyFuture<B: IoBuf>(Sending<Send<B, RawFd>>);

impl<B: IoBuf> Future for SendZeroCopyFuture<B> {
    type Output = (io::Result<usize>, Loan<B>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<B: IoBuf> fmt::Debug for SendZeroCopyFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendZeroCopyFuture")
    }
}

/// The send `S` without a copy if possible.
struct Sending<S: ZeroCopySend> {
    driver: Rc<Core>,
    fd: SharedFd,
    stage: Stage,
    /// `None` once the result was returned.
    send: Option<SubmitMulti<SendZeroCopy<S>>>,
}

/// ```text
/// Lending ──error──> Refused ──notification──> Copying
///    └─────────error that is the end─────────────^
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The zero-copy send has no result yet.
    Lending,
    /// The kernel cannot send these buffers without a copy, and is about to release them.
    Refused,
    /// The ordinary send.
    Copying,
}

impl<S: ZeroCopySend> Sending<S> {
    /// `send` uses the number of `fd`.
    fn new(driver: Rc<Core>, fd: SharedFd, send: S) -> Self {
        let stage = if S::is_supported(driver.capabilities()) {
            Stage::Lending
        } else {
            Stage::Copying
        };
        let mut this = Self {
            driver,
            fd,
            stage,
            send: None,
        };
        this.begin(send, stage);
        this
    }

    fn begin(&mut self, send: S, stage: Stage) {
        let send = SendZeroCopy::new(self.fd.clone(), send, stage == Stage::Copying);
        self.send = Some(SubmitMulti::new(Rc::clone(&self.driver), send));
        self.stage = stage;
    }
}

impl<S: ZeroCopySend> Future for Sending<S> {
    type Output = BufResult<usize, Loan<S::Buffers>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let send = self.send.as_mut().expect("polled after completion");
            match ready!(send.poll_next(cx)) {
                Next::Item(Err(error)) if wants_a_copy(&error) => self.stage = Stage::Refused,
                Next::Item(sent) => {
                    let send = self.send.take().expect("it has just been polled");
                    return Poll::Ready((sent, Loan(Lent::Out(send.into_ending()))));
                }
                Next::End((sent, send)) => {
                    let is_refused = match self.stage {
                        Stage::Lending => sent.as_ref().is_err_and(wants_a_copy),
                        Stage::Refused => true,
                        Stage::Copying => false,
                    };
                    if is_refused {
                        self.begin(send, Stage::Copying);
                        continue;
                    }
                    self.send = None;
                    return Poll::Ready((sent, send.into_buffers().into()));
                }
            }
        }
    }
}

/// Whether the send failed, with nothing sent, and has to be repeated as a copying send:
///
/// - The socket's type does not support zero-copy, or too much memory is locked already.
/// - EMSGSIZE: a packet has room for the pages of about 17 buffers (`MAX_SKB_FRAGS` of Linux), if they are
///   not copied. A datagram that is too long fails again.
fn wants_a_copy(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::OutOfMemory];
    kinds.contains(&error.kind())
        || is_out_of_buffers(error)
        || error.raw_os_error() == Some(sys::EMSGSIZE)
}

/// A buffer, or several, that the kernel still reads. Awaiting it returns them, at the latest when the peer
/// has acknowledged or read all data that was sent from them, or is gone.
///
/// If the driver is dropped before, it waits for this, at most for its shutdown timeout, and then leaks
/// the buffers.
///
/// # Cancellation
///
/// Dropping it drops the buffers, as soon as the kernel no longer uses them.
#[must_use = "dropping it drops the buffer"]
pub struct Loan<B>(Lent<B>);

enum Lent<B> {
    Out(Ending<B>),
    Back(Option<B>),
}

/// A loan that has ended.
impl<B> From<B> for Loan<B> {
    fn from(buffers: B) -> Self {
        Self(Lent::Back(Some(buffers)))
    }
}

/// The operation is in its cell: nothing in here is pinned.
impl<B> Unpin for Loan<B> {}

impl<B> Future for Loan<B> {
    type Output = B;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B> {
        match &mut self.0 {
            Lent::Back(buffers) => Poll::Ready(buffers.take().expect("polled after completion")),
            Lent::Out(ending) => ending.poll(cx),
        }
    }
}

impl<B> fmt::Debug for Loan<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loan")
    }
}
