//! The types that a socket's request points to: a slice of memory, a message header, room for
//! an address. They live in operations, beside the buffers, and the kernel fills them in.

use std::{fmt, io, mem, ptr};

use socket2::{SockAddr, SockRef};
use windows_sys::{
    Win32::Networking::WinSock::{
        SIO_UDP_CONNRESET, SIO_UDP_NETRESET, SO_TYPE, SOCK_STREAM, SOCKADDR, SOCKADDR_STORAGE,
        SOCKET, SOL_SOCKET, WSABUF, WSAIoctl, WSAMSG, getpeername, getsockopt, setsockopt,
    },
    core::BOOL,
};

use super::{
    fake::{self, Call},
    fd::{AsRawFd, BorrowedFd, RawFd},
    syscall::{as_socket, done},
};
use crate::{
    credentials::UCred,
    request::{RawResult, TRANSFER_MAX},
};

/// The number of buffers that the system refuses: no limit is known.
pub(crate) const SLICES_REFUSED: usize = usize::MAX;

/// Whether each transfer is a message: true for sockets other than streams.
pub(crate) fn has_messages(fd: RawFd) -> bool {
    let RawFd::Socket(socket) = fd else {
        return false;
    };
    let mut kind = 0;
    let mut len = size_of_val(&kind) as i32;
    // SAFETY: the value has the length passed, and both outlive the call.
    let result = unsafe {
        getsockopt(
            socket as SOCKET,
            SOL_SOCKET,
            SO_TYPE,
            ptr::from_mut(&mut kind).cast(),
            &mut len,
        )
    };
    result == 0 && kind != SOCK_STREAM
}

/// A part of memory that the kernel may read or write: `WSABUF` by another name.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct RawSlice(WSABUF);

impl RawSlice {
    /// `len` bytes from `start`, and at most [`TRANSFER_MAX`].
    pub fn new(start: *mut u8, len: usize) -> Self {
        Self(WSABUF {
            len: len.min(TRANSFER_MAX) as u32,
            buf: start,
        })
    }

    /// Where the slice begins.
    pub fn start(&self) -> *mut u8 {
        self.0.buf
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    /// For the calls that take a list.
    pub(crate) fn as_wsabufs(first: *const Self) -> *const WSABUF {
        first.cast()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for RawSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The header of a datagram or message: the peer's address and ancillary data.
///
/// Lives inside the operation, which asks the kernel to read or fill it by a
/// [`Net::RecvMsg`](crate::request::Net::RecvMsg) or
/// [`Net::SendMsg`](crate::request::Net::SendMsg).
pub struct Message {
    header: WSAMSG,
    address: SOCKADDR_STORAGE,
    /// A buffer with no bytes.
    nothing: WSABUF,
}

impl Message {
    /// A message with neither address nor ancillary data.
    pub fn new() -> Self {
        // SAFETY: all are plain C structs for which all zeroes mean "nothing".
        unsafe { mem::zeroed() }
    }

    /// Sets the receiver of a message to send.
    pub fn set_address(&mut self, address: &SockAddr) {
        let len = (address.len() as usize).min(mem::size_of_val(&self.address));
        // SAFETY: both sides are at least `len` bytes long and do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(
                address.as_ptr().cast::<u8>(),
                (&raw mut self.address).cast::<u8>(),
                len,
            );
        }
        self.header.namelen = len as i32;
    }

    /// Requests the sender's address of a message to receive.
    pub fn request_address(&mut self) {
        self.header.namelen = mem::size_of_val(&self.address) as i32;
    }

    /// Sets the memory that holds, or receives, the ancillary data.
    pub fn set_control(&mut self, start: *mut u8, len: usize) {
        self.header.Control = RawSlice::new(start, len).0;
    }

    /// Sets the buffers, and completes the pointers into this message itself. It must be the last call,
    /// at the message's final address.
    pub fn point_at(&mut self, slices: *const RawSlice, count: usize) {
        // `RawSlice` is a `WSABUF`. No call is known to take an empty list.
        self.header.lpBuffers = match count {
            0 => &raw mut self.nothing,
            _ => slices.cast_mut().cast(),
        };
        self.header.dwBufferCount = count.max(1) as u32;
        self.header.name = if self.header.namelen == 0 {
            ptr::null_mut()
        } else {
            (&raw mut self.address).cast()
        };
    }

    /// For the calls that take one.
    ///
    /// # Safety
    ///
    /// The message is valid.
    pub(crate) unsafe fn as_wsamsg(this: *mut Self) -> *mut WSAMSG {
        // SAFETY: by this function's contract.
        unsafe { &raw mut (*this).header }
    }

    /// The address that a receive wrote, if it wrote any.
    pub fn address(&self) -> Option<SockAddr> {
        let len = usize::try_from(self.header.namelen).ok()?;
        if len == 0 || len > mem::size_of_val(&self.address) {
            return None;
        }
        Some(to_sock_addr(&self.address, len))
    }

    /// How many bytes of ancillary data a receive wrote.
    pub fn control_len(&self) -> usize {
        self.header.Control.len as usize
    }

    /// The flags that a receive reported, such as `MSG_TRUNC`.
    pub fn flags(&self) -> i32 {
        self.header.dwFlags as i32
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("address", &self.address())
            .field("control_len", &self.control_len())
            .field("flags", &self.flags())
            .finish_non_exhaustive()
    }
}

/// Room for the address that an accept reports.
pub struct PeerAddress {
    storage: SOCKADDR_STORAGE,
    len: i32,
}

impl PeerAddress {
    /// Room, with no address in it yet.
    pub fn new() -> Self {
        Self {
            // SAFETY: a plain C struct for which all zeroes mean "no address".
            storage: unsafe { mem::zeroed() },
            len: mem::size_of::<SOCKADDR_STORAGE>() as i32,
        }
    }

