//! Operations of files, and of other descriptors that read(2) and write(2) take.

use std::{fmt, io};

use compio_io::buf::{BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

use super::buffer::{Filled, FilledVectored, Slices, readable, writable};
use crate::{
    fd::{LooseFd, OwnsFd, SharedFd},
    operation::{Operation, Owned},
    os_calls::handle,
    request::{
        self, Allocation, BlockingCall, FileOp, NativePath, OpenFlags, Position, Request, Threads,
        Transfer, WriteFlags,
    },
    sys::{self, AsRawFd, OwnedFd, RawFd},
};

/// Reads into a buffer, from its start over its whole capacity.
#[derive(Debug)]
pub struct ReadAt<B, F = SharedFd> {
    pub(crate) fd: F,
    position: Position,
    buffer: B,
}

impl<B: IoBufMut, F> ReadAt<B, F> {
    /// Reads `offset` bytes from the beginning of a file.
    pub fn new(fd: F, offset: u64, buffer: B) -> Self {
        Self {
            fd,
            position: Position::At(offset),
            buffer,
        }
    }

    /// Reads at the descriptor's own cursor, and advances it. Pipes, terminals and sockets have no other
    /// position.
    pub fn at_cursor(fd: F, buffer: B) -> Self {
        Self {
            fd,
            position: Position::Cursor,
            buffer,
        }
    }
}

// SAFETY: the request points to the buffer, which is owned, and stays in place by `IoBuf`'s
// contract.
unsafe impl<B: IoBufMut, F: AsRawFd + 'static> Operation for ReadAt<B, F> {
    type Output = BufResult<usize, B>;
    describe!(Read, fd);

    fn request(&mut self) -> Request {
        Request::Transfer(Transfer::Read {
            fd: self.fd.as_raw_fd(),
            span: writable(&mut self.buffer),
            position: self.position,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let mut buffer = self.buffer;
        if let Ok(len) = answer {
            // SAFETY: the kernel has written that many bytes.
            unsafe { buffer.set_init(len) };
        }
        (answer, buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBufMut, F: OwnsFd> Owned for ReadAt<B, F> {}

impl<B, F> IntoInner for ReadAt<B, F> {
    type Inner = Filled<B>;

    fn into_inner(self) -> Filled<B> {
        Filled(self.buffer)
    }
}

/// Writes the initialised part of a buffer.
#[derive(Debug)]
pub struct WriteAt<B, F = SharedFd> {
    fd: F,
    position: Position,
    buffer: B,
}

impl<B: IoBuf, F> WriteAt<B, F> {
    /// Writes `offset` bytes from the beginning of a file.
    pub fn new(fd: F, offset: u64, buffer: B) -> Self {
        Self {
            fd,
            position: Position::At(offset),
            buffer,
        }
    }

    /// Writes at the descriptor's own cursor, and advances it. Pipes, terminals and sockets have no other
    /// position.
    pub fn at_cursor(fd: F, buffer: B) -> Self {
        Self {
            fd,
            position: Position::Cursor,
            buffer,
        }
    }
}

// SAFETY: as for `ReadAt`; the kernel only reads.
unsafe impl<B: IoBuf, F: AsRawFd + 'static> Operation for WriteAt<B, F> {
    type Output = BufResult<usize, B>;
    describe!(Write, fd);

    fn request(&mut self) -> Request {
        Request::Transfer(Transfer::Write {
            fd: self.fd.as_raw_fd(),
            span: readable(&self.buffer),
            position: self.position,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBuf, F: OwnsFd> Owned for WriteAt<B, F> {}

impl<B, F> IntoInner for WriteAt<B, F> {
    type Inner = B;

    fn into_inner(self) -> B {
        self.buffer
    }
}

/// Writes the initialised part of a buffer at a position, with flags.
///
/// # Platform differences
///
/// Fails with `Unsupported` on systems other than Linux.
#[derive(Debug)]
pub struct WriteWith<B, F = SharedFd> {
    fd: F,
    offset: u64,
    flags: WriteFlags,
    buffer: B,
}

impl<B: IoBuf, F> WriteWith<B, F> {
    /// Writes `offset` bytes from the beginning of a file.
    pub fn new(fd: F, offset: u64, flags: WriteFlags, buffer: B) -> Self {
        Self {
            fd,
            offset,
            flags,
            buffer,
        }
    }
}

// SAFETY: as for `WriteAt`.
unsafe impl<B: IoBuf, F: AsRawFd + 'static> Operation for WriteWith<B, F> {
    type Output = BufResult<usize, B>;
    describe!(Write, fd);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::WriteWith {
            fd: self.fd.as_raw_fd(),
            span: readable(&self.buffer),
            offset: self.offset,
            flags: self.flags,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffer)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<B: IoBuf, F: OwnsFd> Owned for WriteWith<B, F> {}

/// Reads into several buffers, one after the other.
#[derive(Debug)]
pub struct ReadVectoredAt<V, F = SharedFd> {
    pub(crate) fd: F,
    position: Position,
    buffers: V,
    slices: Slices,
}

impl<V: IoVectoredBufMut, F> ReadVectoredAt<V, F> {
    /// Reads `offset` bytes from the beginning of a file.
    pub fn new(fd: F, offset: u64, buffers: V) -> Self {
        Self {
            fd,
            position: Position::At(offset),
            buffers,
            slices: Slices::new(),
        }
    }

    /// Reads at the descriptor's own cursor, and advances it.
    pub fn at_cursor(fd: F, buffers: V) -> Self {
        Self {
            fd,
            position: Position::Cursor,
            buffers,
            slices: Slices::new(),
        }
    }
}

// SAFETY: the request points to the slices, which are in the operation or owned by it. The slices point to
// the buffers, which are owned.
unsafe impl<V: IoVectoredBufMut, F: AsRawFd + 'static> Operation for ReadVectoredAt<V, F> {
    type Output = BufResult<usize, V>;
    describe!(Read, fd);

    fn request(&mut self) -> Request {
        Request::Transfer(Transfer::ReadVectored {
            fd: self.fd.as_raw_fd(),
            spans: self.slices.writable(&self.fd, &mut self.buffers),
            position: self.position,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let mut buffers = self.buffers;
        if let Ok(len) = answer {
            // SAFETY: the kernel has written that many bytes, in the buffers' order.
            unsafe { buffers.set_init(len) };
        }
        (answer, buffers)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<V: IoVectoredBufMut, F: OwnsFd> Owned for ReadVectoredAt<V, F> {}

impl<V, F> IntoInner for ReadVectoredAt<V, F> {
    type Inner = FilledVectored<V>;

    fn into_inner(self) -> FilledVectored<V> {
        FilledVectored(self.buffers)
    }
}

/// Writes the initialised parts of several buffers, one after the other.
#[derive(Debug)]
pub struct WriteVectoredAt<V, F = SharedFd> {
    fd: F,
    position: Position,
    buffers: V,
    slices: Slices,
}

impl<V: IoVectoredBuf, F> WriteVectoredAt<V, F> {
    /// Writes `offset` bytes from the beginning of a file.
    pub fn new(fd: F, offset: u64, buffers: V) -> Self {
        Self {
            fd,
            position: Position::At(offset),
            buffers,
            slices: Slices::new(),
        }
    }

    /// Writes at the descriptor's own cursor, and advances it.
    pub fn at_cursor(fd: F, buffers: V) -> Self {
        Self {
            fd,
            position: Position::Cursor,
            buffers,
            slices: Slices::new(),
        }
    }
}

// SAFETY: as for `ReadVectoredAt`; the kernel only reads.
unsafe impl<V: IoVectoredBuf, F: AsRawFd + 'static> Operation for WriteVectoredAt<V, F> {
    type Output = BufResult<usize, V>;
    describe!(Write, fd);

    fn request(&mut self) -> Request {
        Request::Transfer(Transfer::WriteVectored {
            fd: self.fd.as_raw_fd(),
            spans: self.slices.readable(&self.fd, &self.buffers),
            position: self.position,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        (answer, self.buffers)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<V: IoVectoredBuf, F: OwnsFd> Owned for WriteVectoredAt<V, F> {}

impl<V, F> IntoInner for WriteVectoredAt<V, F> {
    type Inner = V;

    fn into_inner(self) -> V {
        self.buffers
    }
}

/// Makes written data durable.
#[derive(Debug)]
pub struct Sync<F = SharedFd> {
    fd: F,
    data_only: bool,
}

impl<F> Sync<F> {
    /// Syncs content and attributes: `fsync`.
    pub fn all(fd: F) -> Self {
        Self {
            fd,
            data_only: false,
        }
    }

    /// Syncs the content, and the attributes that are needed to read it: `fdatasync`.
    pub fn data(fd: F) -> Self {
        Self {
            fd,
            data_only: true,
        }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static> Operation for Sync<F> {
    type Output = io::Result<()>;
    describe!(Sync, fd);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::Sync {
            fd: self.fd.as_raw_fd(),
            data_only: self.data_only,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Sync<F> {}

/// Sets the length of a file. Further bytes are cut off; missing bytes become zeros.
#[derive(Debug)]
pub struct Truncate<F = SharedFd> {
    fd: F,
    len: u64,
}

impl<F> Truncate<F> {
    /// Sets the length of `fd` to `len` bytes.
    pub fn new(fd: F, len: u64) -> Self {
        Self { fd, len }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static> Operation for Truncate<F> {
    type Output = io::Result<()>;
    describe!(Truncate, fd);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::Truncate {
            fd: self.fd.as_raw_fd(),
            len: self.len,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Truncate<F> {}

/// Changes the disk space of a range: `fallocate`.
///
/// # Platform differences
///
/// Fails with `Unsupported` on systems other than Linux.
#[derive(Debug)]
pub struct Allocate<F = SharedFd> {
    fd: F,
    mode: Allocation,
    offset: u64,
    len: u64,
}

impl<F> Allocate<F> {
    /// Changes `len` bytes from `offset` on.
    pub fn new(fd: F, mode: Allocation, offset: u64, len: u64) -> Self {
        Self {
            fd,
            mode,
            offset,
            len,
        }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static> Operation for Allocate<F> {
    type Output = io::Result<()>;
    describe!(Allocate, fd);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::Allocate {
            fd: self.fd.as_raw_fd(),
            mode: self.mode,
            offset: self.offset,
            len: self.len,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for Allocate<F> {}

/// The process's current directory, as the start of an operation's relative path.
#[derive(Debug, Clone, Copy)]
pub struct CurrentDir;

impl AsRawFd for CurrentDir {
    fn as_raw_fd(&self) -> RawFd {
        request::CURRENT_DIR
    }
}

// SAFETY: the number is not a descriptor, so it cannot be closed.
unsafe impl OwnsFd for CurrentDir {}

/// Opens a file by path. The new descriptor is closed on exec.
#[derive(Debug)]
pub struct Open<D = CurrentDir> {
    dir: D,
    path: NativePath,
    flags: OpenFlags,
    mode: u32,
}

impl Open {
    /// Opens `path`, from the current directory if it is relative, with the system's `O_` flags
    /// and the permission bits of a file that is created.
    ///
    /// # Platform differences
    ///
    /// On Windows, the flags are arguments of `CreateFileW`, and `mode` has no effect.
    pub fn new(path: NativePath, flags: OpenFlags, mode: u32) -> Self {
        Self::at(CurrentDir, path, flags, mode)
    }
}

impl<D> Open<D> {
    /// As [`new`](Open::new), from the directory `dir` if `path` is relative.
    ///
    /// # Platform differences
    ///
    /// Windows supports only the current directory, and returns an error for others.
    pub fn at(dir: D, path: NativePath, flags: OpenFlags, mode: u32) -> Self {
        Self {
            dir,
            path,
            flags,
            mode,
        }
    }
}

// SAFETY: the request points to the path, on the heap and owned.
unsafe impl<D: AsRawFd + 'static> Operation for Open<D> {
    type Output = io::Result<OwnedFd>;
    describe!(Open);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::Open {
            dir: self.dir.as_raw_fd(),
            path: self.path.as_ptr(),
            flags: self.flags,
            mode: self.mode,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        // SAFETY: the result is a new descriptor, which has no other owner.
        answer.map(|fd| unsafe { sys::file_from_raw(fd) })
    }

    #[cfg(feature = "sim")]
    unsafe fn on_orphaned(self, answer: io::Result<usize>) {
        // SAFETY: passed on from this function.
        drop(unsafe { self.finish(answer) }.map(LooseFd::from));
    }
}

// SAFETY: `dir` owns the directory's descriptor, by the contract of `OwnsFd`.
unsafe impl<D: OwnsFd> Owned for Open<D> {}

/// Closes a descriptor, and returns the system's error.
///
/// The descriptor is closed in any case: on a thread of the pool, or by the operation's drop if the operation
/// was cancelled before a thread has begun.
///
/// It is a plain close(2) on every backend. close(2) frees the fd before the file system returns its result,
/// so the result does not show whether the call ran: the operation records that itself. io_uring's `CLOSE`
/// does not report it, and blocks the ring's thread if the last close of a file takes long (`SO_LINGER`, a
/// large unlinked file).
#[derive(Debug)]
pub struct Close {
    /// `Some` until a thread closes it.
    fd: Option<LooseFd>,
    closed: Option<io::Result<()>>,
}

impl Close {
    /// Closes `fd`.
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd: Some(fd.into()),
            closed: None,
        }
    }

    /// # Safety
    ///
    /// `data` is a `Self` without other references while this runs.
    unsafe fn run(data: *mut ()) {
        // SAFETY: by this function's contract.
        let this = unsafe { &mut *data.cast::<Self>() };
        this.close();
    }

    fn close(&mut self) {
        if let Some(fd) = self.fd.take() {
            self.closed = Some(handle::close(fd.into_owned()));
        }
    }
}

// SAFETY: the request's data is the operation itself, which `run` may use on another thread since both
// the descriptor and the result are `Send`; `run` does not unwind.
unsafe impl Operation for Close {
    type Output = io::Result<()>;
    describe!(Close);

    fn request(&mut self) -> Request {
        Request::Blocking(BlockingCall {
            threads: Threads::Pool,
            data: (&raw mut *self).cast(),
            run: Self::run,
        })
    }

    unsafe fn finish(mut self, answer: io::Result<usize>) -> Self::Output {
        let has_no_thread = |error: &io::Error| error.raw_os_error() == Some(sys::EAGAIN);
        if answer.as_ref().is_err_and(has_no_thread) {
            self.close();
        }
        // If the call did not run, the drop closes the descriptor.
        self.closed.unwrap_or_else(|| answer.map(drop))
    }
}

// SAFETY: the operation owns the descriptor until `run` closes it. No other code closes the fd.
unsafe impl Owned for Close {}

/// Reads the attributes of an open file.
pub struct StatFd<F = SharedFd> {
    fd: F,
    into: request::Stat,
}

impl<F> StatFd<F> {
    /// Reads the attributes of `fd`.
    pub fn new(fd: F) -> Self {
        Self {
            fd,
            into: request::Stat::zeroed(),
        }
    }
}

// SAFETY: the request points into the operation.
unsafe impl<F: AsRawFd + 'static> Operation for StatFd<F> {
    type Output = io::Result<request::Stat>;
    describe!(Stat, fd);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::StatFd {
            fd: self.fd.as_raw_fd(),
            into: &raw mut self.into,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(|_| self.into)
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for StatFd<F> {}

impl<F: fmt::Debug> fmt::Debug for StatFd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatFd").field(&self.fd).finish()
    }
}

/// Reads the attributes of a file by path.
pub struct Stat<D = CurrentDir> {
    dir: D,
    path: NativePath,
    follow: bool,
    into: request::Stat,
}

impl Stat {
    /// Reads the attributes of the file at `path`, from the current directory if it is relative. If
    /// `follow`, reads the attributes of a symbolic link's target.
    pub fn new(path: NativePath, follow: bool) -> Self {
        Self::at(CurrentDir, path, follow)
    }
}

impl<D> Stat<D> {
    /// As [`new`](Stat::new), from the directory `dir` if `path` is relative.
    ///
    /// # Platform differences
    ///
    /// As for [`Open::at`].
    pub fn at(dir: D, path: NativePath, follow: bool) -> Self {
        Self {
            dir,
            path,
            follow,
            into: request::Stat::zeroed(),
        }
    }
}

// SAFETY: the request points to the path, on the heap and owned, and into the operation.
unsafe impl<D: AsRawFd + 'static> Operation for Stat<D> {
    type Output = io::Result<request::Stat>;
    describe!(Stat);

    fn request(&mut self) -> Request {
        Request::FileOp(FileOp::Stat {
            dir: self.dir.as_raw_fd(),
            path: self.path.as_ptr(),
            follow: self.follow,
            into: &raw mut self.into,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(|_| self.into)
    }
}

// SAFETY: `dir` owns the directory's descriptor, by the contract of `OwnsFd`.
unsafe impl<D: OwnsFd> Owned for Stat<D> {}

impl<D: fmt::Debug> fmt::Debug for Stat<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stat")
            .field("dir", &self.dir)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
