//! The overlapped reads and writes of files and pipes.

use std::ptr;

use windows_sys::Win32::{
    Foundation::{ERROR_INVALID_PARAMETER, ERROR_MORE_DATA},
    Networking::WinSock::SOCKET,
    Storage::FileSystem::{ReadFile, WriteFile},
    System::IO::OVERLAPPED,
};

use super::super::{
    handles::Kind,
    op_state::{Ask, OpState},
    raw::Begun,
};
use super::messages::{recv, recv_one, send, send_one};
use crate::{
    request::{Position, Span, Transfer},
    sys::{
        RawFd,
        windows::{
            as_handle,
            fake::{self, Call},
            first_span,
        },
    },
};

/// # Safety
///
/// As [`start`](super::start).
pub(super) unsafe fn start_transfer(
    transfer: &Transfer,
    kind: Kind,
    op_state: *mut OpState,
) -> Begun {
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
/// As [`start`](super::start).
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
        if let Some(answer) = fake::answer(Call::Read { overlapped }) {
            return Begun::faked(answer);
        }
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
/// As [`start`](super::start).
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
        if let Some(answer) = fake::answer(Call::Write { overlapped }) {
            return Begun::faked(answer);
        }
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

#[cfg(all(test, not(loom)))]
mod tests;