    /// Takes the address that an accept has reported.
    ///
    /// # Safety
    ///
    /// `this` is valid, and there are `len` bytes at `address`.
    pub(crate) unsafe fn fill(this: *mut Self, address: *const SOCKADDR, len: i32) {
        // SAFETY: by this function's contract; `len` is at most the size of the room.
        unsafe {
            let room = mem::size_of_val(&(*this).storage);
            let len = usize::try_from(len).unwrap_or(0).min(room);
            ptr::copy_nonoverlapping(
                address.cast::<u8>(),
                (&raw mut (*this).storage).cast::<u8>(),
                len,
            );
            (*this).len = len as i32;
        }
    }

    /// The address that was written.
    pub fn to_sock_addr(&self) -> SockAddr {
        let len = usize::try_from(self.len).unwrap_or(0);
        to_sock_addr(&self.storage, len.min(mem::size_of_val(&self.storage)))
    }
}

impl Default for PeerAddress {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_sock_addr().fmt(f)
    }
}

/// The first `len` bytes of `address`.
fn to_sock_addr(address: &SOCKADDR_STORAGE, len: usize) -> SockAddr {
    let mut storage = socket2::SockAddrStorage::zeroed();
    assert!(len <= mem::size_of_val(address) && len <= mem::size_of_val(&storage));
    // SAFETY: both sides are at least `len` bytes long and do not overlap. Storage without an address
    // of the kernel is all zeroes, which is an address of no known family.
    unsafe {
        ptr::copy_nonoverlapping(
            (&raw const *address).cast::<u8>(),
            (&raw mut storage).cast::<u8>(),
            len,
        );
        SockAddr::new(storage, len as _)
    }
}

/// Unsupported: there are no Unix sockets.
pub(crate) fn peer_credentials(_: BorrowedFd<'_>) -> io::Result<UCred> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The descriptor as a socket, if it is one.
pub(crate) fn as_sock_ref<'a>(fd: &'a BorrowedFd<'_>) -> Option<SockRef<'a>> {
    match fd {
        BorrowedFd::Handle(_) => None,
        BorrowedFd::Socket(socket) => Some(SockRef::from(socket)),
    }
}

/// Sets an integer option of a socket.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: i32,
) -> io::Result<()> {
    let set = set_socket_option(as_socket(socket.as_raw_fd()), level, name, value);
    set.map(drop).map_err(io::Error::from_raw_os_error)
}

/// As [`set_option`].
pub(crate) fn set_socket_option(socket: SOCKET, level: i32, name: i32, value: i32) -> RawResult {
    if let Some(answer) = fake::answer(Call::SetOption { level, name, value }) {
        return answer;
    }
    let value = value.to_ne_bytes();
    // SAFETY: the value has the length passed, and outlives the call.
    done(unsafe { setsockopt(socket, level, name, value.as_ptr(), value.len() as i32) } == 0)
}

/// The argument of `listen` for so many waiting connections. The system may cut plain numbers above 200. It takes
/// larger ones, up to 65,535, as negative numbers: `SOMAXCONN_HINT` of C.
pub(crate) fn backlog(count: i32) -> i32 {
    match count {
        ..=200 => count,
        201.. => -count.min(65_535),
    }
}

/// Makes a datagram socket without a peer like one of unix: its receives do not fail because an earlier
/// send could not be delivered. By default, each ICMP message "port unreachable" fails one receive with
/// WSAECONNRESET, and "time exceeded" with WSAENETRESET.
pub(crate) fn silence_unreachable(socket: BorrowedFd<'_>) {
    let socket = as_socket(socket.as_raw_fd());
    if !is_connected(socket) {
        report_unreachable(socket, false);
    }
}

/// Sets whether receives of a datagram socket fail because an earlier send could not be delivered.
pub(crate) fn report_unreachable(socket: SOCKET, on: bool) {
    for code in [SIO_UDP_CONNRESET, SIO_UDP_NETRESET] {
        // Best effort: a provider other than UDP refuses it, and so does Wine 8 the second one.
        let _ = set_flag(socket, code, on);
    }
}

fn set_flag(socket: SOCKET, code: u32, on: bool) -> RawResult {
    if let Some(answer) = fake::answer(Call::SetFlag { code, on }) {
        return answer;
    }
    let value = BOOL::from(on);
    let mut len = 0;
    // SAFETY: the value has the length passed; all pointers outlive the call, which is not overlapped.
    let returned = unsafe {
        WSAIoctl(
            socket,
            code,
            (&raw const value).cast(),
            size_of_val(&value) as u32,
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            None,
        )
    };
    done(returned == 0)
}

/// Whether the socket has a peer.
pub(crate) fn is_connected(socket: SOCKET) -> bool {
    // SAFETY: all zeroes are a value of this plain C struct, which outlives the call.
    unsafe {
        let mut address: SOCKADDR_STORAGE = mem::zeroed();
        let mut len = size_of_val(&address) as i32;
        getpeername(socket, (&raw mut address).cast(), &mut len) == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
