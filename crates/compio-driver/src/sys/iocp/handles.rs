//! The state of handles: their kinds, and how the end of an overlapped call on them is reported.
//!
//! A handle is attached to one port for life, by its first operation here, so that an accepted
//! socket can still move to another thread before it is used. The system reuses handle values:
//! the state is valid for the [generation](held) of a [`SharedFd`](crate::SharedFd). A bare value has
//! no remembered state, unless it was [attached](crate::Poller::attach) explicitly.

use std::{collections::HashMap, mem, ptr, rc::Rc, sync::Arc};

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

use super::{attachment::Attachment, files::Asynchronous, port::Port};
use crate::sys::{
    RawFd,
    windows::{
        Held, as_handle,
        fake::{self, Call},
        held, last_error,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file or a directory on a disk.
    File,
    /// A pipe, or another handle without positions.
    Stream,
    /// A socket.
    Socket { family: i32, is_stream: bool },
}

/// How the end of an overlapped call is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Always by a packet.
    Packet,
    /// By a packet, unless the call returns with success.
    PacketUnlessImmediate,
    /// By an event: the handle supports overlapped calls, but belongs to another port, or to this one
    /// already.
    Event,
    /// Not at all, as far as is known: the handle does not support overlapped calls, or belongs to
    /// another port. A pool thread waits. A call that has begun there is not cancelled: `CancelSynchronousIo`
    /// takes a thread, which may have begun another job in the meantime.
    Thread,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) kind: Kind,
    pub(super) route: Route,
    pub(super) asynchronous: Asynchronous,
}

/// The state of a handle at the beginning of an operation.
pub(super) enum Attached {
    Known(Known),
    /// A pool thread attaches it first.
    Unknown(Rc<Attachment>),
}

#[derive(Default)]
pub(super) struct Handles {
    known: HashMap<RawFd, (u64, Known)>,
    /// Handles that pool threads are attaching.
    attachments: HashMap<RawFd, (u64, Rc<Attachment>)>,
    /// Files that were truncated before they are attached.
    truncated: HashMap<RawFd, (u64, Asynchronous)>,
    /// Bare handle values that were attached explicitly.
    bare: HashMap<RawFd, Known>,
}

impl Handles {
    /// Attaches the handle if it is not attached. `is_transfer`: this crate makes only reads and writes
    /// on it.
    ///
    /// No call touches a handle here that may be synchronous: the call would wait for the call of another
    /// thread.
    pub(super) fn attach(
        &mut self,
        fd: RawFd,
        is_transfer: bool,
        port: &Arc<Port>,
    ) -> Result<Attached, i32> {
        let Some(held) = held(fd) else {
            return self.attach_bare(fd, is_transfer, port).map(Attached::Known);
        };
        if let Some((since, known)) = self.known.get(&fd)
            && *since == held.life
        {
            return Ok(Attached::Known(*known));
        }
        let known = match fd {
            _ if held.is_synchronous => Known {
                kind: Kind::Stream,
                route: Route::Thread,
                asynchronous: Asynchronous::All,
            },
            RawFd::Handle(_) if !held.is_overlapped => {
                let attachment = self.attachment(fd, held, is_transfer, port);
                let Some(result) = attachment.result() else {
                    return Ok(Attached::Unknown(attachment));
                };
                self.attachments.remove(&fd);
                result?
            }
            RawFd::Handle(_) | RawFd::Socket(_) => attach(fd, is_transfer, port)?,
        };
        Ok(Attached::Known(self.remember(fd, held, known)))
    }

    /// The attachment of a held handle.
    fn attachment(
        &mut self,
        fd: RawFd,
        held: Held,
        is_transfer: bool,
        port: &Arc<Port>,
    ) -> Rc<Attachment> {
        let new = || Rc::new(Attachment::new(fd, is_transfer, Arc::clone(port)));
        let (since, attachment) = self
            .attachments
            .entry(fd)
            .or_insert_with(|| (held.life, new()));
        if *since != held.life {
            (*since, *attachment) = (held.life, new());
        }
        Rc::clone(attachment)
    }

    fn remember(&mut self, fd: RawFd, held: Held, mut known: Known) -> Known {
        // The handle belongs to another port, then.
        if known.route == Route::Thread && held.is_overlapped {
            known.route = Route::Event;
        }
        if known.kind == Kind::File && known.route != Route::Thread {
            known.asynchronous = match self.truncated.remove(&fd) {
                Some((since, asynchronous)) if since == held.life => asynchronous,
                Some(_) | None => Asynchronous::of_file(as_handle(fd), held.is_append_only),
            };
        }
        self.known.insert(fd, (held.life, known));
        known
    }

