//! Requests to the kernel, as plain data: the one language that operations and backends share.
//!
//! A request borrows nothing by type. It names descriptors and memory by number and address, and
//! its builder ([`Operation::request`](crate::Operation::request)) guarantees that both stay
//! valid until the final completion. Every backend has one table that translates these variants into
//! calls of its kernel.

use std::{ffi::c_int, io};

use socket2::SockAddrStorage;

pub use crate::buffers::BufferPick;
pub use crate::sys::{
    Message, NativePath, OpenFlags, PathUnit, PeerAddress, RawEntry, RawFd, RawSlice, Stat,
};

/// The longest single transfer (Linux's own limit). A longer buffer is transferred in part, as a short
/// read or write.
pub const TRANSFER_MAX: usize = 0x7fff_f000;

/// A buffer's address and length, which is at most [`TRANSFER_MAX`].
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The first byte.
    pub start: *mut u8,
    /// The number of bytes.
    pub len: u32,
}

impl Span {
    /// The first [`TRANSFER_MAX`] of `len` bytes at `start`.
    #[inline]
    pub fn new(start: *mut u8, len: usize) -> Self {
        Self {
            start,
            len: len.min(TRANSFER_MAX) as u32,
        }
    }
}

impl From<Span> for RawSlice {
    fn from(span: Span) -> Self {
        Self::new(span.start, span.len as usize)
    }
}

/// The buffers of a vectored transfer.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// The first slice of an array.
    pub first: *const RawSlice,
    /// The number of slices.
    pub count: u32,
}

/// The position of a transfer in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the file's own cursor, which advances. Pipes and terminals have no other position.
    Cursor,
    /// An offset in bytes from the beginning. The cursor does not move.
    At(u64),
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub enum Request {
    /// No action. Result: 0.
    Nop,
    /// A read or a write of a file, or of any descriptor that read(2) and write(2) take.
    Transfer(Transfer),
    /// Another request of a file.
    FileOp(FileOp),
    /// A request of paths.
    Path(PathOp),
    /// A transfer or a connection of a socket.
    Net(Net),
    /// Creation or control of a socket or a pipe.
    Control(Control),
    /// A move of bytes from or to a pipe.
    Splice(Splice),
    /// A wait for a descriptor's readiness.
    Poll(Poll),
    /// A blocking call on another thread.
    Blocking(BlockingCall),
    /// No action, because an argument of the operation is invalid, such as an unknown flag. Fails with the
    /// kind [`InvalidInput`](std::io::ErrorKind::InvalidInput).
    Invalid,
    /// A request in the backend's own format, see [`op`](crate::op). It must have exactly one
    /// completion: an SQE of io_uring has no flags that link it to others, drain others, skip its
    /// completion, or make it multishot.
    Raw(*const RawEntry),
}

/// Reads and writes.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Transfer {
    /// Result: bytes read, 0 at EOF.
    Read {
        fd: RawFd,
        span: Span,
        position: Position,
    },
    /// Result: bytes written.
    Write {
        fd: RawFd,
        span: Span,
        position: Position,
    },
    /// Result: bytes read, 0 at EOF.
    ReadVectored {
        fd: RawFd,
        spans: Spans,
        position: Position,
    },
    /// Result: bytes written.
    WriteVectored {
        fd: RawFd,
        spans: Spans,
        position: Position,
    },
}

impl Transfer {
    /// The descriptor of the transfer.
    pub fn fd(&self) -> RawFd {
        match *self {
            Self::Read { fd, .. }
            | Self::Write { fd, .. }
            | Self::ReadVectored { fd, .. }
            | Self::WriteVectored { fd, .. } => fd,
        }
    }

    /// The position in the file.
    pub fn position(&self) -> Position {
        match *self {
            Self::Read { position, .. }
            | Self::Write { position, .. }
            | Self::ReadVectored { position, .. }
            | Self::WriteVectored { position, .. } => position,
        }
    }

    /// Whether bytes move to memory.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Read { .. } | Self::ReadVectored { .. } => true,
            Self::Write { .. } | Self::WriteVectored { .. } => false,
        }
    }
}

