//! What every unix shares: the types that requests point at, and each request as the plain,
//! blocking system call that it stands for.

mod call;
mod event;
pub(crate) mod nowait;
mod stat;
mod types;

pub(crate) use call::{call, last_error, splice};
pub(crate) use event::EventFd;
pub(crate) use libc::{
    AT_FDCWD as CURRENT_DIR, EAGAIN, ECANCELED, MSG_TRUNC, SHUT_RD, SHUT_RDWR, SHUT_WR,
};
pub use stat::Stat;
pub use types::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, OwnedFd, PeerAddress, RawFd, RawSlice,
};
