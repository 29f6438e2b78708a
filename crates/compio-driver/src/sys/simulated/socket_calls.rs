//! The calls of the `Os` seam on sockets.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{Ipv4Addr, Ipv6Addr, Shutdown},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    ptr,
    time::Duration,
};

use libc::{EAGAIN, EIO, ENOSYS, MSG_DONTWAIT};
use socket2::{Domain, SockAddr, TcpKeepalive, Type};

use super::{
    calls::{is_in_host, on_handle, unsupported},
    descriptors::{SocketId, is_simulated, own},
    memory::Parts,
    network::{Options, bounded},
    requests::Outcome,
    with_current,
    world::{HostId, State},
};
type Answer<T> = Option<io::Result<T>>;

/// socket(2) of the current host.
pub(crate) fn create(domain: Domain, kind: Type) -> Answer<OwnedFd> {
    on_running(|state, host| {
        let created = state.create_socket(host, domain.into(), kind.into());
        created.map(own)
    })
}

/// socketpair(2) of the current host.
pub(crate) fn create_pair(kind: Type) -> Answer<(OwnedFd, OwnedFd)> {
    on_running(|state, host| {
        let [one, other] = state.create_pair(host, kind.into())?.map(own);
        Ok((one, other))
    })
}

/// Creates sockets of the current host. EIO in the destructors of a program that has crashed.
fn on_running<T>(code: impl FnOnce(&mut State, HostId) -> Result<T, i32>) -> Answer<T> {
    with_current(|world, host| {
        let mut state = world.state();
        let created = match state.hosts[host].has_crashed {
            true => Err(EIO),
            false => code(&mut state, host),
        };
        created.map_err(|code| match code {
            ENOSYS => unsupported("sockets of this type"),
            code => io::Error::from_raw_os_error(code),
        })
    })
}

/// A simulated socket.
#[derive(Clone, Copy)]
pub(crate) struct SimulatedSocket(RawFd);

/// The handle as a simulated socket.
#[inline]
pub(crate) fn socket(fd: BorrowedFd<'_>) -> Option<SimulatedSocket> {
    of_number(fd.as_raw_fd())
}

#[inline]
pub(crate) fn of_number(fd: RawFd) -> Option<SimulatedSocket> {
    // A real handle is refused in a simulated host: `on_handle`.
    (is_simulated(fd) || is_in_host()).then_some(SimulatedSocket(fd))
}

/// Methods of options: a reading and a setting function.
macro_rules! options {
    ($($get:ident, $set:ident: $type:ty, $field:ident;)*) => {
        impl SimulatedSocket {$(
            pub(crate) fn $get(self) -> io::Result<$type> {
                self.options(|options| options.$field)
            }

            pub(crate) fn $set(self, value: $type) -> io::Result<()> {
                self.options(|options| options.$field = value)
            }
        )*}
    };
}

options! {
    reuse_address, set_reuse_address: bool, reuse_address;
    reuse_port, set_reuse_port: bool, reuse_port;
    linger, set_linger: Option<Duration>, linger;
    keepalive, set_keepalive: bool, keepalive;
    broadcast, set_broadcast: bool, broadcast;
    tcp_nodelay, set_tcp_nodelay: bool, nodelay;
    tcp_quickack, set_tcp_quickack: bool, quickack;
    ttl_v4, set_ttl_v4: u32, ttl;
    tos_v4, set_tos_v4: u32, tos;
}

/// Methods for features that no simulated socket has.
macro_rules! unsupported {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        impl SimulatedSocket {$(
            pub(crate) fn $name(self $(, _: $type)*) -> io::Result<$result> {
                Err(unsupported(concat!("socket call `", stringify!($name), "`")))
            }
        )*}
    };
}

unsupported! {
    multicast_loop_v4() -> bool;
    set_multicast_loop_v4(bool) -> ();
    multicast_loop_v6() -> bool;
    set_multicast_loop_v6(bool) -> ();
    multicast_ttl_v4() -> u32;
    set_multicast_ttl_v4(u32) -> ();
    join_multicast_v4(&Ipv4Addr, &Ipv4Addr) -> ();
    join_multicast_v6(&Ipv6Addr, u32) -> ();
    leave_multicast_v4(&Ipv4Addr, &Ipv4Addr) -> ();
    leave_multicast_v6(&Ipv6Addr, u32) -> ();
    device() -> Option<Vec<u8>>;
    bind_device(Option<&[u8]>) -> ();
    passcred() -> bool;
    set_passcred(bool) -> ();
}

impl SimulatedSocket {
    fn call<T>(
        self,
        kind: u64,
        code: impl FnOnce(&mut State, SocketId) -> Result<T, i32>,
    ) -> io::Result<T> {
        let Self(fd) = self;
        let called = on_handle(kind, fd, |state, host| {
            let id = state.socket_of(host, fd)?;
            code(state, id)
        });
        called.unwrap_or_else(|| Err(io::Error::from_raw_os_error(libc::EBADF)))
    }

