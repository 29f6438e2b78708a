//! The table that maps requests to overlapped calls.

mod messages;
mod sockets;
mod started;
mod transfer;

use windows_sys::Win32::Networking::WinSock::WSAEOPNOTSUPP;

pub(super) use self::started::Started;
use self::{
    messages::{recv_msg, recv_one, send_msg, send_one},
    sockets::{accept, begin_to_connect, start_poll},
    started::failed,
    transfer::start_transfer,
};
use super::{
    handles::{Kind, Known},
    op_state::{Ask, OpState},
    raw::{Begun, RawEntry},
};
use crate::{
    request::{Net, Poll, Request},
    sys::{
        RawFd,
        windows::{as_socket, is_warning},
    },
};

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

#[cfg(all(test, not(loom)))]
mod tests;
