//! What every unix shares: the types that requests point at, and each request as the plain,
//! blocking system call that it stands for.

mod call;
mod life;
mod types;

pub(crate) use call::{answer, call, last_error, splice};
pub(crate) use libc::{
    AT_FDCWD as CURRENT_DIR, EAGAIN, ECANCELED, MSG_TRUNC, SHUT_RD, SHUT_RDWR, SHUT_WR,
};
pub(crate) use life::{Life, life_of};
pub use types::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, NativePath, OpenFlags, OwnedFd,
    PathUnit, PeerAddress, RawFd, RawSlice,
};
// Files and sockets are numbered alike.
pub(crate) use types::{lend_file, own as own_file, own as own_socket};

/// What the backends of unix keep beside an operation: nothing.
#[derive(Debug, Default)]
pub(crate) struct Scratch;
