//! The backend's state of an operation in flight: the OVERLAPPED, and the data that the completion
//! of the call needs.

use std::{
    mem,
    os::windows::io::{AsRawSocket, IntoRawSocket, OwnedSocket},
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Acquire},
};

use windows_sys::Win32::{
    Foundation::{ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_MORE_DATA, STATUS_PENDING},
    Networking::WinSock::{
        MSG_TRUNC, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKADDR, SOCKADDR_STORAGE,
        SOCKET, SOL_SOCKET, WSAEMSGSIZE, WSAESHUTDOWN, WSAGetOverlappedResult, setsockopt,
    },
    System::IO::{GetOverlappedResult, OVERLAPPED},
};

use super::{attachment::Attaching, extensions, raw::RawEntry, wait::Wait};
use crate::{
    key::Key,
    request::{Message, PeerAddress, RawResult, ready},
    sys::{
        ECANCELED, RawFd,
        windows::{as_handle, as_socket, last_error, part_of_cancelled, poll_now},
    },
};

/// The room that `AcceptEx` needs for each of the two addresses.
pub(super) const ADDRESS_ROOM: u32 = size_of::<SOCKADDR_STORAGE>() as u32 + 16;

/// Where an `AcceptEx` writes both.
#[repr(C, align(8))]
pub(super) struct AcceptRoom([u8; 2 * ADDRESS_ROOM as usize]);

impl AcceptRoom {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self([0; _]))
    }
}

/// The backend's own memory in the cell of an operation. The OVERLAPPED is the first field: both have
/// the same address.
#[repr(C)]
pub(crate) struct OpState {
    pub(super) overlapped: OVERLAPPED,
    /// The flags of a receive.
    pub(super) flags: u32,
    pub(super) key: Key,
    pub(super) fd: RawFd,
    pub(super) ask: Ask,
    /// Kept for the next operation in this cell.
    pub(super) room: Option<Box<AcceptRoom>>,
    /// For calls that signal a handle instead of queueing a packet.
    pub(super) wait: Option<Wait>,
    /// The last call for this cell that attached a handle in the thread pool.
    pub(super) attaching: Option<Attaching>,
    /// How many cancels the backend had requested when the call began.
    pub(super) cancels_before: u64,
    /// Whether the backend has recorded this address.
    pub(super) is_known: bool,
}

/// The call in flight, with the data that its completion needs.
pub(super) enum Ask {
    Nothing,
    Nop,
    Read,
    Write,
    Recv,
    Send,
    RecvMsg {
        message: *mut Message,
        call: RecvCall,
    },
    Connect,
    Accept {
        peer: *mut PeerAddress,
        socket: OwnedSocket,
    },
    /// A wait for readiness to receive.
    Readable {
        events: u32,
    },
    /// A wait for a handle to be signalled.
    Signal,
    Raw(*const RawEntry),
}

/// Which call receives a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RecvCall {
    /// `WSARecv`, on a stream: only bytes.
    Plain,
    /// `WSARecvFrom`: bytes and the sender's address.
    From,
    /// `WSARecvMsg`: bytes, address and ancillary data.
    Msg,
}

