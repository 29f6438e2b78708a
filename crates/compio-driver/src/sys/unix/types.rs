//! Unix types that requests point to: a slice of memory, a message header, a file's attributes. They
//! are part of operations, beside the buffers, and kernels fill them in.

use std::{
    ffi::{CString, c_char, c_int},
    fmt,
    fs::File,
    mem::{self, ManuallyDrop},
    ptr,
};

use socket2::SockAddr;

pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A path for system calls, with a NUL at its end.
pub type NativePath = CString;

/// The attributes of a file for direct I/O, `None` where the system does not report them.
#[derive(Debug, Default)]
pub(crate) struct DirectAttributes {
    /// Of addresses, and of offsets and lengths. Zeros if the file has no direct I/O.
    pub(crate) alignment: Option<(u32, u32)>,
    /// The smallest and the largest length of an atomic write.
    pub(crate) atomic_unit: Option<(u32, u32)>,
}

/// The units of a [`NativePath`].
pub type PathUnit = c_char;

/// The flags of an open: the system's `O_` flags.
pub type OpenFlags = c_int;

/// Takes the descriptor in the result of a request.
///
/// # Safety
///
/// The descriptor is new, and has no other owner.
pub(crate) unsafe fn own(answer: usize) -> OwnedFd {
    // SAFETY: by this function's contract.
    unsafe { OwnedFd::from_raw_fd(answer as RawFd) }
}

/// Borrows a descriptor as a file of std, which does not close it.
///
/// # Safety
///
/// It stays open for as long as the file lives.
pub(crate) unsafe fn borrow_as_file(fd: RawFd) -> ManuallyDrop<File> {
    // SAFETY: by this function's contract; a file that is never dropped needs no ownership.
    ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

/// A part of memory that the kernel may read or write, with the layout of `iovec`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct RawSlice(libc::iovec);

impl RawSlice {
    /// `len` bytes from `start`.
    pub fn new(start: *mut u8, len: usize) -> Self {
        Self(libc::iovec {
            iov_base: start.cast(),
            iov_len: len,
        })
    }

    /// The address of the first byte.
    pub fn start(&self) -> *mut u8 {
        self.0.iov_base.cast()
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.iov_len
    }

    /// Whether the slice is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_iovec(slices: *const Self) -> *const libc::iovec {
        slices.cast()
    }
}

impl fmt::Debug for RawSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The header of a datagram or message: the peer's address and ancillary data.
///
/// It is part of the operation, which passes it to the kernel by a
/// [`Net::RecvMsg`](crate::request::Net::RecvMsg) or [`Net::SendMsg`](crate::request::Net::SendMsg).
pub struct Message {
    header: libc::msghdr,
    address: libc::sockaddr_storage,
}

impl Message {
    /// A message with neither address nor ancillary data.
    pub fn new() -> Self {
        // SAFETY: both are plain C structs for which all zeroes are valid and mean "empty".
        unsafe { mem::zeroed() }
    }

    /// Sets the receiver of a message to be sent.
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
        self.header.msg_namelen = len as _;
    }

    /// Requests the sender's address of a message to be received.
    pub fn request_address(&mut self) {
        self.header.msg_namelen = mem::size_of_val(&self.address) as _;
    }

    /// Sets the memory of the ancillary data to be sent or received.
    pub fn set_control(&mut self, start: *mut u8, len: usize) {
        self.header.msg_control = start.cast();
        self.header.msg_controllen = len as _;
    }

    /// Sets the slices of the message, and the pointers into this header itself. Must be the last call,
    /// at the header's final address.
    pub fn point_at(&mut self, slices: *const RawSlice, count: usize) {
        self.header.msg_iov = RawSlice::as_iovec(slices).cast_mut();
        self.header.msg_iovlen = count as _;
        self.header.msg_name = if self.header.msg_namelen == 0 {
            ptr::null_mut()
        } else {
            (&raw mut self.address).cast()
        };
    }

    /// The address that a receive wrote, if it wrote any.
    pub fn address(&self) -> Option<SockAddr> {
        let len = self.header.msg_namelen as usize;
        if len == 0 || len > mem::size_of_val(&self.address) {
            return None;
        }
        Some(to_sock_addr(&self.address, len))
    }

    /// The number of bytes of ancillary data that a receive wrote.
    pub fn control_len(&self) -> usize {
        self.header.msg_controllen as _
    }

    /// The flags that a receive reported, such as `MSG_TRUNC`.
    pub fn flags(&self) -> i32 {
        self.header.msg_flags
    }

    pub(crate) fn as_msghdr(message: *mut Self) -> *mut libc::msghdr {
        // SAFETY: only computes the field's address; the caller's pointer is valid by the
        // contract of `Request`.
        unsafe { &raw mut (*message).header }
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

/// Memory for the peer address of an accept.
pub struct PeerAddress {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl PeerAddress {
    /// Empty memory for an address.
    pub fn new() -> Self {
        Self {
            // SAFETY: a plain C struct for which all zeroes mean "no address".
            storage: unsafe { mem::zeroed() },
            len: mem::size_of::<libc::sockaddr_storage>() as _,
        }
    }

    /// The address that was written.
    pub fn to_sock_addr(&self) -> SockAddr {
        let len = (self.len as usize).min(mem::size_of_val(&self.storage));
        to_sock_addr(&self.storage, len)
    }

    pub(crate) fn as_parts(peer: *mut Self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        // SAFETY: only computes the fields' addresses, as in `Message::as_msghdr`.
        unsafe { ((&raw mut (*peer).storage).cast(), &raw mut (*peer).len) }
    }
}

/// For the fuzzer, which replaces the kernel.
#[cfg(fuzzing)]
impl PeerAddress {
    /// An address of these bytes, which must fit.
    #[doc(hidden)]
    pub fn made_of(bytes: &[u8]) -> Self {
        let mut this = Self::new();
        assert!(bytes.len() <= mem::size_of_val(&this.storage));
        // SAFETY: the bytes fit, as asserted, and any bytes make a valid struct of numbers.
        unsafe {
            let storage = (&raw mut this.storage).cast::<u8>();
            ptr::copy_nonoverlapping(bytes.as_ptr(), storage, bytes.len());
        }
        this.len = bytes.len() as _;
        this
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

/// The first `len` bytes as an address. `len` must not be larger than the storage.
fn to_sock_addr(storage: &libc::sockaddr_storage, len: usize) -> SockAddr {
    let mut copy = socket2::SockAddrStorage::zeroed();
    debug_assert!(len <= size_of_val(storage));
    // SAFETY: `SockAddrStorage` is as large as `sockaddr_storage`, and `len` is no more; the kernel
    // wrote an address of that length there.
    unsafe {
        ptr::copy_nonoverlapping(
            (&raw const *storage).cast::<u8>(),
            (&raw mut copy).cast::<u8>(),
            len,
        );
        SockAddr::new(copy, len as _)
    }
}
