//! Creation and control of sockets.

use std::{io, net};

use socket2::SockAddr;

use super::net::own;
use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Control, Request},
    sys::{self, AsRawFd, OwnedFd},
};

/// Creates a socket. It is closed on exec.
#[derive(Debug)]
pub struct Socket {
    domain: i32,
    kind: i32,
    protocol: i32,
}

impl Socket {
    /// A socket with the system's `AF_`, `SOCK_` and `IPPROTO_` numbers.
    pub fn new(domain: i32, kind: i32, protocol: i32) -> Self {
        Self {
            domain,
            kind,
            protocol,
        }
    }
}

// SAFETY: the request points to nothing.
unsafe impl Operation for Socket {
    type Output = io::Result<OwnedFd>;
    describe!(Socket);

    fn request(&mut self) -> Request {
        Request::Control(Control::Socket {
            domain: self.domain,
            kind: self.kind,
            protocol: self.protocol,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(own)
    }

    #[cfg(feature = "sim")]
    unsafe fn on_orphaned(self, answer: io::Result<usize>) {
        // SAFETY: passed on from this function.
        drop(unsafe { self.finish(answer) }.map(crate::fd::LooseFd::from));
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Socket {}

/// Binds a socket to a local address.
///
/// # Platform differences
///
/// The address of a Unix socket is a path: the call creates a file, and may wait for the disk.
#[derive(Debug)]
pub struct Bind<F = SharedFd> {
    fd: F,
    address: SockAddr,
}

impl<F> Bind<F> {
    /// Binds `fd` to `address`.
    pub fn new(fd: F, address: SockAddr) -> Self {
        Self { fd, address }
    }
}

// SAFETY: the request points to the address in the operation.
unsafe impl<F: AsRawFd + 'static> Operation for Bind<F> {
    type Output = io::Result<()>;
    describe!(Bind, fd);

    fn request(&mut self) -> Request {
        Request::Control(Control::Bind {
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
unsafe impl<F: OwnsFd> Owned for Bind<F> {}

/// Makes a bound socket accept connections.
#[derive(Debug)]
pub struct Listen<F = SharedFd> {
    fd: F,
    backlog: i32,
}

impl<F> Listen<F> {
    /// Listens on `fd`. `backlog` limits the connections that wait for an accept; the kernel clamps it.
    pub fn new(fd: F, backlog: i32) -> Self {
        Self { fd, backlog }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static> Operation for Listen<F> {
    type Output = io::Result<()>;
    describe!(Listen, fd);

    fn request(&mut self) -> Request {
        Request::Control(Control::Listen {
            fd: self.fd.as_raw_fd(),
            backlog: self.backlog,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Listen<F> {}

/// Closes one or both directions of a connection.
///
/// # Platform differences
///
/// On unix, `Read` or `Both` ends a pending receive with EOF. On Windows it still waits for the peer.
#[derive(Debug)]
pub struct Shutdown<F = SharedFd> {
    fd: F,
    how: net::Shutdown,
}

impl<F> Shutdown<F> {
    /// Closes the direction `how`.
    pub fn new(fd: F, how: net::Shutdown) -> Self {
        Self { fd, how }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static> Operation for Shutdown<F> {
    type Output = io::Result<()>;
    describe!(Shutdown, fd);

    fn request(&mut self) -> Request {
        Request::Control(Control::Shutdown {
            fd: self.fd.as_raw_fd(),
            how: match self.how {
                net::Shutdown::Read => sys::SHUT_RD,
                net::Shutdown::Write => sys::SHUT_WR,
                net::Shutdown::Both => sys::SHUT_RDWR,
            },
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Shutdown<F> {}
