//! The table that maps requests to overlapped calls.

use std::{
    mem,
    os::windows::io::{FromRawSocket, OwnedSocket, RawSocket},
    ptr,
};

use windows_sys::Win32::{
    Foundation::{ERROR_INVALID_PARAMETER, ERROR_MORE_DATA},
    Networking::WinSock::{
        AF_INET, AF_INET6, MSG_PEEK, SOCK_STREAM, SOCKADDR, SOCKADDR_IN, SOCKADDR_IN6,
        SOCKADDR_STORAGE, SOCKET, WSAEINVAL, WSAENOTCONN, WSAEOPNOTSUPP, WSARecv, WSARecvFrom,
        WSASend, WSASendMsg, WSASendTo, bind, connect, getsockname,
    },
    Storage::FileSystem::{ReadFile, WriteFile},
    System::IO::OVERLAPPED,
};

use super::{
    extensions,
    handles::{Kind, Known},
    op_state::{ADDRESS_ROOM, AcceptRoom, Ask, OpState, RecvCall},
    raw::{Begun, RawEntry},
};
use crate::{
    request::{
        Message, Net, PeerAddress, Poll, Position, RawSlice, Request, Span, Spans, Transfer, ready,
    },
    sys::{
        RawFd,
        windows::{as_handle, as_socket, first_span, is_warning, last_error, new_socket, poll_now},
    },
};

/// How a request was started.
pub(super) enum Started {
    Called(Begun),
    /// It waits for readiness that no call reports: these `poll(2)` bits.
    Retry(u32),
}

impl From<Begun> for Started {
    fn from(begun: Begun) -> Self {
        Self::Called(begun)
    }
}

fn failed(code: i32) -> Started {
    Begun::Over(Err(code)).into()
}

/// The handle of an overlapped request, and whether it is a transfer. `None` for other requests.
pub(super) fn subject_of(request: &Request) -> Option<(RawFd, bool)> {
    match *request {
        Request::Transfer(ref transfer) => Some((transfer.fd(), true)),
        Request::Net(ref net) => match *net {
            Net::Connect { fd, .. }
            | Net::Accept { fd, .. }
            | Net::Recv { fd, .. }
            | Net::Send { fd, .. }
            | Net::RecvMsg { fd, .. }
            | Net::SendMsg { fd, .. } => Some((fd, true)),
            Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::RecvPooled { .. }
            | Net::SendZeroCopy { .. }
            | Net::SendMsgZeroCopy { .. } => None,
        },
        Request::Poll(Poll::Once { fd, .. }) => match fd {
            RawFd::Socket(_) => Some((fd, true)),
            RawFd::Handle(_) => None,
        },
        // SAFETY: the entry is valid until the request completes.
        Request::Raw(entry) => Some((unsafe { (*entry).fd }, false)),
        Request::Nop
        | Request::Invalid
        | Request::FileOp(_)
        | Request::Path(_)
        | Request::Control(_)
        | Request::Splice(_)
        | Request::Blocking(_) => None,
    }
}

