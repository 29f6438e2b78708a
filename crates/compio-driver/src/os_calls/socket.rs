//! Sockets: creation, addresses, options. None of these calls blocks.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{Ipv4Addr, Ipv6Addr, Shutdown},
    ops::Range,
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::{
    credentials::UCred,
    request::{TRANSFER_MAX, ready, to_result},
    sys::{self, AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, in_simulation, nonblocking},
};

/// socket(2): a new socket in blocking mode, which no child process inherits.
#[inline]
pub fn create(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    in_simulation!(create_socket(domain, kind));
    let socket: OwnedFd = Socket::new(domain, kind, protocol)?.into();
    if kind == Type::DGRAM {
        sys::silence_unreachable(socket.as_fd());
    }
    Ok(socket)
}

/// Prepares a socket that other code has made. Its options stay, with one exception: on Windows, receives of
/// a datagram socket without a peer no longer fail because of an earlier send, as on unix.
///
/// # Errors
///
/// ENOTSOCK, or its equivalent, if it is no socket.
#[inline]
pub fn adopt(socket: BorrowedFd<'_>) -> io::Result<()> {
    if SocketRef::new(socket).r#type()? == Type::DGRAM {
        sys::silence_unreachable(socket);
    }
    Ok(())
}

/// A borrowed socket, with its calls as methods.
///
/// Each call fails with ENOTSOCK, or its equivalent, if the handle is no socket.
#[derive(Debug, Clone, Copy)]
pub struct SocketRef<'a>(pub(crate) BorrowedFd<'a>);

impl<'a> SocketRef<'a> {
    /// The socket of this handle. Makes no call.
    #[inline]
    pub fn new(fd: BorrowedFd<'a>) -> Self {
        Self(fd)
    }

    /// listen(2) of a TCP or Unix socket. On Windows, a `backlog` above 200 is passed in a form that the system
    /// does not cut to 200.
    #[inline]
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        in_simulation!(self.0 => listen(backlog));
        self.native()?.listen(sys::backlog(backlog))
    }

    /// The socket as the calls take it. Makes no call.
    #[inline]
    pub(crate) fn native(&self) -> io::Result<SockRef<'_>> {
        sys::as_sock_ref(&self.0).ok_or_else(not_a_socket)
    }

    /// Whether poll(2), or `WSAPoll`, reports data, a connection or EOF now.
    pub fn is_readable(&self) -> io::Result<bool> {
        in_simulation!(self.0 => is_readable());
        match sys::ready_now(self.0.as_raw_fd(), ready::IN) {
            Ok(events) => Ok(events & ready::IN != 0),
            Err(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Transfers of borrowed memory that never wait. The socket was [prepared](Self::prepare_for_attempts).
///
/// Each fails with [`WouldBlock`](io::ErrorKind::WouldBlock) instead of waiting. EINTR is repeated.
impl SocketRef<'_> {
    /// Prepares the socket for the methods below. On Windows it becomes non-blocking, for good. On macOS the
    /// first send does that.
    pub fn prepare_for_attempts(&self) -> io::Result<()> {
        in_simulation!(self.0 => nothing());
        to_result(nonblocking::prepare(self.0.as_raw_fd())).map(drop)
    }

    /// recv(2): the number of bytes, which are at the start of `room`.
    #[inline]
    pub fn try_recv(&self, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        in_simulation!(self.0 => try_recv(room));
        to_result(nonblocking::recv(self.0.as_raw_fd(), room))
    }

    /// As [`try_recv`](Self::try_recv), into the slices of a [batch](first_batch), one after the other.
    #[inline]
    pub fn try_recv_vectored(&self, rooms: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        in_simulation!(self.0 => try_recv_vectored(rooms));
        let fd = self.0.as_raw_fd();
        let batch = first_batch(rooms.iter().map(|room| room.len()));
        to_result(match &mut rooms[batch] {
            [only] => {
                let len = only.len().min(TRANSFER_MAX);
                nonblocking::recv_vectored(fd, &mut [IoSliceMut::new(&mut only[..len])])
            }
            rooms => nonblocking::recv_vectored(fd, rooms),
        })
    }

    /// send(2): the number of bytes that the kernel has taken. A closed peer is an error, never a signal.
    #[inline]
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        in_simulation!(self.0 => try_send(bytes));
        to_result(nonblocking::send(self.0.as_raw_fd(), bytes))
    }

    /// As [`try_send`](Self::try_send), of the slices of a [batch](first_batch), one after the other.
    #[inline]
    pub fn try_send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        in_simulation!(self.0 => try_send_vectored(slices));
        let fd = self.0.as_raw_fd();
        let batch = first_batch(slices.iter().map(|slice| slice.len()));
        to_result(match &slices[batch] {
            [only] => nonblocking::send(fd, only),
            slices => nonblocking::send_vectored(fd, slices),
        })
    }
}

/// The slices of one call, by the lengths of all. Empty ones at the start are left out: the result of a call with
/// these alone would be 0, as at EOF. The total is at most [`TRANSFER_MAX`], unless it is one slice, which the
/// caller cuts: not every kernel limits the total itself.
#[inline]
fn first_batch(lens: impl ExactSizeIterator<Item = usize> + Clone) -> Range<usize> {
    /// `UIO_MAXIOV` of all kernels.
    const SLICES_MAX: usize = 1024;
    let start = lens.clone().take_while(|&len| len == 0).count();
    let all = lens.len();
    let mut total = 0_usize;
    let fits = |&len: &usize| {
        total = total.saturating_add(len);
        total <= TRANSFER_MAX
    };
    let count = lens.skip(start).take(SLICES_MAX).take_while(fits).count();
    start..all.min(start + count.max(1))
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
                $crate::sys::in_simulation!(self.0 => $name($($argument),*));
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
    in_simulation!(socket => set_option(level, name, value));
    sys::set_option(socket, level, name, value)
}

/// Whether each transfer is a message (`SO_TYPE`): true for sockets other than streams.
#[inline]
pub(crate) fn has_messages(fd: RawFd) -> bool {
    in_simulation!(has_messages(fd));
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
    in_simulation!(peer_credentials(socket.as_fd()));
    // `SO_PEERCRED`, or getpeereid(3).
    sys::peer_credentials(socket.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lens: &[usize]) -> Range<usize> {
        first_batch(lens.iter().copied())
    }

    #[test]
    fn batch_begins_after_empty_slices() {
        assert_eq!(batch(&[]), 0..0);
        assert_eq!(batch(&[0, 0]), 2..2);
        assert_eq!(batch(&[0, 0, 5, 0, 1]), 2..5);
    }

    #[test]
    fn batch_is_within_the_limits_of_a_call() {
        assert_eq!(batch(&[1; 2000]), 0..1024);
        let mut lens = vec![0; 2000];
        lens.extend([1; 2000]);
        assert_eq!(batch(&lens), 2000..3024);
        assert_eq!(batch(&[TRANSFER_MAX - 1, 1, 1]), 0..2);
        assert_eq!(batch(&[usize::MAX, usize::MAX]), 0..1);
        assert_eq!(batch(&[0, 1, usize::MAX]), 1..2);
    }
}
