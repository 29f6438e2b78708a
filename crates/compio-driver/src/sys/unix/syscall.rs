//! Each request as a plain system call. It may block; the caller decides whether this thread may make
//! it.

use std::{
    ffi::c_char,
    io,
    os::fd::{IntoRawFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use super::{
    query::{answer, bytes, last_error, ready_now},
    types::{Message, PeerAddress, RawFd, RawSlice},
};
use crate::{
    per_process::PerProcess,
    request::{
        Control, FileOp, NOT_READY, Net, PathOp, Poll, Position, RawResult, Request, Splice,
        Transfer,
    },
    sys::{
        in_simulation,
        platform::{
            self,
            kinds::{Kind, kind_of},
            splices::{self, Next},
        },
    },
};

/// Makes the call, and repeats it after EINTR. A change of paths is made once, as by std: a file system
/// that returns EINTR may have made it.
///
/// # Safety
///
/// The request's descriptors and memory are valid until this returns.
pub(crate) unsafe fn call(request: &Request) -> RawResult {
    loop {
        // SAFETY: passed on from this function.
        let answer = unsafe { once(request) };
        // An interrupted connect continues on its own, and a second call would report that.
        let again = !matches!(
            request,
            Request::Net(Net::Connect { .. }) | Request::Path(_)
        );
        if answer != Err(libc::EINTR) || !again {
            return answer;
        }
    }
}

/// Closes a descriptor once. Its number is free before the file is flushed, so another thread may have
/// reused it when the call returns, with or without an error.
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    let fd = fd.into_raw_fd();
    in_simulation!(close(fd));
    // SAFETY: the descriptor was owned, and is not used again.
    match answer(unsafe { libc::close(fd) }) {
        // A signal interrupted the call. A repetition is not possible, and the state of the data is
        // unknown.
        Ok(_) | Err(libc::EINTR) => Ok(()),
        Err(code) => Err(io::Error::from_raw_os_error(code)),
    }
}

/// As [`call`], on a thread that may block. A transfer at the cursor that would have to wait for
/// readiness is [not begun](NOT_READY), because the thread could not be interrupted.
///
/// # Safety
///
/// As [`call`].
pub(crate) unsafe fn call_in_thread(request: &Request) -> RawResult {
    let (fd, events) = match *request {
        Request::Splice(ref request) => {
            // The request may have waited in the queue for a long time.
            return match splices::recheck(request) {
                Some(Next::Refused(code)) => Err(code),
                Some(Next::Wait(..) | Next::Later | Next::Call(_) | Next::Thread(_)) => {
                    Err(NOT_READY)
                }
                None => splice(request).map_err(|code| match code {
                    libc::EAGAIN => NOT_READY,
                    code => code,
                }),
            };
        }
        Request::Transfer(ref transfer) if transfer.position() == Position::Cursor => {
            (transfer.fd(), transfer.events())
        }
        Request::Nop
        | Request::Transfer(_)
        | Request::FileOp(_)
        | Request::Path(_)
        | Request::Net(_)
        | Request::Control(_)
        | Request::Poll(_)
        | Request::Blocking(_)
        | Request::Raw(_)
        | Request::Invalid => {
            // SAFETY: passed on from this function.
            return unsafe { call(request) };
        }
    };
    if matches!(kind_of(fd), Kind::File | Kind::Fuse) {
        // SAFETY: passed on from this function.
        return unsafe { call(request) };
    }
    // If two threads both find the descriptor ready, the second one would block.
    let Some(_turn) = Turn::begin(fd, events) else {
        return Err(NOT_READY);
    };
    if ready_now(fd, events)? == 0 {
        return Err(NOT_READY);
    }
    // SAFETY: passed on from this function.
    unsafe { call(request) }
}

/// The descriptors that threads of the pool read from or write to, by their `poll(2)` bits.
///
/// A forked child has a list of its own: a thread of its parent may hold this lock.
static TURNS: PerProcess<Turns> = PerProcess::new();

type Turns = Mutex<Vec<(RawFd, u32)>>;

/// A thread's turn at one direction of a descriptor.
struct Turn {
    turns: &'static Turns,
    entry: (RawFd, u32),
}

impl Turn {
    fn begin(fd: RawFd, events: u32) -> Option<Self> {
        let (turns, entry) = (TURNS.get_or_make(Turns::default), (fd, events));
        let mut list = turns.lock().unwrap_or_else(PoisonError::into_inner);
        if list.contains(&entry) {
            return None;
        }
        list.push(entry);
        drop(list);
        Some(Self { turns, entry })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut list = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|entry| *entry != self.entry);
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn once(request: &Request) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *request {
            Request::Nop => Ok(0),
            Request::Invalid => Err(libc::EINVAL),
            Request::Transfer(ref transfer) => transfer_call(transfer),
            Request::FileOp(ref op) => file_call(op),
            Request::Path(ref names) => path_call(names),
            Request::Net(ref net) => net_call(net),
            Request::Control(ref control) => control_call(control),
            Request::Splice(ref request) => splice(request),
            Request::Poll(Poll::Once { fd, events }) => {
                let mut entry = libc::pollfd {
                    fd,
                    events: events as i16,
                    revents: 0,
                };
                answer(libc::poll(&raw mut entry, 1, -1))?;
                Ok(entry.revents as u16 as u32)
            }
            Request::Blocking(work) => {
                (work.run)(work.data);
                Ok(0)
            }
            Request::Raw(_) => Err(libc::EOPNOTSUPP),
        }
    }
}