/// Makes the overlapped call for the request.
///
/// # Safety
///
/// The request's descriptors and memory, and `op_state`, which has been prepared for it, are valid
/// until the call is over.
pub(super) unsafe fn start(request: &Request, known: Known, op_state: *mut OpState) -> Started {
    // SAFETY: passed on from this function.
    unsafe {
        match *request {
            Request::Transfer(ref transfer) => {
                start_transfer(transfer, known.kind, op_state).into()
            }
            Request::Net(ref net) => start_net(net, known.kind, op_state),
            Request::Poll(Poll::Once { fd, events }) => {
                start_poll(as_socket(fd), events, known.kind, op_state)
            }
            Request::Raw(entry) => start_raw(entry, op_state).into(),
            Request::Nop
            | Request::Invalid
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Blocking(_) => failed(WSAEOPNOTSUPP),
        }
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn start_raw(entry: *const RawEntry, op_state: *mut OpState) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        (*op_state).ask = Ask::Raw(entry);
        let overlapped = &raw mut (*op_state).overlapped;
        let begun = ((*entry).begin)((*entry).fd, overlapped.cast(), (*entry).data);
        match begun {
            Begun::Over(Err(_)) if is_warning(&*overlapped) => Begun::Pending,
            begun @ (Begun::Success | Begun::Pending | Begun::Over(_)) => begun,
        }
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn start_transfer(transfer: &Transfer, kind: Kind, op_state: *mut OpState) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        match *transfer {
            Transfer::Read { fd, span, position } => read(fd, span, position, kind, op_state),
            Transfer::Write { fd, span, position } => write(fd, span, position, kind, op_state),
            Transfer::ReadVectored {
                fd: RawFd::Socket(socket),
                spans,
                ..
            } if first_span(spans).len > 0 => recv(socket as SOCKET, spans, 0, op_state),
            Transfer::WriteVectored {
                fd: RawFd::Socket(socket),
                spans,
                ..
            } => send(socket as SOCKET, spans, 0, op_state),
            // For handles, scatter and gather calls take whole pages only.
            Transfer::ReadVectored {
                fd,
                spans,
                position,
            } => read(fd, first_span(spans), position, kind, op_state),
            Transfer::WriteVectored {
                fd,
                spans,
                position,
            } => write(fd, first_span(spans), position, kind, op_state),
        }
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn read(
    fd: RawFd,
    span: Span,
    position: Position,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
    if span.len == 0 {
        // The system would wait for data.
        return Begun::Over(Ok(0));
    }
    // SAFETY: passed on from this function.
    unsafe {
        if let RawFd::Socket(socket) = fd {
            return recv_one(socket as SOCKET, span, 0, op_state);
        }
        let overlapped = match place(position, kind, op_state) {
            Ok(overlapped) => overlapped,
            Err(code) => return Begun::Over(Err(code)),
        };
        (*op_state).ask = Ask::Read;
        let returned = ReadFile(
            as_handle(fd),
            span.start,
            span.len,
            ptr::null_mut(),
            overlapped,
        );
        match Begun::new(returned != 0) {
            // A part of a pipe's message: neither success nor an error. A packet reports it.
            Begun::Over(Err(code)) if code == ERROR_MORE_DATA as i32 => Begun::Pending,
            begun @ (Begun::Success | Begun::Pending | Begun::Over(_)) => begun,
        }
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn write(
    fd: RawFd,
    span: Span,
    position: Position,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        if let RawFd::Socket(socket) = fd {
            return send_one(socket as SOCKET, span, 0, op_state);
        }
        let overlapped = match place(position, kind, op_state) {
            Ok(overlapped) => overlapped,
            Err(code) => return Begun::Over(Err(code)),
        };
        (*op_state).ask = Ask::Write;
        let returned = WriteFile(
            as_handle(fd),
            span.start,
            span.len,
            ptr::null_mut(),
            overlapped,
        );
        Begun::new(returned != 0)
    }
}

/// Writes the position of the transfer into the OVERLAPPED.
///
/// # Safety
///
/// `op_state` is valid, and no call uses it.
unsafe fn place(
    position: Position,
    kind: Kind,
    op_state: *mut OpState,
) -> Result<*mut OVERLAPPED, i32> {
    let offset = match position {
        // A file opened for overlapped calls has no cursor.
        Position::Cursor if kind == Kind::File => return Err(ERROR_INVALID_PARAMETER as i32),
        Position::Cursor => 0,
        // The largest values mean "the end" and "the cursor".
        Position::At(offset) if i64::try_from(offset).is_err() => {
            return Err(ERROR_INVALID_PARAMETER as i32);
        }
        Position::At(offset) => offset,
    };
    // SAFETY: by this function's contract.
    unsafe {
        let overlapped = &raw mut (*op_state).overlapped;
        (*overlapped).Anonymous.Anonymous.Offset = offset as u32;
        (*overlapped).Anonymous.Anonymous.OffsetHigh = (offset >> 32) as u32;
        Ok(overlapped)
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn start_net(net: &Net, kind: Kind, op_state: *mut OpState) -> Started {
    // SAFETY: passed on from this function.
    unsafe {
        match *net {
            Net::Connect { fd, address, len } => {
                let (address, len) = (address.cast(), len as i32);
                begin_to_connect(as_socket(fd), address, len, kind, op_state)
            }
            Net::Accept { fd, peer } => accept(as_socket(fd), peer, kind, op_state),
            Net::Recv { fd, span, flags } => recv_one(as_socket(fd), span, flags as u32, op_state),
            Net::Send { fd, span, flags } => send_one(as_socket(fd), span, flags as u32, op_state),
            Net::RecvMsg { fd, message, flags } => {
                recv_msg(as_socket(fd), message, flags as u32, kind, op_state)
            }
            Net::SendMsg { fd, message, flags } => {
                send_msg(as_socket(fd), message, flags as u32, kind, op_state)
            }
            Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::RecvPooled { .. }
            | Net::SendZeroCopy { .. }
            | Net::SendMsgZeroCopy { .. } => Begun::Over(Err(WSAEOPNOTSUPP)),
        }
        .into()
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn recv_one(socket: SOCKET, span: Span, flags: u32, op_state: *mut OpState) -> Begun {
    let slice = RawSlice::new(span.start, span.len as usize);
    // SAFETY: passed on from this function.
    unsafe { recv(socket, only(&slice), flags, op_state) }
}

/// # Safety
///
/// As [`start`].
unsafe fn send_one(socket: SOCKET, span: Span, flags: u32, op_state: *mut OpState) -> Begun {
    let slice = RawSlice::new(span.start, span.len as usize);
    // SAFETY: passed on from this function.
    unsafe { send(socket, only(&slice), flags, op_state) }
}

/// The list of one slice.
fn only(slice: &RawSlice) -> Spans {
    Spans {
        first: slice,
        count: 1,
    }
}

/// # Safety
///
/// As [`start`]. The list itself is read by the call alone.
unsafe fn recv(socket: SOCKET, spans: Spans, flags: u32, op_state: *mut OpState) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        (*op_state).ask = Ask::Recv;
        (*op_state).flags = flags;
        let returned = WSARecv(
            socket,
            RawSlice::as_wsabufs(spans.first),
            spans.count,
            ptr::null_mut(),
            &raw mut (*op_state).flags,
            &raw mut (*op_state).overlapped,
            None,
        );
        Begun::new(returned == 0)
    }
}

/// # Safety
///
/// As [`recv`].
unsafe fn send(socket: SOCKET, spans: Spans, flags: u32, op_state: *mut OpState) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        (*op_state).ask = Ask::Send;
        let returned = WSASend(
            socket,
            RawSlice::as_wsabufs(spans.first),
            spans.count,
            ptr::null_mut(),
            flags,
            &raw mut (*op_state).overlapped,
            None,
        );
        Begun::new(returned == 0)
    }
}

/// Streams have no messages here: without address and ancillary data, `WSARecv` receives.
///
/// # Safety
///
/// As [`start`].
unsafe fn recv_msg(
    socket: SOCKET,
    message: *mut Message,
    flags: u32,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        let header = Message::as_wsamsg(message);
        let overlapped = &raw mut (*op_state).overlapped;
        (*op_state).flags = flags;
        let returned = if is_stream(kind) {
            let call = RecvCall::Plain;
            (*op_state).ask = Ask::RecvMsg { message, call };
            WSARecv(
                socket,
                (*header).lpBuffers,
                (*header).dwBufferCount,
                ptr::null_mut(),
                &raw mut (*op_state).flags,
                overlapped,
                None,
            )
        } else if (*header).Control.len == 0 {
            let call = RecvCall::From;
            (*op_state).ask = Ask::RecvMsg { message, call };
            let len = if (*header).name.is_null() {
                ptr::null_mut()
            } else {
                &raw mut (*header).namelen
            };
            WSARecvFrom(
                socket,
                (*header).lpBuffers,
                (*header).dwBufferCount,
                ptr::null_mut(),
                &raw mut (*op_state).flags,
                (*header).name,
                len,
                overlapped,
                None,
            )
        } else {
            let call = RecvCall::Msg;
            (*op_state).ask = Ask::RecvMsg { message, call };
            (*header).dwFlags = flags;
            match extensions::recv_msg(socket) {
                Ok(recv_msg) => recv_msg(socket, header, ptr::null_mut(), overlapped, None),
                Err(code) => return Begun::Over(Err(code)),
            }
        };
        Begun::new(returned == 0)
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn send_msg(
    socket: SOCKET,
    message: *const Message,
    flags: u32,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
    // SAFETY: passed on from this function; the header is only read.
    unsafe {
        let header = Message::as_wsamsg(message.cast_mut());
        let overlapped = &raw mut (*op_state).overlapped;
        (*op_state).ask = Ask::Send;
        let returned = if (*header).Control.len != 0 {
            if is_stream(kind) {
                return Begun::Over(Err(WSAEOPNOTSUPP));
            }
            WSASendMsg(socket, header, flags, ptr::null_mut(), overlapped, None)
        } else if (*header).name.is_null() || is_stream(kind) {
            WSASend(
                socket,
                (*header).lpBuffers,
                (*header).dwBufferCount,
                ptr::null_mut(),
                flags,
                overlapped,
                None,
            )
        } else {
            WSASendTo(
                socket,
                (*header).lpBuffers,
                (*header).dwBufferCount,
                ptr::null_mut(),
                flags,
                (*header).name,
                (*header).namelen,
                overlapped,
                None,
            )
        };
        Begun::new(returned == 0)
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn begin_to_connect(
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
            return match connect(socket, address, len) {
                0 => Begun::Over(Ok(0)),
                _ => Begun::Over(Err(last_error())),
            };
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
        match bind(socket, (&raw const address).cast(), len as i32) {
            0 => Ok(()),
            _ => Err(last_error()),
        }
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn accept(
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
        let returned = accept_ex(
            listener,
            raw,
            room,
            0,
            ADDRESS_ROOM,
            ADDRESS_ROOM,
            &mut received,
            &raw mut (*op_state).overlapped,
        );
        Begun::new(returned != 0)
    }
}

/// # Safety
///
/// As [`start`].
unsafe fn start_poll(socket: SOCKET, events: u32, kind: Kind, op_state: *mut OpState) -> Started {
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

fn is_stream(kind: Kind) -> bool {
    match kind {
        Kind::Socket { is_stream, .. } => is_stream,
        Kind::File | Kind::Stream => true,
    }
}
