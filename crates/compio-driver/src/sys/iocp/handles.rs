//! What is known of handles: what they are, and which way the end of an overlapped call on them
//! comes.
//!
//! A handle is attached to one port for life, by its first operation here, so that an accepted
//! socket can still move to another thread before it is used. Numbers of handles are used again:
//! what is remembered of one holds for the [life](held) of a [`SharedFd`](crate::SharedFd). Of a
//! bare number nothing is remembered, unless it was [attached](crate::Poller::attach) by hand.

use std::{collections::HashMap, mem, ptr};

use windows_sys::Win32::{
    Foundation::{ERROR_INVALID_PARAMETER, HANDLE},
    Networking::WinSock::{
        SO_PROTOCOL_INFOW, SOCK_STREAM, SOCKET, SOL_SOCKET, WSAPROTOCOL_INFOW, XP1_IFS_HANDLES,
        getsockopt,
    },
    Storage::FileSystem::{FILE_TYPE_DISK, GetFileType, SetFileCompletionNotificationModes},
    System::WindowsProgramming::{
        FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, FILE_SKIP_SET_EVENT_ON_HANDLE,
    },
};

use super::port::Port;
use crate::sys::{
    RawFd,
    windows::{held, last_error},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// On a disk: a file or a directory.
    File,
    /// A pipe, or anything else that has no positions.
    Stream,
    /// A socket.
    Socket { family: i32, is_stream: bool },
}

/// How the end of an overlapped call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// By a packet, in any case.
    Packet,
    /// By a packet, unless the call returns with success.
    PacketUnlessImmediate,
    /// By an event: the handle is for overlapped calls, and belongs to another port, or to this one
    /// already.
    Event,
    /// Not at all, as far as is known: the handle is not for overlapped calls, or belongs to another
    /// port. A thread has to wait.
    Thread,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) kind: Kind,
    pub(super) route: Route,
}

#[derive(Default)]
pub(super) struct Handles {
    known: HashMap<RawFd, (u64, Known)>,
    /// Bare numbers that were attached by hand.
    bare: HashMap<RawFd, Known>,
}

impl Handles {
    /// Attaches the handle if that has not been done. `is_transfer` tells that its calls, as far
    /// as they are made by this project, are reads and writes.
    pub(super) fn attach(
        &mut self,
        fd: RawFd,
        is_transfer: bool,
        port: &Port,
    ) -> Result<Known, i32> {
        let Some(held) = held(fd) else {
            return self.attach_bare(fd, is_transfer, port);
        };
        if let Some((since, known)) = self.known.get(&fd)
            && *since == held.life
        {
            return Ok(*known);
        }
        let mut known = attach(fd, is_transfer, port)?;
        // It belongs to another port, then.
        if known.route == Route::Thread && held.is_overlapped {
            known.route = Route::Event;
        }
        self.known.insert(fd, (held.life, known));
        Ok(known)
    }

    /// Attaches by hand: from now on the number stands for this handle.
    pub(super) fn attach_by_hand(&mut self, fd: RawFd, port: &Port) -> Result<(), i32> {
        let known = self.attach(fd, true, port)?;
        self.bare.insert(fd, known);
        Ok(())
    }

    fn attach_bare(&mut self, fd: RawFd, is_transfer: bool, port: &Port) -> Result<Known, i32> {
        let known = attach(fd, is_transfer, port)?;
        match known.route {
            // It belongs to a port already. If it was attached by hand, that is this one.
            Route::Event | Route::Thread => Ok(self.bare.get(&fd).copied().unwrap_or(known)),
            // It is another than before.
            Route::Packet | Route::PacketUnlessImmediate => {
                self.bare.remove(&fd);
                Ok(known)
            }
        }
    }
}

fn attach(fd: RawFd, is_transfer: bool, port: &Port) -> Result<Known, i32> {
    match fd {
        RawFd::Handle(handle) => {
            // SAFETY: no pointers are passed.
            let is_file = unsafe { GetFileType(handle) } == FILE_TYPE_DISK;
            let route = match port.attach(handle) {
                // A read of a pipe may return with a message's first part, which is neither success
                // nor an error: whether a packet comes then is only certain where none is skipped.
                Ok(()) if is_file && is_transfer => skip_immediate(handle),
                Ok(()) => Route::Packet,
                Err(code) if code == ERROR_INVALID_PARAMETER as i32 => Route::Thread,
                Err(code) => return Err(code),
            };
            let kind = if is_file { Kind::File } else { Kind::Stream };
            Ok(Known { kind, route })
        }
        RawFd::Socket(socket) => {
            let protocol = protocol_of(socket as SOCKET)?;
            let is_stream = protocol.iSocketType == SOCK_STREAM;
            let route = match port.attach(socket as HANDLE) {
                // Datagrams that are there at once have been told of twice by some versions. A
                // provider that is no file system's may tell in any case.
                Ok(()) if is_stream && protocol.dwServiceFlags1 & XP1_IFS_HANDLES != 0 => {
                    skip_immediate(socket as HANDLE)
                }
                Ok(()) => Route::Packet,
                Err(code) if code == ERROR_INVALID_PARAMETER as i32 => Route::Event,
                Err(code) => return Err(code),
            };
            let kind = Kind::Socket {
                family: protocol.iAddressFamily,
                is_stream,
            };
            Ok(Known { kind, route })
        }
    }
}

fn skip_immediate(handle: HANDLE) -> Route {
    let modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    // SAFETY: no pointers are passed.
    if unsafe { SetFileCompletionNotificationModes(handle, modes as u8) } != 0 {
        Route::PacketUnlessImmediate
    } else {
        Route::Packet
    }
}

fn protocol_of(socket: SOCKET) -> Result<WSAPROTOCOL_INFOW, i32> {
    // SAFETY: a plain C struct, which the call fills in.
    unsafe {
        let mut info: WSAPROTOCOL_INFOW = mem::zeroed();
        let mut len = size_of_val(&info) as i32;
        let asked = getsockopt(
            socket,
            SOL_SOCKET,
            SO_PROTOCOL_INFOW,
            ptr::from_mut(&mut info).cast(),
            &mut len,
        );
        if asked != 0 {
            return Err(last_error());
        }
        Ok(info)
    }
}