/// Repeats a positioned write that the file refuses by write(2), if the file's cursor is at that position.
///
/// The files of procfs that are seq_files refuse pwrite(2) with ESPIPE: `seq_open` clears `FMODE_PWRITE`, in all
/// versions of Linux. io_uring does not look at that flag.
fn at_cursor(fd: RawFd, at: u64, written: isize, write: impl FnOnce() -> isize) -> isize {
    if written >= 0 || last_error() != libc::ESPIPE {
        return written;
    }
    // SAFETY: no pointers are passed. An error is ESPIPE again.
    let cursor = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    if u64::try_from(cursor) == Ok(at) {
        write()
    } else {
        written
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn transfer_call(transfer: &Transfer) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *transfer {
            Transfer::Read { fd, span, position } => {
                let (start, len) = (span.start.cast(), span.len as usize);
                bytes(match position {
                    Position::Cursor => libc::read(fd, start, len),
                    Position::At(at) => libc::pread(fd, start, len, at as _),
                })
            }
            Transfer::Write { fd, span, position } => {
                let (start, len) = (span.start.cast_const().cast(), span.len as usize);
                bytes(match position {
                    Position::Cursor => libc::write(fd, start, len),
                    Position::At(at) => {
                        let written = libc::pwrite(fd, start, len, at as _);
                        at_cursor(fd, at, written, || libc::write(fd, start, len))
                    }
                })
            }
            Transfer::ReadVectored {
                fd,
                spans,
                position,
            } => {
                let (first, count) = (RawSlice::as_iovec(spans.first), spans.count as _);
                bytes(match position {
                    Position::Cursor => libc::readv(fd, first, count),
                    Position::At(at) => libc::preadv(fd, first, count, at as _),
                })
            }
            Transfer::WriteVectored {
                fd,
                spans,
                position,
            } => {
                let (first, count) = (RawSlice::as_iovec(spans.first), spans.count as _);
                bytes(match position {
                    Position::Cursor => libc::writev(fd, first, count),
                    Position::At(at) => {
                        let written = libc::pwritev(fd, first, count, at as _);
                        at_cursor(fd, at, written, || libc::writev(fd, first, count))
                    }
                })
            }
        }
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn file_call(op: &FileOp) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *op {
            FileOp::Sync {
                fd,
                data_only: true,
            } => platform::sync_data(fd),
            FileOp::Sync {
                fd,
                data_only: false,
            } => platform::sync_all(fd),
            FileOp::Open {
                dir,
                path,
                flags,
                mode,
            } => open(dir, path, flags | libc::O_CLOEXEC, mode),
            FileOp::Stat {
                dir,
                path,
                follow,
                into,
            } => platform::stat(dir, path, follow, into),
            FileOp::StatFd { fd, into } => platform::stat_fd(fd, into),
            FileOp::Truncate { fd, len } => match i64::try_from(len) {
                Ok(len) => answer(libc::ftruncate(fd, len as _)),
                Err(_) => Err(libc::EINVAL),
            },
            FileOp::Allocate {
                fd,
                mode,
                offset,
                len,
            } => platform::allocate(fd, mode, offset, len),
            FileOp::WriteWith {
                fd,
                span,
                offset,
                flags,
            } => platform::write_with(fd, span, offset, flags),
        }
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn path_call(names: &PathOp) -> RawResult {
    const HERE: RawFd = libc::AT_FDCWD;
    // SAFETY: the paths are valid by the contract of `call`.
    answer(unsafe {
        match *names {
            PathOp::Rename { from, to } => libc::renameat(HERE, from, HERE, to),
            PathOp::Remove { path, is_dir } => {
                libc::unlinkat(HERE, path, if is_dir { libc::AT_REMOVEDIR } else { 0 })
            }
            PathOp::MakeDir { path, mode } => libc::mkdirat(HERE, path, mode as libc::mode_t),
            PathOp::Link {
                original,
                link,
                is_symbolic: false,
            } => libc::linkat(HERE, original, HERE, link, 0),
            PathOp::Link {
                original,
                link,
                is_symbolic: true,
            } => libc::symlinkat(original, HERE, link),
        }
    })
}

/// Opens without waiting for a named pipe's other end, because no cancel could end that wait. io_uring
/// does the same. As with io_uring, this applies only if nothing is created or truncated.
///
/// # Safety
///
/// As [`call`].
unsafe fn open(dir: RawFd, path: *const c_char, flags: i32, mode: u32) -> RawResult {
    if flags & (libc::O_CREAT | libc::O_TRUNC) != 0 {
        // SAFETY: the path is valid by this function's contract.
        return answer(unsafe { libc::openat(dir, path, flags, mode) });
    }
    // SAFETY: likewise.
    let fd = match answer(unsafe { libc::openat(dir, path, flags | libc::O_NONBLOCK, mode) }) {
        // Another process holds a lease on the file, and has to release it first.
        // SAFETY: likewise.
        Err(libc::EAGAIN) => return answer(unsafe { libc::openat(dir, path, flags, mode) }),
        opened => opened?,
    };
    if flags & (libc::O_NONBLOCK | platform::PATH_ONLY) == 0 {
        // SAFETY: no pointers are passed. The call ignores flags that cannot be changed on an open
        // file.
        unsafe { libc::fcntl(fd as i32, libc::F_SETFL, flags) };
    }
    Ok(fd)
}

/// # Safety
///
/// As [`call`].
unsafe fn net_call(net: &Net) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *net {
            Net::Connect { fd, address, len } => answer(libc::connect(fd, address.cast(), len)),
            Net::Accept { fd, peer } => {
                let (address, len) = PeerAddress::as_parts(peer);
                platform::accept(fd, address, len)
            }
            Net::Recv { fd, span, flags } => {
                bytes(libc::recv(fd, span.start.cast(), span.len as usize, flags))
            }
            Net::Send { fd, span, flags } => bytes(libc::send(
                fd,
                span.start.cast_const().cast(),
                span.len as usize,
                send_flags(flags),
            )),
            Net::RecvMsg { fd, message, flags } => bytes(libc::recvmsg(
                fd,
                Message::as_msghdr(message),
                flags | platform::RECEIVE,
            )),
            Net::SendMsg { fd, message, flags } => bytes(libc::sendmsg(
                fd,
                Message::as_msghdr(message.cast_mut()),
                send_flags(flags),
            )),
            Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::RecvPooled { .. }
            | Net::SendZeroCopy { .. }
            | Net::SendMsgZeroCopy { .. } => Err(libc::EOPNOTSUPP),
        }
    }
}

