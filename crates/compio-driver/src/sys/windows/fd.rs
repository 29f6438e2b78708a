//! Descriptors: handles and sockets under one name, as on unix.
//!
//! Different calls close a handle and a socket. So [`RawFd`], [`BorrowedFd`] and [`OwnedFd`] have a
//! variant for each. The traits have the names and meanings of unix, so that a program that uses
//! `as_raw_fd()` runs here, too.

use std::{
    fs::File,
    mem::ManuallyDrop,
    net::{TcpListener, TcpStream, UdpSocket},
    os::windows::io::{
        AsHandle, AsRawHandle, AsRawSocket, AsSocket, BorrowedHandle, BorrowedSocket,
        FromRawHandle, FromRawSocket, IntoRawHandle, IntoRawSocket, OwnedHandle, OwnedSocket,
        RawHandle, RawSocket,
    },
    ptr,
    rc::Rc,
    sync::Arc,
};

use socket2::Socket;

/// The value of a file's handle or a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RawFd {
    /// A file, a pipe, or another object that `CloseHandle` closes.
    Handle(RawHandle),
    /// A socket, which `closesocket` closes.
    Socket(RawSocket),
}

// SAFETY: a plain value, which means the same on each thread of the process.
unsafe impl Send for RawFd {}
// SAFETY: as for `Send`.
unsafe impl Sync for RawFd {}

/// A borrowed handle of a file, or a borrowed socket.
#[derive(Debug, Clone, Copy)]
pub enum BorrowedFd<'a> {
    /// A file, a pipe, or another object that `CloseHandle` closes.
    Handle(BorrowedHandle<'a>),
    /// A socket, which `closesocket` closes.
    Socket(BorrowedSocket<'a>),
}

/// An owned handle of a file, or an owned socket. Its drop closes it.
///
/// A socket must have been made with `WSA_FLAG_OVERLAPPED`, which std, `socket2` and the C function `socket`
/// do. The system does not report whether it was. Without the flag, each overlapped call on the socket
/// blocks the driver's thread, and a receive may return 0 bytes instead of its data.
///
/// A handle without `FILE_FLAG_OVERLAPPED` executes its calls one after the other, also those of its duplicates
/// and of other processes. The driver's thread makes none of them, with two exceptions: the close of the last
/// handle of a process, and [`Poller::attach`](crate::Poller::attach). Both wait for a call of another thread. A
/// pool thread examines the handle before its first operation: see
/// [`assume_synchronous`](crate::os::windows::assume_synchronous).
///
/// A datagram socket of other code keeps its settings. By default, its receives fail with WSAECONNRESET
/// after a send to a port without a socket, unless `SIO_UDP_CONNRESET` turns that off.
/// [`op::Socket`](crate::op::Socket) does so, and [`op::Connect`](crate::op::Connect) turns it on again.
#[derive(Debug)]
pub enum OwnedFd {
    /// A file, a pipe, or another object that `CloseHandle` closes.
    Handle(OwnedHandle),
    /// A socket, which `closesocket` closes.
    Socket(OwnedSocket),
}

/// Types with a handle or a socket.
pub trait AsRawFd {
    /// The value of the handle or socket.
    fn as_raw_fd(&self) -> RawFd;
}

/// Types with a handle or a socket that stays open while it is borrowed.
pub trait AsFd {
    /// The handle or socket.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

/// Types that can take ownership of a handle or a socket.
pub trait FromRawFd {
    /// Takes ownership of `fd`.
    ///
    /// # Safety
    ///
    /// `fd` is open, is of the kind of its variant, and has no other owner.
    unsafe fn from_raw_fd(fd: RawFd) -> Self;
}

/// Types that can release the handle or socket that they own.
pub trait IntoRawFd {
    /// Returns the handle or socket. The caller must close it.
    fn into_raw_fd(self) -> RawFd;
}

/// A placeholder: no call takes the handle of a directory beside a path.
pub(crate) const CURRENT_DIR: RawFd = RawFd::Handle(ptr::null_mut());

/// The handle in the result of a request. The system uses only the lower 32 bits of a handle, which is
/// its rule for handles shared with 32-bit programs.
///
/// # Safety
///
/// The handle is new, and has no other owner.
pub(crate) unsafe fn file_from_raw(answer: usize) -> OwnedFd {
    // SAFETY: by this function's contract.
    OwnedFd::Handle(unsafe { OwnedHandle::from_raw_handle(answer as RawHandle) })
}

/// The socket in the result of a request: it is a handle, too.
///
/// # Safety
///
/// As for [`file_from_raw`].
pub(crate) unsafe fn socket_from_raw(answer: usize) -> OwnedFd {
    // SAFETY: by this function's contract.
    OwnedFd::Socket(unsafe { OwnedSocket::from_raw_socket(answer as RawSocket) })
}

/// A handle as a [`File`] that does not close it.
///
/// # Safety
///
/// The handle stays open for as long as the file lives.
pub(crate) unsafe fn borrow_as_file(fd: RawFd) -> ManuallyDrop<File> {
    let handle = match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => ptr::without_provenance_mut(socket as usize),
    };
    // SAFETY: by this function's contract; a file that is never dropped needs no ownership.
    ManuallyDrop::new(unsafe { File::from_raw_handle(handle) })
}

impl AsRawFd for RawFd {
    fn as_raw_fd(&self) -> RawFd {
        *self
    }
}

impl AsRawFd for BorrowedFd<'_> {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Handle(handle) => RawFd::Handle(handle.as_raw_handle()),
            Self::Socket(socket) => RawFd::Socket(socket.as_raw_socket()),
        }
    }
}

