//! What is asked of the kernel, as plain data: the one language that operations and backends
//! share.
//!
//! A request borrows nothing by type. It names descriptors and memory by number and address, and
//! whoever builds it ([`Operation::request`](crate::Operation::request)) promises that both stay
//! valid until the final completion. Every backend has one table from these variants to what its
//! kernel understands; nothing here says how that is done.

use std::ffi::c_int;

use socket2::SockAddrStorage;

pub use crate::buffers::Choice;
pub use crate::sys::{
    Message, NativePath, OpenFlags, PathUnit, PeerAddress, RawEntry, RawFd, RawSlice, Stat,
};

/// The longest transfer that a kernel does at once (Linux's own bound). A longer buffer is filled
/// or written in part, as a short read or write.
pub const TRANSFER_MAX: usize = 0x7fff_f000;

/// A buffer's place: never longer than [`TRANSFER_MAX`].
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Where it begins.
    pub start: *mut u8,
    /// How many bytes.
    pub len: u32,
}

impl Span {
    /// The first [`TRANSFER_MAX`] of `len` bytes at `start`.
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
    /// The first of the slices, which lie one behind the other.
    pub first: *const RawSlice,
    /// How many.
    pub count: u32,
}

/// Where in a file a transfer takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the file's own cursor, which moves. The only one that pipes and terminals have.
    Cursor,
    /// That many bytes from the beginning; the cursor stays.
    At(u64),
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Request {
    /// Nothing, answered by 0.
    Nop,
    /// Of a file or anything else that is read and written.
    File(File),
    /// Of names in directories.
    Path(PathOp),
    /// Of a socket.
    Net(Net),
    /// Of a pipe.
    Pipe(Pipe),
    /// To say when a descriptor is ready.
    Poll(Poll),
    /// To run a piece of blocking code on another thread.
    Work(Work),
    /// Nothing: the operation was made with an argument that is refused, such as an unknown flag. Answered by
    /// an error of the kind [`InvalidInput`](std::io::ErrorKind::InvalidInput).
    Invalid,
    /// In the backend's own words, which [`op`](crate::op) tells more about. The kernel must answer
    /// it with one completion: an entry of io_uring's has no flags that link it to others, hold
    /// others up, skip its completion, or make it many.
    Raw(*const RawEntry),
}

/// Requests of files.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum File {
    /// Answer: bytes read, 0 at the end.
    Read {
        fd: RawFd,
        span: Span,
        position: Position,
    },
    /// Answer: bytes written.
    Write {
        fd: RawFd,
        span: Span,
        position: Position,
    },
    /// Answer: bytes read, 0 at the end.
    ReadVectored {
        fd: RawFd,
        spans: Spans,
        position: Position,
    },
    /// Answer: bytes written.
    WriteVectored {
        fd: RawFd,
        spans: Spans,
        position: Position,
    },
    /// Make the content durable, and the attributes too unless `data_only`. Answer: 0.
    Sync { fd: RawFd, data_only: bool },
    /// Answer: the new descriptor, closed on exec. `mode` is for a file that is created.
    Open {
        dir: RawFd,
        path: *const PathUnit,
        flags: OpenFlags,
        mode: u32,
    },
    /// The attributes of what `path` names. Answer: 0.
    Stat {
        dir: RawFd,
        path: *const PathUnit,
        follow: bool,
        into: *mut Stat,
    },
    /// The attributes of an open file. Answer: 0.
    StatFd { fd: RawFd, into: *mut Stat },
}

/// Requests of names in directories. Relative paths begin in the current one. Each answer: 0.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum PathOp {
    /// What was at `to` is replaced.
    Rename {
        from: *const PathUnit,
        to: *const PathUnit,
    },
    /// Of an empty directory, or of what is none.
    Remove { path: *const PathUnit, is_dir: bool },
    /// Create a directory.
    MakeDir { path: *const PathUnit, mode: u32 },
    /// A link that is not symbolic is one more name.
    Link {
        original: *const PathUnit,
        link: *const PathUnit,
        is_symbolic: bool,
    },
}

/// Requests of sockets.
///
/// The flags are the system's `MSG_` flags, and go to the kernel as they are. Those that change the layout
/// or the length of an answer are not among them.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Net {
    /// Answer: the new descriptor, closed on exec.
    Socket {
        domain: c_int,
        kind: c_int,
        protocol: c_int,
    },
    /// Answer: 0.
    Connect {
        fd: RawFd,
        address: *const SockAddrStorage,
        len: u32,
    },
    /// Answer: the new descriptor, closed on exec; its peer's address is in `peer`.
    Accept { fd: RawFd, peer: *mut PeerAddress },
    /// Answer: bytes received, 0 when the peer has shut down.
    Recv { fd: RawFd, span: Span, flags: c_int },
    /// Answer: bytes sent. A closed peer is an error, never a signal.
    Send { fd: RawFd, span: Span, flags: c_int },
    /// Answer: bytes received; address, ancillary data and flags are in `message`.
    RecvMsg {
        fd: RawFd,
        message: *mut Message,
        flags: c_int,
    },
    /// Answer: bytes sent.
    SendMsg {
        fd: RawFd,
        message: *const Message,
        flags: c_int,
    },
    /// Answer: 0.
    Shutdown { fd: RawFd, how: c_int },
    /// Items: descriptors, as for `Accept`, without the peers' addresses. The last answer may be one,
    /// too.
    AcceptMulti { fd: RawFd },
    /// Items: bytes received, in a buffer of this group that the kernel has chosen. Answer: 0 when
    /// the peer has shut down; that of an item has been said with it.
    RecvMulti { fd: RawFd, group: u16, flags: c_int },
    /// Answer: bytes received, into a buffer of `room` bytes that is chosen when there are some; none
    /// is, and the answer 0, when the peer has shut down.
    RecvPooled {
        fd: RawFd,
        choice: *mut Choice,
        room: u32,
        flags: c_int,
    },
    /// The first answer, which may be an item, is that of `Send`. The memory is in use until the
    /// last.
    SendZeroCopy { fd: RawFd, span: Span, flags: c_int },
}