impl OpState {
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: a plain C struct for which all zeroes mean "nothing".
            overlapped: unsafe { mem::zeroed() },
            flags: 0,
            key: Key::from(0),
            fd: RawFd::Handle(ptr::null_mut()),
            ask: Ask::Nothing,
            room: None,
            wait: None,
            attaching: None,
            cancels_before: 0,
            is_known: false,
        }
    }

    /// Prepares for a new operation.
    pub(super) fn prepare(&mut self, key: Key, fd: RawFd) {
        // SAFETY: a plain C struct for which all zeroes mean "nothing".
        self.overlapped = unsafe { mem::zeroed() };
        self.key = key;
        self.fd = fd;
    }

    /// Drops the state of the completed call.
    pub(super) fn clear(&mut self) {
        self.ask = Ask::Nothing;
        self.wait = None;
    }

    /// Whether the call is over. A packet alone does not prove it: a call that returns with a warning
    /// is over, but its packet still comes, when the cell may be in use again.
    ///
    /// # Safety
    ///
    /// `this` is valid. A call may be in flight.
    pub(super) unsafe fn is_over(this: *mut Self) -> bool {
        // SAFETY: by this function's contract. While a call is in flight only this field of its
        // OVERLAPPED is read, which is aligned and lives as long.
        unsafe {
            match (*this).ask {
                Ask::Nothing => false,
                Ask::Nop => true,
                Ask::Signal => (*this).wait.as_ref().is_some_and(Wait::has_fired),
                Ask::Read
                | Ask::Write
                | Ask::Recv
                | Ask::Send
                | Ask::RecvMsg { .. }
                | Ask::Connect
                | Ask::Accept { .. }
                | Ask::Readable { .. }
                | Ask::Raw(_) => {
                    let status = AtomicUsize::from_ptr(&raw mut (*this).overlapped.Internal);
                    // Acquire: pairs with the system's store, which follows its writes to the buffers.
                    status.load(Acquire) != STATUS_PENDING as usize
                }
            }
        }
    }

    /// Returns the result of a call that is over, and clears its state.
    ///
    /// # Safety
    ///
    /// The call is over, and the memory that it fills in is still valid.
    pub(super) unsafe fn finish(&mut self) -> RawResult {
        let outcome = match self.ask {
            Ask::Nothing | Ask::Nop | Ask::Signal => Outcome {
                bytes: 0,
                result: Ok(0),
            },
            Ask::Read
            | Ask::Write
            | Ask::Recv
            | Ask::Send
            | Ask::RecvMsg { .. }
            | Ask::Connect
            | Ask::Accept { .. }
            | Ask::Readable { .. }
            | Ask::Raw(_) => self.outcome(),
        };
        // SAFETY: passed on from this function.
        unsafe { self.conclude(outcome) }
    }

    /// As [`finish`](Self::finish), for a call that has returned with this error: it means the same
    /// as an error that a packet reports.
    ///
    /// # Safety
    ///
    /// As [`finish`](Self::finish).
    pub(super) unsafe fn fail(&mut self, code: i32) -> RawResult {
        let outcome = Outcome {
            // For a truncated message the system has written the received length.
            bytes: self.overlapped.InternalHigh as u32,
            result: Err(code),
        };
        // SAFETY: passed on from this function.
        unsafe { self.conclude(outcome) }
    }

    /// # Safety
    ///
    /// As [`finish`](Self::finish).
    unsafe fn conclude(&mut self, outcome: Outcome) -> RawResult {
        let ask = mem::replace(&mut self.ask, Ask::Nothing);
        self.wait = None;
        let Outcome { bytes, result } = outcome;
        match ask {
            Ask::Nothing | Ask::Nop => result,
            Ask::Write | Ask::Send => part_of_cancelled(bytes, result),
            Ask::Signal => Ok(ready::IN),
            Ask::Raw(entry) => {
                // SAFETY: the entry is still valid, by this function's contract.
                unsafe { (*entry).transferred.set(bytes) };
                result
            }
            Ask::Read => part_of_cancelled(bytes, result).or_else(|code| match code as u32 {
                ERROR_HANDLE_EOF | ERROR_BROKEN_PIPE => Ok(0),
                // The next read gets the rest of the message.
                ERROR_MORE_DATA => Ok(bytes),
                _ => Err(code),
            }),
            Ask::Recv => received(bytes, result).0,
            // SAFETY: the message is still valid, by this function's contract.
            Ask::RecvMsg { message, call } => unsafe {
                self.finish_recv_msg(message, call, received(bytes, result))
            },
            Ask::Connect => {
                result?;
                update_context(as_socket(self.fd), SO_UPDATE_CONNECT_CONTEXT, None)?;
                Ok(0)
            }
            Ask::Accept { peer, socket } => {
                result?;
                // SAFETY: likewise.
                unsafe { self.finish_accept(socket, peer) }
            }
            Ask::Readable { events } => {
                match result {
                    Err(ECANCELED) => Err(ECANCELED),
                    // The next receive reports an error, too. Data was there, even if another
                    // receive has taken it since.
                    Ok(_) | Err(_) => {
                        let now = poll_now(as_socket(self.fd), events).unwrap_or(0);
                        Ok(now | events & ready::IN)
                    }
                }
            }
        }
    }

    /// # Safety
    ///
    /// The message is valid.
    unsafe fn finish_recv_msg(
        &mut self,
        message: *mut Message,
        call: RecvCall,
        (answer, is_cut): (RawResult, bool),
    ) -> RawResult {
        // SAFETY: by this function's contract.
        unsafe {
            let header = &mut *Message::as_wsamsg(message);
            if call == RecvCall::Plain {
                header.namelen = 0;
            }
            if call != RecvCall::Msg {
                header.Control.len = 0;
                header.dwFlags = self.flags;
            }
            if is_cut {
                header.dwFlags |= MSG_TRUNC;
            }
        }
        answer
    }

    /// # Safety
    ///
    /// `peer` is valid.
    unsafe fn finish_accept(&mut self, socket: OwnedSocket, peer: *mut PeerAddress) -> RawResult {
        let raw = socket.as_raw_socket() as SOCKET;
        update_context(raw, SO_UPDATE_ACCEPT_CONTEXT, Some(as_socket(self.fd)))?;
        let addresses = extensions::accept_addresses(raw)?;
        if let Some(room) = &self.room {
            let mut local: *mut SOCKADDR = ptr::null_mut();
            let mut remote: *mut SOCKADDR = ptr::null_mut();
            let (mut local_len, mut remote_len) = (0, 0);
            // SAFETY: an `AcceptEx` with the same lengths has filled in the room; the returned
            // addresses lie in it.
            unsafe {
                addresses(
                    ptr::from_ref(&**room).cast(),
                    0,
                    ADDRESS_ROOM,
                    ADDRESS_ROOM,
                    &mut local,
                    &mut local_len,
                    &mut remote,
                    &mut remote_len,
                );
                PeerAddress::fill(peer, remote, remote_len);
            }
        }
        Ok(socket.into_raw_socket() as u32)
    }

    /// Waits for the end of a call that has an event.
    ///
    /// # Safety
    ///
    /// `this` belongs to a call in flight.
    pub(super) unsafe fn wait_for_end(this: *mut Self) {
        let mut bytes = 0;
        // SAFETY: the OVERLAPPED belongs to a call on this handle. No reference to it is made, because
        // the system writes to it during the call.
        unsafe {
            let overlapped = &raw const (*this).overlapped;
            GetOverlappedResult(as_handle((*this).fd), overlapped, &mut bytes, 1);
        }
    }

    /// The system's result of the call.
    fn outcome(&mut self) -> Outcome {
        let mut bytes = 0;
        // SAFETY: the OVERLAPPED belongs to a call on this handle, which is over.
        let succeeded = unsafe {
            match self.fd {
                RawFd::Handle(handle) => {
                    GetOverlappedResult(handle, &self.overlapped, &mut bytes, 0)
                }
                RawFd::Socket(socket) => WSAGetOverlappedResult(
                    socket as SOCKET,
                    &self.overlapped,
                    &mut bytes,
                    0,
                    &mut self.flags,
                ),
            }
        };
        let result = if succeeded != 0 {
            Ok(bytes)
        } else {
            Err(last_error())
        };
        Outcome { bytes, result }
    }
}

struct Outcome {
    /// Bytes transferred, also by a call that failed in the end.
    bytes: u32,
    result: RawResult,
}

/// A receive as on unix: a message that does not fit is truncated, which is no error, and a direction
/// that this side has shut down is at EOF. Also returns whether the message was truncated.
fn received(bytes: u32, result: RawResult) -> (RawResult, bool) {
    match part_of_cancelled(bytes, result) {
        Err(WSAEMSGSIZE) => (Ok(bytes), true),
        Err(WSAESHUTDOWN) => (Ok(0), false),
        result => (result, false),
    }
}

/// Enables all socket calls on a socket that `ConnectEx` or `AcceptEx` has connected.
fn update_context(socket: SOCKET, option: i32, listener: Option<SOCKET>) -> RawResult {
    let (value, len) = match &listener {
        Some(listener) => (ptr::from_ref(listener).cast(), size_of::<SOCKET>()),
        None => (ptr::null(), 0),
    };
    // SAFETY: the value has the length passed, and outlives the call.
    match unsafe { setsockopt(socket, SOL_SOCKET, option, value, len as i32) } {
        0 => Ok(0),
        _ => Err(last_error()),
    }
}
