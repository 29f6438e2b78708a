//! The overlapped calls that connect and accept, and the polls of sockets.

use std::{
    mem,
    os::windows::io::{FromRawSocket, OwnedSocket, RawSocket},
    ptr,
};

use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, MSG_PEEK, SO_REUSE_UNICASTPORT, SOCK_STREAM, SOCKADDR, SOCKADDR_IN,
    SOCKADDR_IN6, SOCKADDR_STORAGE, SOCKET, SOL_SOCKET, WSAEINVAL, WSAENOTCONN, WSAEOPNOTSUPP,
    bind, connect, getsockname,
};

use super::super::{
    extensions,
    handles::Kind,
    op_state::{ADDRESS_ROOM, AcceptRoom, Ask, OpState},
    raw::Begun,
};
use super::{
    messages::{is_stream, recv_one},
    started::Started,
};
use crate::{
    request::{PeerAddress, Span, ready},
    sys::windows::{
        fake::{self, Call},
        is_connected, last_error, new_socket, poll_now, report_unreachable, set_socket_option,
    },
};

/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn begin_to_connect(
    socket: SOCKET,
    address: *const SOCKADDR,
    len: i32,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        if !is_stream(kind) {
            // For datagrams, connect only stores the address.
            if connect(socket, address, len) != 0 {
                return Begun::Over(Err(last_error()));
            }
            // A connect to no address has removed the peer.
            report_unreachable(socket, is_connected(socket));
            return Begun::Over(Ok(0));
        }
        let bound = bind_anywhere(socket, kind);
        let connect_ex = match bound.and_then(|()| extensions::connect_ex(socket)) {
            Ok(connect_ex) => connect_ex,
            Err(code) => return Begun::Over(Err(code)),
        };
        (*op_state).ask = Ask::Connect;
        let returned = connect_ex(
            socket,
            address,
            len,
            ptr::null(),
            0,
            ptr::null_mut(),
            &raw mut (*op_state).overlapped,
        );
        Begun::new(returned != 0)
    }
}

/// `ConnectEx` needs a bound socket. A socket that is bound keeps its address.
fn bind_anywhere(socket: SOCKET, kind: Kind) -> Result<(), i32> {
    let Kind::Socket { family, .. } = kind else {
        return Ok(());
    };
    // SAFETY: all zeroes are the address "any" with the port "any" of each family; the storage
    // outlives the calls.
    unsafe {
        let mut address: SOCKADDR_STORAGE = mem::zeroed();
        let mut len = size_of_val(&address) as i32;
        if getsockname(socket, (&raw mut address).cast(), &mut len) == 0
            || last_error() != WSAEINVAL
        {
            // The connect will report this error, too.
            return Ok(());
        }
        address = mem::zeroed();
        address.ss_family = family as u16;
        let len = match address.ss_family {
            AF_INET => size_of::<SOCKADDR_IN>(),
            AF_INET6 => size_of::<SOCKADDR_IN6>(),
            _ => return Err(WSAEOPNOTSUPP),
        };
        // As an implicit bind of `connect` does: the connect chooses the port, and connections to different
        // peers may share one. Otherwise each connection of this machine takes a port of its own, of which there
        // are 16,384. Systems before Windows 10 refuse the option.
        let _ = set_socket_option(socket, SOL_SOCKET, SO_REUSE_UNICASTPORT, 1);
        match bind(socket, (&raw const address).cast(), len as i32) {
            0 => Ok(()),
            _ => Err(last_error()),
        }
    }
}

/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn accept(
    listener: SOCKET,
    peer: *mut PeerAddress,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
    let Kind::Socket { family, .. } = kind else {
        return Begun::Over(Err(WSAEOPNOTSUPP));
    };
    // SAFETY: passed on from this function.
    unsafe {
        let accept_ex = match extensions::accept_ex(listener) {
            Ok(accept_ex) => accept_ex,
            Err(code) => return Begun::Over(Err(code)),
        };
        let raw = match new_socket(family, SOCK_STREAM, 0) {
            Ok(raw) => raw,
            Err(code) => return Begun::Over(Err(code)),
        };
        (*op_state).ask = Ask::Accept {
            peer,
            socket: OwnedSocket::from_raw_socket(raw as RawSocket),
        };
        let room = (*op_state).room.get_or_insert_with(AcceptRoom::new);
        let room = ptr::from_mut(&mut **room).cast();
        let mut received = 0;
        let overlapped = &raw mut (*op_state).overlapped;
        if let Some(answer) = fake::answer(Call::Accept { overlapped }) {
            return Begun::faked(answer);
        }
        let returned = accept_ex(
            listener,
            raw,
            room,
            0,
            ADDRESS_ROOM,
            ADDRESS_ROOM,
            &mut received,
            overlapped,
        );
        Begun::new(returned != 0)
    }
}

/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn start_poll(
    socket: SOCKET,
    events: u32,
    kind: Kind,
    op_state: *mut OpState,
) -> Started {
    match poll_now(socket, events) {
        Ok(0) => {}
        answer => return Begun::Over(answer).into(),
    }
    if events & (ready::OUT | ready::PRI) != 0 {
        return Started::Retry(events);
    }
    let nothing = Span::new(ptr::dangling_mut(), 0);
    // Without MSG_PEEK a datagram would be lost.
    let flags = if is_stream(kind) { 0 } else { MSG_PEEK as u32 };
    // SAFETY: passed on from this function.
    let begun = unsafe { recv_one(socket, nothing, flags, op_state) };
    if matches!(begun, Begun::Over(Err(WSAENOTCONN | WSAEINVAL))) {
        // The socket listens, or is not connected yet.
        return Started::Retry(events);
    }
    // SAFETY: likewise; only this thread uses it.
    unsafe { (*op_state).ask = Ask::Readable { events } };
    begun.into()
}