/// Requests of files that move no bytes.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum FileOp {
    /// Make the content durable, and the attributes too unless `data_only`. Result: 0.
    Sync { fd: RawFd, data_only: bool },
    /// Result: the new descriptor, closed on exec. `mode` applies to a file that is created.
    Open {
        dir: RawFd,
        path: *const PathUnit,
        flags: OpenFlags,
        mode: u32,
    },
    /// The attributes of the file at `path`. Result: 0.
    Stat {
        dir: RawFd,
        path: *const PathUnit,
        follow: bool,
        into: *mut Stat,
    },
    /// The attributes of an open file. Result: 0.
    StatFd { fd: RawFd, into: *mut Stat },
    /// Set the length in bytes. Result: 0.
    Truncate { fd: RawFd, len: u64 },
    /// Change the disk space of a range. Result: 0.
    Allocate {
        fd: RawFd,
        mode: Allocation,
        offset: u64,
        len: u64,
    },
    /// A write at a position, with flags. Result: bytes written.
    WriteWith {
        fd: RawFd,
        span: Span,
        offset: u64,
        flags: WriteFlags,
    },
}

/// The flags of a single write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteFlags {
    /// The write is durable when it completes.
    pub data_sync: bool,
    /// After a loss of power, the file has all bytes of the write or none.
    pub atomic: bool,
}

/// A change of the disk space of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Reserves the space, and extends the file if the range ends behind its end.
    Extend,
    /// Reserves the space. The length of the file stays.
    KeepSize,
    /// Releases the space: the range reads as zeros. The length of the file stays.
    PunchHole,
}

/// Requests of paths. Relative paths start at the current directory. Result of each: 0.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum PathOp {
    /// Replaces an existing file at `to`.
    Rename {
        from: *const PathUnit,
        to: *const PathUnit,
    },
    /// Remove an empty directory if `is_dir`, otherwise a file of another type.
    Remove { path: *const PathUnit, is_dir: bool },
    /// Create a directory.
    MakeDir { path: *const PathUnit, mode: u32 },
    /// A hard link unless `is_symbolic`.
    Link {
        original: *const PathUnit,
        link: *const PathUnit,
        is_symbolic: bool,
    },
}

/// Requests of sockets that may wait for a peer.
///
/// The flags are the system's `MSG_` flags, and are passed to the kernel unchanged. Flags that change the
/// layout or the length of a result are not allowed.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Net {
    /// Result: 0.
    Connect {
        fd: RawFd,
        address: *const SockAddrStorage,
        len: u32,
    },
    /// Result: the new descriptor, closed on exec; its peer's address is in `peer`.
    Accept { fd: RawFd, peer: *mut PeerAddress },
    /// Result: bytes received, 0 at EOF.
    Recv { fd: RawFd, span: Span, flags: c_int },
    /// Result: bytes sent. A closed peer is an error, never a signal.
    Send { fd: RawFd, span: Span, flags: c_int },
    /// Result: bytes received; address, ancillary data and flags are in `message`.
    RecvMsg {
        fd: RawFd,
        message: *mut Message,
        flags: c_int,
    },
    /// Result: bytes sent.
    SendMsg {
        fd: RawFd,
        message: *const Message,
        flags: c_int,
    },
    /// Items: descriptors, as for `Accept`, without the peers' addresses. The final result may also be a
    /// descriptor.
    AcceptMulti { fd: RawFd },
    /// Items: bytes received, in a buffer of this group that the kernel has picked. Final result: 0 at
    /// EOF; otherwise the length was already reported by the last item. With `once`, there is one item
    /// at most.
    RecvMulti {
        fd: RawFd,
        group: u16,
        flags: c_int,
        once: bool,
    },
    /// Result: bytes received, into a buffer of `room` bytes that is picked when data is available; 0
    /// and no buffer at EOF.
    RecvPooled {
        fd: RawFd,
        choice: *mut BufferPick,
        room: u32,
        flags: c_int,
    },
    /// The first completion, which may be an item, has the result of `Send`. The memory is in use until
    /// the final completion.
    SendZeroCopy { fd: RawFd, span: Span, flags: c_int },
    /// As `SendZeroCopy`, with the result of `SendMsg`. The message and its slices, too, are in use until
    /// the final completion.
    SendMsgZeroCopy {
        fd: RawFd,
        message: *const Message,
        flags: c_int,
    },
}

