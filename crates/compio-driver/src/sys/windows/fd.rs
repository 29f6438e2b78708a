//! Descriptors: unix's word for what are two things here.
//!
//! A handle and a socket are closed by different calls, so that each type says which of them it
//! is: [`RawFd`], [`BorrowedFd`] and [`OwnedFd`] have a variant for both. The traits are unix's by
//! name and meaning, so that a program which names files by `as_raw_fd()` runs here, too.

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

/// A file's handle or a socket, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RawFd {
    /// Of a file, a pipe, or anything else that `CloseHandle` closes.
    Handle(RawHandle),
    /// What `closesocket` closes.
    Socket(RawSocket),
}

// SAFETY: a number, which means the same on each thread of the process.
unsafe impl Send for RawFd {}
// SAFETY: as for `Send`.
unsafe impl Sync for RawFd {}

/// A file's handle or a socket that somebody else owns.
#[derive(Debug, Clone, Copy)]
pub enum BorrowedFd<'a> {
    /// Of a file, a pipe, or anything else that `CloseHandle` closes.
    Handle(BorrowedHandle<'a>),
    /// What `closesocket` closes.
    Socket(BorrowedSocket<'a>),
}

/// A file's handle or a socket, which its drop closes.
#[derive(Debug)]
pub enum OwnedFd {
    /// Of a file, a pipe, or anything else that `CloseHandle` closes.
    Handle(OwnedHandle),
    /// What `closesocket` closes.
    Socket(OwnedSocket),
}

/// What has a handle or a socket.
pub trait AsRawFd {
    /// Its number.
    fn as_raw_fd(&self) -> RawFd;
}

/// What has a handle or a socket that stays open for as long as it is borrowed.
pub trait AsFd {
    /// The handle or socket.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

/// What can take over a handle or a socket.
pub trait FromRawFd {
    /// Takes over `fd`.
    ///
    /// # Safety
    ///
    /// It is open, it is what its variant says, and nobody else closes it.
    unsafe fn from_raw_fd(fd: RawFd) -> Self;
}

/// What can be taken apart to the handle or socket that it owns.
pub trait IntoRawFd {
    /// Its number; to close it is the caller's affair from now on.
    fn into_raw_fd(self) -> RawFd;
}

/// No call takes the handle of a directory beside a path: a path says it all.
pub(crate) const CURRENT_DIR: RawFd = RawFd::Handle(ptr::null_mut());

/// The handle that a request was answered with: of its bits, the system uses no more than the
/// lower 32, which is its rule for handles shared with 32-bit programs.
///
/// # Safety
///
/// It is new, and nobody else knows it.
pub(crate) unsafe fn own_file(answer: usize) -> OwnedFd {
    // SAFETY: by this function's contract.
    OwnedFd::Handle(unsafe { OwnedHandle::from_raw_handle(answer as RawHandle) })
}

/// The socket that a request was answered with: it is a handle, too.
///
/// # Safety
///
/// As for [`own_file`].
pub(crate) unsafe fn own_socket(answer: usize) -> OwnedFd {
    // SAFETY: by this function's contract.
    OwnedFd::Socket(unsafe { OwnedSocket::from_raw_socket(answer as RawSocket) })
}

/// A handle as a file of std's, which does not close it.
///
/// # Safety
///
/// It stays open for as long as the file lives.
pub(crate) unsafe fn borrow_as_file(fd: RawFd) -> ManuallyDrop<File> {
    let handle = match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => ptr::without_provenance_mut(socket as usize),
    };
    // SAFETY: by this function's contract; whose it is does not matter to what is never dropped.
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

/// What points to something that has a descriptor has it, too.
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

/// Others' types that are one of the two.
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
        /// If it is the other of the two: a handle is no socket, nor a socket a file.
        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> Self {
                let OwnedFd::$variant(owned) = fd else {
                    panic!("{fd:?} is not of the right kind for a {}", stringify!($type));
                };
                owned.into()
            }
        }
    )*};
}

/// What somebody else owns, by std's name.
macro_rules! borrowers {
    ($($variant:ident: $type:ident),* $(,)?) => {$(
        /// # Panics
        ///
        /// If it is the other of the two: a handle is no socket, nor a socket a file.
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
