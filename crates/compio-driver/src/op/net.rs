//! Transfers and connections of sockets.

use std::{io, mem::MaybeUninit, ptr};

use compio_io::buf::{BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use socket2::SockAddr;

use super::{
    buffer::{Filled, FilledVectored, Slices, readable, writable},
    flags::Flags,
};
use crate::{
    ancillary::SocketAncillary,
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Message, Net, PeerAddress, RawSlice, Request},
    sys::{self, AsRawFd, OwnedFd},
};

/// Connects a socket.
#[derive(Debug)]
pub struct Connect<F = SharedFd> {
    fd: F,
    address: SockAddr,
}

impl<F> Connect<F> {
    /// Connects `fd` to `address`.
    pub fn new(fd: F, address: SockAddr) -> Self {
        Self { fd, address }
    }
}

// SAFETY: the request points to the address in the operation.
unsafe impl<F: AsRawFd + 'static> Operation for Connect<F> {
    type Output = io::Result<()>;
    describe!(Connect, fd);

    fn request(&mut self) -> Request {
        Request::Net(Net::Connect {
            fd: self.fd.as_raw_fd(),
            address: self.address.as_ptr(),
            len: self.address.len() as _,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Connect<F> {}

/// Accepts a connection. Its socket is closed on exec.
#[derive(Debug)]
pub struct Accept<F = SharedFd> {
    fd: F,
    peer: PeerAddress,
}

impl<F> Accept<F> {
    /// Accepts from the listening socket `fd`.
    pub fn new(fd: F) -> Self {
        Self {
            fd,
            peer: PeerAddress::new(),
        }
    }
}

// SAFETY: the request points into the operation.
unsafe impl<F: AsRawFd + 'static> Operation for Accept<F> {
    type Output = io::Result<(OwnedFd, SockAddr)>;
    describe!(Accept, fd);

    fn request(&mut self) -> Request {
        Request::Net(Net::Accept {
            fd: self.fd.as_raw_fd(),
            peer: &raw mut self.peer,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(|fd| (own(fd), self.peer.to_sock_addr()))
    }

    #[cfg(feature = "sim")]
    unsafe fn on_orphaned(self, answer: io::Result<usize>) {
        // SAFETY: passed on from this function.
        drop(unsafe { self.finish(answer) }.map(|(fd, _)| crate::fd::LooseFd::from(fd)));
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Accept<F> {}

/// Receives into a buffer, from its start over its whole capacity.
#[derive(Debug)]
pub struct Recv<B, F = SharedFd> {
    pub(crate) fd: F,
    buffer: B,
    flags: Flags,
}

impl<B: IoBufMut, F> Recv<B, F> {
    /// Receives with the system's `MSG_` flags, of which `MSG_TRUNC` has no effect.
    pub fn new(fd: F, buffer: B, flags: i32) -> Self {
        let flags = Flags::of_receive(flags);
        Self { fd, buffer, flags }
    }
}

// SAFETY: the request points to the buffer, which is owned.
unsafe impl<B: IoBufMut, F: AsRawFd + 'static> Operation for Recv<B, F> {
    type Output = BufResult<usize, B>;
    describe!(Recv, fd);

    fn request(&mut self) -> Request {
        let span = writable(&mut self.buffer);
        let fd = self.fd.as_raw_fd();
        self.flags
            .apply(|flags| Request::Net(Net::Recv { fd, span, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let mut buffer = self.buffer;
        if let Ok(len) = answer {
            // SAFETY: the kernel has written that many bytes.
            unsafe { buffer.set_init(len) };
        }
        (answer, buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBufMut, F: OwnsFd> Owned for Recv<B, F> {}

impl<B, F> IntoInner for Recv<B, F> {
    type Inner = Filled<B>;

    fn into_inner(self) -> Filled<B> {
        Filled(self.buffer)
    }
}

/// Sends the initialised part of a buffer.
#[derive(Debug)]
pub struct Send<B, F = SharedFd> {
    fd: F,
    buffer: B,
    flags: Flags,
}

impl<B: IoBuf, F> Send<B, F> {
    /// Sends with the system's `MSG_` flags. A closed peer is an error, never a signal.
    pub fn new(fd: F, buffer: B, flags: i32) -> Self {
        let flags = Flags::of_send(flags);
        Self { fd, buffer, flags }
    }
}

// SAFETY: the request points to the buffer, which is owned.
unsafe impl<B: IoBuf, F: AsRawFd + 'static> Operation for Send<B, F> {
    type Output = BufResult<usize, B>;
    describe!(Send, fd);

    fn request(&mut self) -> Request {
        let span = readable(&self.buffer);
        let fd = self.fd.as_raw_fd();
        self.flags
            .apply(|flags| Request::Net(Net::Send { fd, span, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBuf, F: OwnsFd> Owned for Send<B, F> {}

impl<B, F> IntoInner for Send<B, F> {
    type Inner = B;

    fn into_inner(self) -> B {
        self.buffer
    }
}

/// Receives a datagram and its sender's address.
#[derive(Debug)]
pub struct RecvFrom<B, F = SharedFd> {
    pub(crate) fd: F,
    buffer: B,
    flags: Flags,
    slice: RawSlice,
    message: Message,
}

impl<B: IoBufMut, F> RecvFrom<B, F> {
    /// Receives with the system's `MSG_` flags, of which `MSG_TRUNC` has no effect. The part of the
    /// datagram that does not fit into the buffer is lost.
    pub fn new(fd: F, buffer: B, flags: i32) -> Self {
        Self {
            fd,
            buffer,
            flags: Flags::of_receive(flags),
            slice: RawSlice::new(ptr::null_mut(), 0),
            message: Message::new(),
        }
    }
}

// SAFETY: the request points to message and slice in the operation, and they point to the buffer,
// which is owned.
unsafe impl<B: IoBufMut, F: AsRawFd + 'static> Operation for RecvFrom<B, F> {
    describe!(Recv, fd);
    /// Bytes received, and the sender's address if the socket's type has any.
    type Output = BufResult<(usize, Option<SockAddr>), B>;

    fn request(&mut self) -> Request {
        self.slice = writable(&mut self.buffer).into();
        self.message.request_address();
        self.message.point_at(&raw const self.slice, 1);
        let message = &raw mut self.message;
        let fd = self.fd.as_raw_fd();
        self.flags
            .apply(|flags| Request::Net(Net::RecvMsg { fd, message, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let mut buffer = self.buffer;
        let received = answer.map(|len| {
            // SAFETY: the kernel has written that many bytes.
            unsafe { buffer.set_init(len) };
            (len, self.message.address())
        });
        (received, buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBufMut, F: OwnsFd> Owned for RecvFrom<B, F> {}

/// Without the sender's address: [`Operation::finish`] returns it as well.
impl<B, F> IntoInner for RecvFrom<B, F> {
    type Inner = Filled<B>;

    fn into_inner(self) -> Filled<B> {
        Filled(self.buffer)
    }
}

/// Sends a datagram to an address.
#[derive(Debug)]
pub struct SendTo<B, F = SharedFd> {
    fd: F,
    buffer: B,
    flags: Flags,
    slice: RawSlice,
    message: Message,
}

impl<B: IoBuf, F> SendTo<B, F> {
    /// Sends with the system's `MSG_` flags.
    pub fn new(fd: F, buffer: B, address: SockAddr, flags: i32) -> Self {
        let mut message = Message::new();
        message.set_address(&address);
        Self {
            fd,
            buffer,
            flags: Flags::of_send(flags),
            slice: RawSlice::new(ptr::null_mut(), 0),
            message,
        }
    }
}

// SAFETY: as for `RecvFrom`; the kernel only reads.
unsafe impl<B: IoBuf, F: AsRawFd + 'static> Operation for SendTo<B, F> {
    type Output = BufResult<usize, B>;
    describe!(Send, fd);

    fn request(&mut self) -> Request {
        self.slice = readable(&self.buffer).into();
        self.message.point_at(&raw const self.slice, 1);
        let message = &raw const self.message;
        let fd = self.fd.as_raw_fd();
        self.flags
            .apply(|flags| Request::Net(Net::SendMsg { fd, message, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBuf, F: OwnsFd> Owned for SendTo<B, F> {}

impl<B, F> IntoInner for SendTo<B, F> {
    type Inner = B;

    fn into_inner(self) -> B {
        self.buffer
    }
}

/// The lengths, address and flags of a [`RecvMsg`].
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Bytes received.
    pub len: usize,
    /// Bytes of ancillary data received.
    pub control_len: usize,
    /// The sender's address, if the socket's type has any.
    pub address: Option<SockAddr>,
    /// The system's `MSG_` flags, for instance `MSG_TRUNC` for a truncated message.
    pub flags: i32,
}

/// Receives into several buffers, with ancillary data and the sender's address.
#[derive(Debug)]
pub struct RecvMsg<V, C = [u8; 0], F = SharedFd> {
    pub(crate) fd: F,
    buffers: V,
    control: C,
    flags: Flags,
    slices: Slices,
    message: Message,
}

impl<V: IoVectoredBufMut, C: IoBufMut, F> RecvMsg<V, C, F> {
    /// Receives with the system's `MSG_` flags, of which `MSG_TRUNC` has no effect:
    /// [`Received::flags`] reports a truncation. Ancillary data is written to `control`.
    /// Descriptors in it are closed on exec. The caller has to close them, also if the future is dropped.
    /// [`RecvAncillary`] owns them instead.
    pub fn new(fd: F, buffers: V, control: C, flags: i32) -> Self {
        Self {
            fd,
            buffers,
            control,
            flags: Flags::of_receive(flags),
            slices: Slices::new(),
            message: Message::new(),
        }
    }
}

// SAFETY: the request points to message and slices in the operation, and they point to the buffers and
// the control buffer, which are owned.
unsafe impl<V, C, F> Operation for RecvMsg<V, C, F>
where
    V: IoVectoredBufMut,
    C: IoBufMut,
    F: AsRawFd + 'static,
{
    type Output = BufResult<Received, (V, C)>;
    describe!(Recv, fd);

    fn request(&mut self) -> Request {
        let spans = self.slices.writable(&self.fd, &mut self.buffers);
        let initialised = self.control.buf_len();
        // SAFETY: only initialised bytes are written to it.
        let room = unsafe { self.control.as_uninit() };
        // The kernel counts the padding between two pieces, but does not write it.
        room[initialised..].fill(MaybeUninit::new(0));
        let control = writable(&mut self.control);
        self.message.request_address();
        self.message
            .set_control(control.start, control.len as usize);
        self.message.point_at(spans.first, spans.count as usize);
        let message = &raw mut self.message;
        let fd = self.fd.as_raw_fd();
        self.flags
            .apply(|flags| Request::Net(Net::RecvMsg { fd, message, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let (mut buffers, mut control) = (self.buffers, self.control);
        let received = answer.map(|len| {
            let control_len = self.message.control_len();
            // SAFETY: the kernel has written that many bytes to each.
            unsafe {
                buffers.set_init(len);
                control.set_init(control_len);
            }
            Received {
                len,
                control_len,
                address: self.message.address(),
                flags: self.message.flags(),
            }
        });
        (received, (buffers, control))
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<V: IoVectoredBufMut, C: IoBufMut, F: OwnsFd> Owned for RecvMsg<V, C, F> {}

/// The buffers, and the buffer of the ancillary data. [`Operation::finish`] also returns the address, the
/// flags and the length of the ancillary data.
impl<V, C, F> IntoInner for RecvMsg<V, C, F> {
    type Inner = (FilledVectored<V>, Filled<C>);

    fn into_inner(self) -> Self::Inner {
        (FilledVectored(self.buffers), Filled(self.control))
    }
}

/// Receives into several buffers, with parsed ancillary data and the sender's address. Received descriptors
/// that are not taken are closed.
#[derive(Debug)]
pub struct RecvAncillary<V, F = SharedFd>(pub(crate) RecvMsg<V, Vec<u8>, F>);

impl<V: IoVectoredBufMut, F> RecvAncillary<V, F> {
    /// Receives with the system's `MSG_` flags, of which `MSG_TRUNC` has no effect. Drops the content of
    /// `ancillary`, and receives at most its capacity.
    pub fn new(fd: F, buffers: V, ancillary: SocketAncillary, flags: i32) -> Self {
        Self(RecvMsg::new(fd, buffers, ancillary.into_room(), flags))
    }
}

// SAFETY: the request comes from the inner operation, which does not move in here.
unsafe impl<V: IoVectoredBufMut, F: OwnsFd> Operation for RecvAncillary<V, F> {
    type Output = BufResult<Received, (V, SocketAncillary)>;

    describe_as_inner!(RecvMsg<V, Vec<u8>, F>, 0);

    fn request(&mut self) -> Request {
        self.0.request()
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        // SAFETY: passed on from this function.
        let (received, (buffers, control)) = unsafe { self.0.finish(answer) };
        let ancillary = match &received {
            Ok(received) => {
                let is_truncated = received.flags & sys::MSG_CTRUNC != 0;
                // SAFETY: the kernel has just written it for this receive.
                unsafe { SocketAncillary::adopt(control, is_truncated) }
            }
            Err(_) => SocketAncillary::with_capacity(control.capacity()),
        };
        (received, (buffers, ancillary))
    }
}

// SAFETY: the inner `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<V: IoVectoredBufMut, F: OwnsFd> Owned for RecvAncillary<V, F> {}

/// Ancillary data that names only descriptors that it owns.
///
/// An fd in a message of type `SCM_RIGHTS` may belong to other code, which may close it while the message
/// waits; the fd may then be reused. [`SocketAncillary`] owns the descriptors that it names.
///
/// # Safety
///
/// Each descriptor that the bytes name stays open until the value is dropped.
pub unsafe trait OwnsDescriptors: IoBuf {}

// SAFETY: it names no descriptors.
unsafe impl OwnsDescriptors for [u8; 0] {}
// SAFETY: it owns its descriptors, and refuses others.
unsafe impl OwnsDescriptors for SocketAncillary {}

/// Sends several buffers as one message, with ancillary data.
///
/// Raw bytes of ancillary data might name a descriptor of other code. They need
/// [`from_raw_control`](Self::from_raw_control), which is unsafe:
///
/// ```compile_fail,E0277
/// # fn send(fd: compio::driver::SharedFd) {
/// compio::op::SendMsg::new(fd, ["hello"], vec![0_u8; 24], None, 0);
/// # }
/// ```
#[derive(Debug)]
pub struct SendMsg<V, C = [u8; 0], F = SharedFd> {
    fd: F,
    buffers: V,
    control: C,
    address: Option<SockAddr>,
    flags: Flags,
    slices: Slices,
    message: Message,
}

impl<V: IoVectoredBuf, C: OwnsDescriptors, F> SendMsg<V, C, F> {
    /// Sends with the system's `MSG_` flags and the ancillary data in `control`, to `address` or
    /// to the connected peer.
    pub fn new(fd: F, buffers: V, control: C, address: Option<SockAddr>, flags: i32) -> Self {
        // SAFETY: by the contract of `OwnsDescriptors`.
        unsafe { Self::from_raw_control(fd, buffers, control, address, flags) }
    }
}

impl<V: IoVectoredBuf, C: IoBuf, F> SendMsg<V, C, F> {
    /// As [`new`](Self::new), with ancillary data in the system's own layout.
    ///
    /// # Safety
    ///
    /// Each descriptor that `control` names stays open until the operation is over or dropped, and may be
    /// sent.
    pub unsafe fn from_raw_control(
        fd: F,
        buffers: V,
        control: C,
        address: Option<SockAddr>,
        flags: i32,
    ) -> Self {
        Self {
            fd,
            buffers,
            control,
            address,
            flags: Flags::of_send(flags),
            slices: Slices::new(),
            message: Message::new(),
        }
    }
}

// SAFETY: as for `RecvMsg`; the kernel only reads.
unsafe impl<V, C, F> Operation for SendMsg<V, C, F>
where
    V: IoVectoredBuf,
    C: IoBuf,
    F: AsRawFd + 'static,
{
    type Output = BufResult<usize, (V, C)>;
    describe!(Send, fd);

    fn request(&mut self) -> Request {
        let spans = self.slices.readable(&self.fd, &self.buffers);
        let control = readable(&self.control);
        if let Some(address) = &self.address {
            self.message.set_address(address);
        }
        self.message
            .set_control(control.start, control.len as usize);
        self.message.point_at(spans.first, spans.count as usize);
        let message = &raw const self.message;
        let fd = self.fd.as_raw_fd();
        self.flags
            .apply(|flags| Request::Net(Net::SendMsg { fd, message, flags }))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, (self.buffers, self.control))
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<V: IoVectoredBuf, C: IoBuf, F: OwnsFd> Owned for SendMsg<V, C, F> {}

/// The buffers, and the ancillary data.
impl<V, C, F> IntoInner for SendMsg<V, C, F> {
    type Inner = (V, C);

    fn into_inner(self) -> (V, C) {
        (self.buffers, self.control)
    }
}

pub(super) fn own(fd: usize) -> OwnedFd {
    // SAFETY: the result is a new descriptor, which has no other owner.
    unsafe { sys::socket_from_raw(fd) }
}
