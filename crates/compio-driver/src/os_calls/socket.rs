//! Sockets: creation, addresses, options. None of these calls blocks.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, Shutdown},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::{
    credentials::UCred,
    sys::{self, AsFd, BorrowedFd, OwnedFd, RawFd},
};

/// socket(2): a new socket in blocking mode, which no child process inherits.
#[inline]
pub fn create(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    Socket::new(domain, kind, protocol).map(Into::into)
}

/// A borrowed socket, with its calls as methods.
///
/// Each call fails with ENOTSOCK, or its equivalent, if the handle is no socket.
#[derive(Debug, Clone, Copy)]
pub struct SocketRef<'a>(BorrowedFd<'a>);

impl<'a> SocketRef<'a> {
    /// The socket of this handle. Makes no call.
    #[inline]
    pub fn new(fd: BorrowedFd<'a>) -> Self {
        Self(fd)
    }

    /// The socket as the calls take it. Makes no call.
    #[inline]
    pub(crate) fn native(&self) -> io::Result<SockRef<'_>> {
        sys::as_sock_ref(&self.0).ok_or_else(not_a_socket)
    }
}

fn not_a_socket() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the handle is not a socket")
}

/// Methods that are calls of `socket2` with the same name and arguments.
macro_rules! calls {
    ($(
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $type:ty),*) -> $result:ty;
    )*) => {
        impl SocketRef<'_> {$(
            $(#[$doc])*
            #[inline]
            pub fn $name(&self $(, $argument: $type)*) -> io::Result<$result> {
                self.native()?.$name($($argument),*)
            }
        )*}
    };
}

#[allow(unused_imports, reason = "only unix has further options")]
pub(crate) use calls;

calls! {
    /// bind(2).
    bind(address: &SockAddr) -> ();
    /// connect(2), for sockets whose connect never waits.
    connect(address: &SockAddr) -> ();
    /// listen(2).
    listen(backlog: i32) -> ();
    /// shutdown(2).
    shutdown(how: Shutdown) -> ();
    /// getsockname(2).
    local_addr() -> SockAddr;
    /// getpeername(2).
    peer_addr() -> SockAddr;

    /// `SO_TYPE`.
    r#type() -> Type;
    /// `SO_ERROR`.
    take_error() -> Option<io::Error>;
    /// `SO_RCVBUF`.
    recv_buffer_size() -> usize;
    /// `SO_RCVBUF`.
    set_recv_buffer_size(size: usize) -> ();
    /// `SO_SNDBUF`.
    send_buffer_size() -> usize;
    /// `SO_SNDBUF`.
    set_send_buffer_size(size: usize) -> ();
    /// `SO_REUSEADDR`.
    reuse_address() -> bool;
    /// `SO_REUSEADDR`.
    set_reuse_address(on: bool) -> ();
    /// `SO_LINGER`.
    linger() -> Option<Duration>;
    /// `SO_LINGER`.
    set_linger(time: Option<Duration>) -> ();
    /// `SO_KEEPALIVE`.
    keepalive() -> bool;
    /// `SO_KEEPALIVE`.
    set_keepalive(on: bool) -> ();
    /// `SO_BROADCAST`.
    broadcast() -> bool;
    /// `SO_BROADCAST`.
    set_broadcast(on: bool) -> ();

    /// `TCP_NODELAY`.
    tcp_nodelay() -> bool;
    /// `TCP_NODELAY`.
    set_tcp_nodelay(on: bool) -> ();
    /// `SO_KEEPALIVE`, `TCP_KEEPIDLE` and related options.
    set_tcp_keepalive(times: &TcpKeepalive) -> ();

    /// `IP_TTL`.
    ttl_v4() -> u32;
    /// `IP_TTL`.
    set_ttl_v4(ttl: u32) -> ();
    /// `IP_TOS`.
    tos_v4() -> u32;
    /// `IP_TOS`.
    set_tos_v4(tos: u32) -> ();
    /// `IP_RECVTOS`.
    set_recv_tos_v4(on: bool) -> ();
    /// `IPV6_RECVTCLASS`.
    set_recv_tclass_v6(on: bool) -> ();

    /// `IP_MULTICAST_LOOP`.
    multicast_loop_v4() -> bool;
    /// `IP_MULTICAST_LOOP`.
    set_multicast_loop_v4(on: bool) -> ();
    /// `IPV6_MULTICAST_LOOP`.
    multicast_loop_v6() -> bool;
    /// `IPV6_MULTICAST_LOOP`.
    set_multicast_loop_v6(on: bool) -> ();
    /// `IP_MULTICAST_TTL`.
    multicast_ttl_v4() -> u32;
    /// `IP_MULTICAST_TTL`.
    set_multicast_ttl_v4(ttl: u32) -> ();
    /// `IP_ADD_MEMBERSHIP`.
    join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// `IPV6_ADD_MEMBERSHIP`.
    join_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    /// `IP_DROP_MEMBERSHIP`.
    leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// `IPV6_DROP_MEMBERSHIP`.
    leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
}

/// Sets a numeric option.
#[inline]
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: i32,
) -> io::Result<()> {
    sys::set_option(socket, level, name, value)
}

/// Whether each transfer is a message (`SO_TYPE`): true for sockets other than streams.
#[inline]
pub(crate) fn has_messages(fd: RawFd) -> bool {
    sys::has_messages(fd)
}

/// The credentials of a Unix stream socket's peer: of the process that has connected the other end, or
/// has made the socket pair.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) on Windows. Elsewhere the OS error of getsockopt(2) or
/// getpeereid(3).
pub fn peer_credentials(socket: &impl AsFd) -> io::Result<UCred> {
    // `SO_PEERCRED`, or getpeereid(3).
    sys::peer_credentials(socket.as_fd())
}