impl Net {
    /// The socket that the request uses.
    pub fn fd(&self) -> RawFd {
        match *self {
            Self::Connect { fd, .. }
            | Self::Accept { fd, .. }
            | Self::Recv { fd, .. }
            | Self::Send { fd, .. }
            | Self::RecvMsg { fd, .. }
            | Self::SendMsg { fd, .. }
            | Self::AcceptMulti { fd }
            | Self::RecvMulti { fd, .. }
            | Self::RecvPooled { fd, .. }
            | Self::SendZeroCopy { fd, .. }
            | Self::SendMsgZeroCopy { fd, .. } => fd,
        }
    }
}

/// Requests that create or control a socket or a pipe. They do not wait for a peer.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Control {
    /// Result: the new descriptor, closed on exec.
    Socket {
        domain: c_int,
        kind: c_int,
        protocol: c_int,
    },
    /// Result: 0.
    Bind {
        fd: RawFd,
        address: *const SockAddrStorage,
        len: u32,
    },
    /// Result: 0.
    Listen { fd: RawFd, backlog: c_int },
    /// Result: 0.
    Shutdown { fd: RawFd, how: c_int },
    /// Result: 0; the reading and the writing end, closed on exec, are in `ends`.
    Pipe { ends: *mut [RawFd; 2] },
}

/// Moves bytes between two descriptors, of which one is a pipe. Result: bytes moved.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub struct Splice {
    pub from: RawFd,
    pub from_position: Position,
    pub to: RawFd,
    pub to_position: Position,
    pub len: u32,
}

/// Requests of readiness.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Poll {
    /// Result: the `poll(2)` bits that became true.
    Once { fd: RawFd, events: u32 },
}

/// Blocking code, type-erased. `run(data)` is called once, on another thread.
#[derive(Debug, Clone, Copy)]
pub struct BlockingCall {
    /// The threads that may run it.
    pub threads: Threads,
    /// The argument of `run`: memory inside the operation.
    pub data: *mut (),
    /// The code.
    pub run: unsafe fn(*mut ()),
}

/// The pool that runs a [`BlockingCall`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The driver's pool.
    Pool,
    /// Threads for name resolution, which may wait for minutes: all drivers of the process share at most 32.
    Resolver,
}

/// The current directory, in place of a directory's descriptor.
pub const CURRENT_DIR: RawFd = crate::sys::CURRENT_DIR;

/// Whether this is the error of a cancelled operation: `ECANCELED` on unix,
/// `ERROR_OPERATION_ABORTED` on Windows. std has no kind for it.
///
/// ```
/// let error = std::io::Error::other("something else");
/// assert!(!compio::driver::is_cancelled(&error));
/// ```
pub fn is_cancelled(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(crate::sys::ECANCELED)
}

/// A completion that is not the last, or has a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// The result, as of a final completion.
    pub answer: RawResult,
    /// The filled buffer's id in its group.
    pub buffer: Option<u16>,
    /// Whether another completion will come. Otherwise, the final report repeats this answer.
    pub has_more: bool,
}

/// The raw result of a request: a number whose meaning depends on the request, or the system's error code.
pub type RawResult = Result<u32, i32>;

pub(crate) fn to_result(answer: RawResult) -> io::Result<usize> {
    answer
        .map(|value| value as usize)
        .map_err(io::Error::from_raw_os_error)
}

/// The result of a thread-pool job that would have to wait for readiness: no system has this code.
pub(crate) const NOT_READY: i32 = i32::MIN;

/// The `poll(2)` bits, the same on every unix. Other systems' bits are translated.
pub(crate) mod ready {
    pub(crate) const IN: u32 = 0x001;
    pub(crate) const PRI: u32 = 0x002;
    pub(crate) const OUT: u32 = 0x004;
    pub(crate) const ERR: u32 = 0x008;
    pub(crate) const HUP: u32 = 0x010;
    /// The descriptor is not open.
    pub(crate) const NVAL: u32 = 0x020;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_fits_a_cache_line() {
        // The largest request has two positions and two descriptors, whose size depends on the system.
        let room = 40 + 2 * size_of::<RawFd>();
        assert!(size_of::<Request>() <= room, "{}", size_of::<Request>());
    }
}