    fn options<T>(self, code: impl FnOnce(&mut Options) -> T) -> io::Result<T> {
        self.call(30, |state, id| Ok(code(state.options_mut(id)?.0)))
    }

    /// Does nothing.
    pub(crate) fn nothing(self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn is_readable(self) -> io::Result<bool> {
        let ready = self.call(39, |state, id| Ok(state.ready_events(id)))?;
        Ok(ready & crate::request::ready::IN != 0)
    }

    pub(crate) fn listen(self, backlog: i32) -> io::Result<()> {
        self.call(31, |state, id| state.listen(id, backlog).map(drop))
    }

    pub(crate) fn bind(self, address: &SockAddr) -> io::Result<()> {
        self.call(32, |state, id| state.bind_to(id, address))
    }

    pub(crate) fn connect(self, address: &SockAddr) -> io::Result<()> {
        self.call(33, |state, id| state.connect_now(id, address).map(drop))
    }

    pub(crate) fn shutdown(self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        self.call(34, |state, id| state.shutdown(id, how).map(drop))
    }

    pub(crate) fn local_addr(self) -> io::Result<SockAddr> {
        self.call(35, |state, id| state.own_address(id))
    }

    pub(crate) fn peer_addr(self) -> io::Result<SockAddr> {
        self.call(36, |state, id| state.peer_of(id))
    }

    pub(crate) fn r#type(self) -> io::Result<Type> {
        let is_stream = self.call(37, |state, id| Ok(state.is_stream(id)))?;
        Ok(if is_stream { Type::STREAM } else { Type::DGRAM })
    }

    pub(crate) fn take_error(self) -> io::Result<Option<io::Error>> {
        let code = self.call(30, |state, id| Ok(state.options_mut(id)?.1.take()))?;
        Ok(code.map(io::Error::from_raw_os_error))
    }

    pub(crate) fn recv_buffer_size(self) -> io::Result<usize> {
        self.options(|options| options.recv_buffer)
    }

    pub(crate) fn set_recv_buffer_size(self, size: usize) -> io::Result<()> {
        self.options(|options| options.recv_buffer = bounded(size))
    }

    pub(crate) fn send_buffer_size(self) -> io::Result<usize> {
        self.options(|options| options.send_buffer)
    }

    pub(crate) fn set_send_buffer_size(self, size: usize) -> io::Result<()> {
        self.options(|options| options.send_buffer = bounded(size))
    }

    pub(crate) fn set_recv_tos_v4(self, on: bool) -> io::Result<()> {
        self.options(|options| options.recv_tos = on)
    }

    pub(crate) fn set_recv_tclass_v6(self, on: bool) -> io::Result<()> {
        self.set_recv_tos_v4(on)
    }

    pub(crate) fn set_option(self, level: i32, name: i32, value: i32) -> io::Result<()> {
        self.call(43, |state, id| {
            state.set_ancillary_option(id, (level, name), value != 0)
        })
    }

    pub(crate) fn set_tcp_keepalive(self, _: &TcpKeepalive) -> io::Result<()> {
        self.options(|options| options.keepalive = true)
    }

    pub(crate) fn is_listening(self) -> io::Result<bool> {
        self.call(38, |state, id| Ok(state.listens(id)))
    }

    /// recv(2) without a wait.
    pub(crate) fn try_recv(self, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        let parts = Parts::one(room.as_mut_ptr().cast(), room.len());
        // SAFETY: the memory is borrowed for the call.
        self.try_transfer(|state, id| unsafe {
            state.receive(id, &parts, MSG_DONTWAIT, ptr::null_mut())
        })
    }

    /// As [`try_recv`](Self::try_recv), into the first slice that is not empty.
    pub(crate) fn try_recv_vectored(self, rooms: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let first = rooms.iter_mut().find(|room| !room.is_empty());
        let Some(room) = first else { return Ok(0) };
        let parts = Parts::one(room.as_mut_ptr(), room.len());
        // SAFETY: the memory is borrowed for the call.
        self.try_transfer(|state, id| unsafe {
            state.receive(id, &parts, MSG_DONTWAIT, ptr::null_mut())
        })
    }

    /// send(2) without a wait.
    pub(crate) fn try_send(self, bytes: &[u8]) -> io::Result<usize> {
        let parts = Parts::one(bytes.as_ptr().cast_mut(), bytes.len());
        // SAFETY: the memory is borrowed for the call, which only reads it.
        self.try_transfer(|state, id| unsafe { state.send(id, &parts, MSG_DONTWAIT, None) })
    }

    /// As [`try_send`](Self::try_send), of several slices.
    pub(crate) fn try_send_vectored(self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        self.try_send(&bytes)
    }

    fn try_transfer(
        self,
        attempt: impl FnOnce(&mut State, SocketId) -> Outcome,
    ) -> io::Result<usize> {
        self.call(40, |state, id| match attempt(state, id) {
            Outcome::Done(answer) => answer.map(|len| len as usize),
            Outcome::Wait(..) => Err(EAGAIN),
        })
    }
}