    /// A file is about to get this length. Only writes up to its former length, and to this one, are
    /// asynchronous.
    pub(super) fn truncate(&mut self, fd: RawFd, len: u64) {
        let Some(held) = held(fd) else {
            return;
        };
        match self.known.get_mut(&fd) {
            Some((since, known)) if *since == held.life => known.asynchronous.truncate(len),
            // Not attached: this is left to its first transfer, which may be on another thread.
            Some(_) | None => {
                let unattached = self.truncated.entry(fd);
                let (since, asynchronous) = unattached.or_insert((held.life, Asynchronous::All));
                if *since != held.life || *asynchronous == Asynchronous::All {
                    let now = if held.is_overlapped {
                        Asynchronous::of_file(as_handle(fd), held.is_append_only)
                    } else {
                        // The query might wait for the call of another thread.
                        Asynchronous::None
                    };
                    (*since, *asynchronous) = (held.life, now);
                }
                asynchronous.truncate(len);
            }
        }
    }

    /// Attaches explicitly: from now on the value stands for this handle.
    pub(super) fn attach_by_hand(&mut self, fd: RawFd, port: &Arc<Port>) -> Result<(), i32> {
        let known = match self.attach(fd, true, port)? {
            Attached::Known(known) => known,
            Attached::Unknown(attachment) => {
                attachment.attach();
                match self.attach(fd, true, port)? {
                    Attached::Known(known) => known,
                    Attached::Unknown(_) => unreachable!("it has a result"),
                }
            }
        };
        self.bare.insert(fd, known);
        Ok(())
    }

    fn attach_bare(&mut self, fd: RawFd, is_transfer: bool, port: &Port) -> Result<Known, i32> {
        let known = attach(fd, is_transfer, port)?;
        match known.route {
            // It belongs to a port already: to this one, if it was attached explicitly.
            Route::Event | Route::Thread => Ok(self.bare.get(&fd).copied().unwrap_or(known)),
            // The value stands for a new handle.
            Route::Packet | Route::PacketUnlessImmediate => {
                self.bare.remove(&fd);
                Ok(known)
            }
        }
    }
}

pub(super) fn attach(fd: RawFd, is_transfer: bool, port: &Port) -> Result<Known, i32> {
    let _ = fake::answer(Call::Attach);
    match fd {
        RawFd::Handle(handle) => {
            // SAFETY: no pointers are passed.
            let is_file = unsafe { GetFileType(handle) } == FILE_TYPE_DISK;
            let route = match port.attach(handle) {
                // A read of a pipe may return the first part of a message, which is neither success
                // nor an error. It queues a packet for certain only if the handle skips none.
                Ok(()) if is_file && is_transfer => {
                    skip_immediate(handle, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)
                }
                Ok(()) => Route::Packet,
                Err(code) if code == ERROR_INVALID_PARAMETER as i32 => Route::Thread,
                Err(code) => return Err(code),
            };
            let kind = if is_file { Kind::File } else { Kind::Stream };
            Ok(Known {
                kind,
                route,
                asynchronous: Asynchronous::All,
            })
        }
        RawFd::Socket(socket) => {
            let protocol = protocol_of(socket as SOCKET)?;
            let is_stream = protocol.iSocketType == SOCK_STREAM;
            let route = match port.attach(socket as HANDLE) {
                // Some versions report datagrams that are available at once twice. A provider without
                // IFS handles may queue a packet in any case.
                Ok(()) if is_stream && protocol.dwServiceFlags1 & XP1_IFS_HANDLES != 0 => {
                    // Winsock waits on events of its own.
                    let modes =
                        FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
                    skip_immediate(socket as HANDLE, modes)
                }
                Ok(()) => Route::Packet,
                Err(code) if code == ERROR_INVALID_PARAMETER as i32 => Route::Event,
                Err(code) => return Err(code),
            };
            let kind = Kind::Socket {
                family: protocol.iAddressFamily,
                is_stream,
            };
            Ok(Known {
                kind,
                route,
                asynchronous: Asynchronous::All,
            })
        }
    }
}

/// Files need their event: std's reads and writes wait on the handle itself, also after the file has been
/// handed to std.
fn skip_immediate(handle: HANDLE, modes: u32) -> Route {
    let _ = fake::answer(Call::SkipModes { modes });
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
