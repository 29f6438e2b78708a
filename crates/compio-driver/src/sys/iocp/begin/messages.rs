//! The overlapped sends and receives of sockets.

use std::ptr;

use windows_sys::Win32::Networking::WinSock::{
    SOCKET, WSAEOPNOTSUPP, WSARecv, WSARecvFrom, WSASend, WSASendMsg, WSASendTo,
};

use super::super::{
    extensions,
    handles::Kind,
    op_state::{Ask, OpState, RecvCall},
    raw::Begun,
};
use crate::{
    request::{Message, RawSlice, Span, Spans},
    sys::windows::fake::{self, Call},
};

/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn recv_one(
    socket: SOCKET,
    span: Span,
    flags: u32,
    op_state: *mut OpState,
) -> Begun {
    let slice = RawSlice::new(span.start, span.len as usize);
    // SAFETY: passed on from this function.
    unsafe { recv(socket, only(&slice), flags, op_state) }
}

/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn send_one(
    socket: SOCKET,
    span: Span,
    flags: u32,
    op_state: *mut OpState,
) -> Begun {
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
/// As [`start`](super::start). The list itself is read by the call alone.
pub(super) unsafe fn recv(
    socket: SOCKET,
    spans: Spans,
    flags: u32,
    op_state: *mut OpState,
) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        (*op_state).ask = Ask::Recv;
        (*op_state).flags = flags;
        let overlapped = &raw mut (*op_state).overlapped;
        if let Some(answer) = fake::answer(Call::Read { overlapped }) {
            return Begun::faked(answer);
        }
        let returned = WSARecv(
            socket,
            RawSlice::as_wsabufs(spans.first),
            spans.count,
            ptr::null_mut(),
            &raw mut (*op_state).flags,
            overlapped,
            None,
        );
        Begun::new(returned == 0)
    }
}

/// # Safety
///
/// As [`recv`].
pub(super) unsafe fn send(
    socket: SOCKET,
    spans: Spans,
    flags: u32,
    op_state: *mut OpState,
) -> Begun {
    // SAFETY: passed on from this function.
    unsafe {
        (*op_state).ask = Ask::Send;
        let overlapped = &raw mut (*op_state).overlapped;
        if let Some(answer) = fake::answer(Call::Write { overlapped }) {
            return Begun::faked(answer);
        }
        let returned = WSASend(
            socket,
            RawSlice::as_wsabufs(spans.first),
            spans.count,
            ptr::null_mut(),
            flags,
            overlapped,
            None,
        );
        Begun::new(returned == 0)
    }
}

/// Streams have no messages here: without address and ancillary data, `WSARecv` receives.
///
/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn recv_msg(
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
/// As [`start`](super::start).
pub(super) unsafe fn send_msg(
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

pub(super) fn is_stream(kind: Kind) -> bool {
    match kind {
        Kind::Socket { is_stream, .. } => is_stream,
        Kind::File | Kind::Stream => true,
    }
}