impl Net {
    /// The socket that the request uses; none where it makes one.
    #[allow(dead_code, reason = "for io_uring and the simulator")]
    pub(crate) fn socket(&self) -> Option<RawFd> {
        match *self {
            Self::Connect { fd, .. }
            | Self::Accept { fd, .. }
            | Self::Recv { fd, .. }
            | Self::Send { fd, .. }
            | Self::RecvMsg { fd, .. }
            | Self::SendMsg { fd, .. }
            | Self::Shutdown { fd, .. }
            | Self::AcceptMulti { fd }
            | Self::RecvMulti { fd, .. }
            | Self::RecvPooled { fd, .. }
            | Self::SendZeroCopy { fd, .. } => Some(fd),
            Self::Socket { .. } => None,
        }
    }
}

/// Requests of pipes.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Pipe {
    /// Move bytes between two descriptors of which one is a pipe. Answer: bytes moved.
    Splice {
        from: RawFd,
        from_position: Position,
        to: RawFd,
        to_position: Position,
        len: u32,
    },
}

/// Requests of readiness.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields say by name what they are")]
pub enum Poll {
    /// Answer: the `poll(2)` bits that became true.
    Once { fd: RawFd, events: u32 },
}

/// Blocking code, type-erased. `run(data)` is called once, on another thread.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// What `run` is given: memory inside the operation.
    pub data: *mut (),
    /// The code.
    pub run: unsafe fn(*mut ()),
}

/// Stands for the current directory where a request wants the descriptor of one.
pub const CURRENT_DIR: RawFd = crate::sys::CURRENT_DIR;

/// Whether this is the error of an operation that was given up: `ECANCELED` on unix,
/// `ERROR_OPERATION_ABORTED` on Windows, which std has no kind for.
///
/// ```
/// let error = std::io::Error::other("something else");
/// assert!(!compio_driver::is_cancelled(&error));
/// ```
pub fn is_cancelled(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(crate::sys::ECANCELED)
}

/// An answer that is not the last, or comes with a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// As for a last one.
    pub answer: Answer,
    /// The buffer that was filled, of a group.
    pub buffer: Option<u16>,
}

/// What a backend reports of a flight.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    /// More will come.
    #[allow(dead_code, reason = "not every backend answers several times")]
    Item(Item),
    /// Nothing more will.
    Final(Answer),
    /// Nothing more will. It was cancelled on request; or the kernel dropped it for want of a thread;
    /// or the file itself has answered so. In the second case it has to be done all the same.
    #[allow(dead_code, reason = "not every backend lacks the means")]
    CanceledByKernel,
    /// The kernel has completed it with EAGAIN, and nothing has been done. The backend decides whether it
    /// waits: see `launch_to_wait`.
    #[allow(dead_code, reason = "not every backend refuses to wait")]
    WouldBlock,
    /// Nothing has been done so far: the readiness that the request waited for has come, and it is to be
    /// launched once more.
    #[allow(dead_code, reason = "not every backend waits before it begins")]
    Ready,
    /// It was to be cancelled, and was between two places where the kernel looks. If it flies still,
    /// it has to be cancelled again.
    #[allow(dead_code, reason = "not every backend hands cancels over")]
    NotFound,
}

/// What a backend can do beyond the ordinary.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Capabilities {
    /// [`Net::AcceptMulti`].
    pub(crate) accept_multi: bool,
    /// [`Net::RecvMulti`].
    pub(crate) recv_multi: bool,
    /// [`Net::SendZeroCopy`].
    pub(crate) send_zero_copy: bool,
    /// [`Net::RecvPooled`].
    pub(crate) recv_pooled: bool,
}

/// What comes back: a number whose meaning the request tells, or the system's error code.
pub type Answer = Result<u32, i32>;

/// The answer of a thread of the pool that would have had to wait for readiness: no system has this code.
pub(crate) const NOT_READY: i32 = i32::MIN;

/// The `poll(2)` bits, the same on every unix; where the system has others they are translated.
pub(crate) mod ready {
    pub(crate) const IN: u32 = 0x001;
    pub(crate) const PRI: u32 = 0x002;
    pub(crate) const OUT: u32 = 0x004;
    pub(crate) const ERR: u32 = 0x008;
    pub(crate) const HUP: u32 = 0x010;
    /// There is no such descriptor.
    pub(crate) const NVAL: u32 = 0x020;
    /// The peer has shut down its sending side. Linux only.
    #[cfg(target_os = "linux")]
    pub(crate) const RDHUP: u32 = 0x2000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_fits_a_cache_line() {
        // The largest has two positions and two descriptors, whose size is the system's.
        let room = 40 + 2 * size_of::<RawFd>();
        assert!(size_of::<Request>() <= room, "{}", size_of::<Request>());
    }
}