impl AsFd for BorrowedFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        *self
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Handle(handle) => BorrowedFd::Handle(handle.as_handle()),
            Self::Socket(socket) => BorrowedFd::Socket(socket.as_socket()),
        }
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: by this function's contract.
        unsafe {
            match fd {
                RawFd::Handle(handle) => Self::Handle(OwnedHandle::from_raw_handle(handle)),
                RawFd::Socket(socket) => Self::Socket(OwnedSocket::from_raw_socket(socket)),
            }
        }
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        match self {
            Self::Handle(handle) => RawFd::Handle(handle.into_raw_handle()),
            Self::Socket(socket) => RawFd::Socket(socket.into_raw_socket()),
        }
    }
}

/// Pointers to a type with a descriptor.
macro_rules! pointers {
    ($($type:ty),* $(,)?) => {$(
        impl<T: AsRawFd + ?Sized> AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                (**self).as_raw_fd()
            }
        }

        impl<T: AsFd + ?Sized> AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                (**self).as_fd()
            }
        }
    )*};
}

pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

/// Types of std and `socket2` that own a handle or a socket.
macro_rules! owners {
    ($variant:ident, $as_raw:ident, $as_borrowed:ident, $into_raw:ident: $($type:ty),* $(,)?) => {$(
        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                RawFd::$variant(self.$as_raw())
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                BorrowedFd::$variant(self.$as_borrowed())
            }
        }

        impl IntoRawFd for $type {
            fn into_raw_fd(self) -> RawFd {
                RawFd::$variant(self.$into_raw())
            }
        }

        impl From<$type> for OwnedFd {
            fn from(owner: $type) -> Self {
                Self::$variant(owner.into())
            }
        }

        /// # Panics
        ///
        /// If the variant does not match: a handle is no socket, and a socket is no file.
        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> Self {
                let OwnedFd::$variant(owned) = fd else {
                    panic!("{fd:?} is of the wrong kind for a {}", stringify!($type));
                };
                owned.into()
            }
        }
    )*};
}

/// std's borrowed types.
macro_rules! borrowers {
    ($($variant:ident: $type:ident),* $(,)?) => {$(
        /// # Panics
        ///
        /// If the variant does not match: a handle is no socket, and a socket is no file.
        impl<'a> From<BorrowedFd<'a>> for $type<'a> {
            fn from(fd: BorrowedFd<'a>) -> Self {
                let BorrowedFd::$variant(borrowed) = fd else {
                    panic!("{fd:?} is no {}", stringify!($type));
                };
                borrowed
            }
        }

        impl<'a> From<$type<'a>> for BorrowedFd<'a> {
            fn from(borrowed: $type<'a>) -> Self {
                Self::$variant(borrowed)
            }
        }
    )*};
}

borrowers!(Handle: BorrowedHandle, Socket: BorrowedSocket);

owners!(Handle, as_raw_handle, as_handle, into_raw_handle: File, OwnedHandle);
owners!(Socket, as_raw_socket, as_socket, into_raw_socket:
    Socket, TcpListener, TcpStream, UdpSocket, OwnedSocket);
