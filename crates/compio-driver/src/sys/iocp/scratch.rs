//! What lies beside an operation while it flies: the OVERLAPPED, and what the end of the call has
//! to know.

use std::{
    mem,
    os::windows::io::{AsRawSocket, IntoRawSocket, OwnedSocket},
    ptr,
};

use windows_sys::Win32::{
    Foundation::{ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_MORE_DATA},
    Networking::WinSock::{
        MSG_TRUNC, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKADDR, SOCKADDR_STORAGE,
        SOCKET, SOL_SOCKET, WSAEMSGSIZE, WSAESHUTDOWN, WSAGetOverlappedResult, setsockopt,
    },
    System::IO::{GetOverlappedResult, OVERLAPPED},
};

use super::{extensions, wait::Wait};
use crate::{
    flight::Key,
    request::{Answer, Message, PeerAddress, ready},
    sys::{
        RawFd,
        windows::{as_handle, as_socket, last_error, poll_now},
    },
};

/// What an `AcceptEx` wants for each of the two addresses.
pub(super) const ADDRESS_ROOM: u32 = size_of::<SOCKADDR_STORAGE>() as u32 + 16;

/// Where an `AcceptEx` writes both.
#[repr(C, align(8))]
pub(super) struct AcceptRoom([u8; 2 * ADDRESS_ROOM as usize]);

impl AcceptRoom {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self([0; _]))
    }
}

/// A backend's own memory in the cell of a flight. The OVERLAPPED is the first field: its address
/// is that of the scratch.
#[repr(C)]
pub(crate) struct Scratch {
    pub(super) overlapped: OVERLAPPED,
    /// The flags of a receive.
    pub(super) flags: u32,
    pub(super) key: Key,
    pub(super) fd: RawFd,
    pub(super) ask: Ask,
    /// Kept from flight to flight.
    pub(super) room: Option<Box<AcceptRoom>>,
    /// Where something has to be waited for.
    pub(super) wait: Option<Wait>,
}

/// What has been asked, as far as the end has to know.
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
    /// That something can be received.
    Readable {
        events: u32,
    },
    /// That a handle is signalled.
    Signal,
    Raw,
}

/// Which call receives a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RecvCall {
    /// `WSARecv`, on a stream: bytes and nothing else.
    Plain,
    /// `WSARecvFrom`: with the sender's address.
    From,
    /// `WSARecvMsg`: with everything.
    Msg,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            // SAFETY: a plain C struct for which all zeroes mean "nothing".
            overlapped: unsafe { mem::zeroed() },
            flags: 0,
            key: Key::from_bits(0),
            fd: RawFd::Handle(ptr::null_mut()),
            ask: Ask::Nothing,
            room: None,
            wait: None,
        }
    }

    /// For a new flight.
    pub(super) fn prepare(&mut self, key: Key, fd: RawFd) {
        // SAFETY: a plain C struct for which all zeroes mean "nothing".
        self.overlapped = unsafe { mem::zeroed() };
        self.key = key;
        self.fd = fd;
    }

    /// The flight is over: what of it need not be kept is dropped.
    pub(super) fn clear(&mut self) {
        self.ask = Ask::Nothing;
        self.wait = None;
    }

    /// Says how a call that is over has ended, after which nothing of it is left.
    ///
    /// # Safety
    ///
    /// The call is over, and what was asked to be filled in is still there.
    pub(super) unsafe fn finish(&mut self) -> Answer {
        let ask = mem::replace(&mut self.ask, Ask::Nothing);
        self.wait = None;
        match ask {
            Ask::Nothing | Ask::Nop => Ok(0),
            Ask::Signal => Ok(ready::IN),
            Ask::Raw => self.outcome().result,
            Ask::Write | Ask::Send => self.outcome().result,
            Ask::Read => {
                let Outcome { bytes, result } = self.outcome();
                result.or_else(|code| match code as u32 {
                    ERROR_HANDLE_EOF | ERROR_BROKEN_PIPE => Ok(0),
                    // The rest of the message is read next.
                    ERROR_MORE_DATA => Ok(bytes),
                    _ => Err(code),
                })
            }
            Ask::Recv => {
                let Outcome { bytes, result } = self.outcome();
                received(bytes, result).0
            }
            // SAFETY: the message is still there, by this function's contract.
            Ask::RecvMsg { message, call } => unsafe { self.finish_recv_msg(message, call) },
            Ask::Connect => {
                self.outcome().result?;
                update_context(as_socket(self.fd), SO_UPDATE_CONNECT_CONTEXT, None)?;
                Ok(0)
            }
            Ask::Accept { peer, socket } => {
                self.outcome().result?;
                // SAFETY: likewise.
                unsafe { self.finish_accept(socket, peer) }
            }
            Ask::Readable { events } => {
                match self.outcome().result {
                    Err(code) if code == crate::sys::ECANCELED => Err(code),
                    // An error is something to be received, too; and so was what somebody else has
                    // received meanwhile.
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
    /// The message is there.
    unsafe fn finish_recv_msg(&mut self, message: *mut Message, call: RecvCall) -> Answer {
        let Outcome { bytes, result } = self.outcome();
        let (answer, is_cut) = received(bytes, result);
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
    /// The peer's address is asked for there.
    unsafe fn finish_accept(&mut self, socket: OwnedSocket, peer: *mut PeerAddress) -> Answer {
        let raw = socket.as_raw_socket() as SOCKET;
        update_context(raw, SO_UPDATE_ACCEPT_CONTEXT, Some(as_socket(self.fd)))?;
        let addresses = extensions::accept_addresses(raw)?;
        if let Some(room) = &self.room {
            let mut local: *mut SOCKADDR = ptr::null_mut();
            let mut remote: *mut SOCKADDR = ptr::null_mut();
            let (mut local_len, mut remote_len) = (0, 0);
            // SAFETY: the room was filled in by an `AcceptEx` with the same lengths; the addresses
            // that come out lie in it.
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
    pub(super) fn wait_for_end(&mut self) {
        let mut bytes = 0;
        // SAFETY: the OVERLAPPED is that of a call on this handle.
        unsafe { GetOverlappedResult(as_handle(self.fd), &self.overlapped, &mut bytes, 1) };
    }

    /// What the system says of the call.
    fn outcome(&mut self) -> Outcome {
        let mut bytes = 0;
        // SAFETY: the OVERLAPPED is that of a call on this handle, which is over.
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
    /// What was transferred, also by a call that has failed in the end.
    bytes: u32,
    result: Answer,
}

/// A receive as unix has it: what does not fit is cut off, which is no error, and the direction
/// that this side has shut down is at its end. Also, whether something was cut off.
fn received(bytes: u32, result: Answer) -> (Answer, bool) {
    match result {
        Err(WSAEMSGSIZE) => (Ok(bytes), true),
        Err(WSAESHUTDOWN) => (Ok(0), false),
        result => (result, false),
    }
}

/// Makes a socket that `ConnectEx` or `AcceptEx` has connected a full one.
fn update_context(socket: SOCKET, option: i32, listener: Option<SOCKET>) -> Answer {
    let (value, len) = match &listener {
        Some(listener) => (ptr::from_ref(listener).cast(), size_of::<SOCKET>()),
        None => (ptr::null(), 0),
    };
    // SAFETY: the value is as long as is said, and outlives the call.
    match unsafe { setsockopt(socket, SOL_SOCKET, option, value, len as i32) } {
        0 => Ok(0),
        _ => Err(last_error()),
    }
}