/// The flags of a send, with the flag against the signal for a closed peer.
fn send_flags(flags: i32) -> i32 {
    #[cfg(all(test, not(loom)))]
    let flags = super::mode::shim::flags(flags);
    flags | platform::SEND
}

/// # Safety
///
/// As [`call`].
unsafe fn control_call(control: &Control) -> RawResult {
    // SAFETY: the request's pointers are valid by the contract of `call`.
    unsafe {
        match *control {
            Control::Socket {
                domain,
                kind,
                protocol,
            } => platform::socket(domain, kind, protocol),
            Control::Bind { fd, address, len } => answer(libc::bind(fd, address.cast(), len)),
            Control::Listen { fd, backlog } => answer(libc::listen(fd, backlog)),
            Control::Shutdown { fd, how } => answer(libc::shutdown(fd, how)),
            Control::Pipe { ends } => {
                let Ok((reader, writer)) = io::pipe() else {
                    return Err(last_error());
                };
                ends.write([reader.into_raw_fd(), writer.into_raw_fd()]);
                Ok(0)
            }
        }
    }
}

/// Splices the bytes that can be moved now, or returns EAGAIN.
pub(crate) fn splice(splice: &Splice) -> RawResult {
    let Splice {
        from,
        from_position,
        to,
        to_position,
        len,
    } = *splice;
    platform::splice(from, from_position, to, to_position, len)
}

#[cfg(test)]
mod tests;
