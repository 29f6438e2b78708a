//! Non-blocking attempts of requests.

use std::os::fd::RawFd;

use super::queues::Direction;
use crate::{
    request::{
        BufferPick, Message, Net, Poll, Position, RawResult, RawSlice, Request, Span, Splice,
        Transfer, ready,
    },
    sys::{
        PickBuffer,
        platform::{
            self,
            kinds::{self, Kind},
            nowait,
            splices::{self, Next},
        },
        unix::{
            BESIDE_THE_BYTES, call, last_error, mode_of, outcome_of_connect, prepare_to_send,
            ready_now, set_nonblocking, splice,
        },
    },
};

/// The way in which a request completes.
#[derive(Clone, Copy)]
pub(super) enum Plan {
    /// This result: there was no need to wait.
    Answered(RawResult),
    /// On a thread that may block.
    Pool,
    /// By an attempt, when this direction of this descriptor is ready.
    Wait(RawFd, Direction),
}

/// Decides how the request completes. A stream has no positions: a request with a position uses the
/// cursor, as in io_uring, and is changed accordingly.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn plan(request: &mut Request) -> Plan {
    match *request {
        Request::Nop => Plan::Answered(Ok(0)),
        Request::Blocking(_) | Request::Path(_) | Request::FileOp(_) => Plan::Pool,
        Request::Raw(_) => Plan::Answered(Err(libc::EOPNOTSUPP)),
        Request::Invalid => Plan::Answered(Err(libc::EINVAL)),
        Request::Poll(Poll::Once { fd, .. }) => Plan::Wait(fd, Direction::Other),
        Request::Splice(ref splice) => match splice_waits_for(splice) {
            Ok(Some((fd, direction))) => Plan::Wait(fd, direction),
            Ok(None) => Plan::Wait(splice.to, Direction::Write),
            Err(code) => Plan::Answered(Err(code)),
        },
        // SAFETY: passed on from this function; the call does not wait.
        Request::Control(_) => Plan::Answered(unsafe { call(request) }),
        // SAFETY: passed on from this function.
        Request::Transfer(ref mut transfer) => unsafe { plan_transfer(transfer) },
        Request::Net(ref net) => match *net {
            Net::Recv { flags, .. } | Net::RecvMsg { flags, .. }
                if flags & libc::MSG_DONTWAIT != 0 =>
            {
                // SAFETY: likewise.
                Plan::Answered(unsafe { call(request) })
            }
            Net::Send { fd, flags, .. } | Net::SendMsg { fd, flags, .. }
                if flags & libc::MSG_DONTWAIT != 0 =>
            {
                // SAFETY: likewise.
                Plan::Answered(prepare_to_send(fd).and_then(|()| unsafe { call(request) }))
            }
            Net::Recv { fd, flags, .. }
            | Net::RecvPooled { fd, flags, .. }
            | Net::RecvMsg { fd, flags, .. }
                if flags & BESIDE_THE_BYTES != 0 =>
            {
                Plan::Wait(fd, Direction::Other)
            }
            Net::Accept { fd, .. }
            | Net::Recv { fd, .. }
            | Net::RecvPooled { fd, .. }
            | Net::RecvMsg { fd, .. } => Plan::Wait(fd, Direction::Read),
            Net::Connect { fd, .. } => Plan::Wait(fd, Direction::Other),
            // This backend does not support them: see `Capabilities`.
            Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::SendZeroCopy { .. }
            | Net::SendMsgZeroCopy { .. } => Plan::Answered(Err(libc::EOPNOTSUPP)),
            Net::Send { fd, .. } | Net::SendMsg { fd, .. } => Plan::Wait(fd, Direction::Write),
        },
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn plan_transfer(transfer: &mut Transfer) -> Plan {
    if transfer.position() == Position::Cursor {
        return wait_for(transfer);
    }
    if !transfer.is_read() {
        return if is_stream(transfer) {
            move_to_cursor(transfer)
        } else {
            Plan::Pool
        };
    }
    // Bytes in the page cache need no thread.
    let answer = if nowait::may_be_in_memory(transfer) {
        // SAFETY: passed on from this function.
        unsafe { nowait::read_fully(transfer) }
    } else {
        Err(libc::EAGAIN)
    };
    match answer {
        Err(libc::ESPIPE) => move_to_cursor(transfer),
        Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS) if is_stream(transfer) => {
            move_to_cursor(transfer)
        }
        Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS) => Plan::Pool,
        answer => Plan::Answered(answer),
    }
}

fn wait_for(transfer: &Transfer) -> Plan {
    let direction = if transfer.is_read() {
        Direction::Read
    } else {
        Direction::Write
    };
    Plan::Wait(transfer.fd(), direction)
}

/// Whether the descriptor of a transfer has no positions.
fn is_stream(transfer: &Transfer) -> bool {
    // SAFETY: no pointers are passed.
    let place = unsafe { libc::lseek(transfer.fd(), 0, libc::SEEK_CUR) };
    place < 0 && last_error() == libc::ESPIPE
}

fn move_to_cursor(transfer: &mut Transfer) -> Plan {
    match transfer.at_cursor() {
        Some(at_cursor) => {
            *transfer = at_cursor;
            wait_for(transfer)
        }
        None => Plan::Answered(Err(libc::EINVAL)),
    }
}

/// The outcome of an attempt.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Answered(RawResult),
    /// The descriptor has to become ready first.
    NotNow,
    /// The call may block, ready or not.
    Pool,
}

/// Tries a request that may have to wait.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn attempt(request: &Request) -> Outcome {
    // SAFETY: passed on from this function.
    unsafe {
        match *request {
            Request::Net(ref net) => attempt_net(net),
            Request::Transfer(ref transfer) => attempt_at_cursor(transfer),
            Request::Poll(Poll::Once { fd, events }) => match ready_now(fd, events) {
                Ok(0) if fd < 0 => Outcome::Answered(Err(libc::EBADF)),
                Ok(0) => Outcome::NotNow,
                Ok(bits) if bits & ready::NVAL != 0 => Outcome::Answered(Err(unpollable(fd))),
                answer => Outcome::Answered(answer),
            },
            Request::Splice(ref splice) => attempt_splice(splice),
            Request::Path(_) | Request::FileOp(_) => Outcome::Pool,
            Request::Nop
            | Request::Control(_)
            | Request::Blocking(_)
            | Request::Raw(_)
            | Request::Invalid => Outcome::Answered(call(request)),
        }
    }
}

/// The error of a poll that poll(2) refuses: the descriptor is closed, or it is a device that macOS does
/// not look at, such as /dev/tty. The latter has no readiness.
fn unpollable(fd: RawFd) -> i32 {
    mode_of(fd).err().unwrap_or(libc::EINVAL)
}

/// Repeats the attempt of a request whose descriptor has become ready.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn resume(request: &Request) -> Outcome {
    let Request::Net(Net::Connect { fd, .. }) = *request else {
        // SAFETY: passed on from this function.
        return unsafe { attempt(request) };
    };
    let answer = if platform::SECOND_CONNECT_REPORTS_FIRST {
        // The call leaves the socket in the state that a blocking connect leaves. The socket's last error does
        // not: a later connect would fail with ECONNABORTED.
        // SAFETY: passed on from this function.
        match unsafe { attempt(request) } {
            Outcome::Answered(answer) => answer,
            outcome @ (Outcome::NotNow | Outcome::Pool) => return outcome,
        }
    } else {
        outcome_of_connect(fd)
    };
    match answer {
        Err(libc::EALREADY | libc::EINPROGRESS) => Outcome::NotNow,
        Err(libc::EISCONN) => Outcome::Answered(Ok(0)),
        answer => Outcome::Answered(answer),
    }
}

/// The request for a thread that may block. None if the request has to be tried again.
pub(super) fn for_thread(request: &Request) -> Option<Request> {
    Some(match request {
        Request::Splice(splice) => match splices::next(splice) {
            Next::Call(splice) | Next::Thread(splice) => Request::Splice(splice),
            Next::Wait(..) | Next::Later | Next::Refused(_) => return None,
        },
        Request::Nop
        | Request::Transfer(_)
        | Request::FileOp(_)
        | Request::Path(_)
        | Request::Net(_)
        | Request::Control(_)
        | Request::Poll(_)
        | Request::Blocking(_)
        | Request::Raw(_)
        | Request::Invalid => *request,
    })
}

/// # Safety
///
/// As [`call`].
unsafe fn attempt_net(net: &Net) -> Outcome {
    let mut net = *net;
    match &mut net {
        Net::Recv { flags, .. } | Net::RecvMsg { flags, .. } => *flags |= libc::MSG_DONTWAIT,
        Net::Send { fd, flags, .. } | Net::SendMsg { fd, flags, .. } => {
            if let Err(code) = prepare_to_send(*fd) {
                return Outcome::Answered(Err(code));
            }
            *flags |= libc::MSG_DONTWAIT;
        }
        Net::Accept { fd, .. } => {
            // Accept has no such flag.
            if let Err(code) = set_nonblocking(*fd) {
                return Outcome::Answered(Err(code));
            }
        }
        // SAFETY: passed on from this function.
        Net::Connect { fd, .. } => return unsafe { begin_to_connect(*fd, &net) },
        Net::RecvPooled {
            fd, choice, flags, ..
        } => {
            // SAFETY: passed on from this function; nothing was chosen, or it was put back.
            return unsafe { receive_pooled(*fd, *choice, *flags | libc::MSG_DONTWAIT) };
        }
        Net::AcceptMulti { .. }
        | Net::RecvMulti { .. }
        | Net::SendZeroCopy { .. }
        | Net::SendMsgZeroCopy { .. } => {}
    }
    // SAFETY: passed on from this function.
    unless(libc::EAGAIN, unsafe { call(&Request::Net(net)) })
}

/// Receives into a pooled buffer, which is returned if no bytes arrive.
///
/// # Safety
///
/// As [`call`]; nothing has been chosen.
unsafe fn receive_pooled(fd: RawFd, choice: *mut BufferPick, flags: i32) -> Outcome {
    // SAFETY: passed on from this function.
    let Some(span) = (unsafe { BufferPick::pick(choice) }) else {
        return Outcome::Answered(Err(libc::ENOBUFS));
    };
    let receive = Net::Recv { fd, span, flags };
    // SAFETY: the buffer is in no other use.
    let answer = unsafe { call(&Request::Net(receive)) };
    if !matches!(answer, Ok(1..)) {
        // SAFETY: as above.
        unsafe { BufferPick::unpick(choice) };
    }
    unless(libc::EAGAIN, answer)
}

/// Receives from an empty socket that receives no more: a call that may wait returns 0 at once.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn receive_nothing(request: &Request) -> Outcome {
    let Request::Net(Net::RecvPooled {
        fd, choice, flags, ..
    }) = *request
    else {
        // SAFETY: passed on from this function.
        return unless(libc::EAGAIN, unsafe { call(request) });
    };
    // SAFETY: likewise; nothing was chosen, or it was put back.
    unsafe { receive_pooled(fd, choice, flags) }
}

/// Begins a connect without blocking. The socket keeps its mode.
///
/// # Safety
///
/// As [`call`].
unsafe fn begin_to_connect(fd: RawFd, connect: &Net) -> Outcome {
    let mode = match set_nonblocking(fd) {
        Ok(mode) => mode,
        Err(code) => return Outcome::Answered(Err(code)),
    };
    // SAFETY: passed on from this function.
    let answer = unsafe { call(&Request::Net(*connect)) };
    if mode & libc::O_NONBLOCK == 0 {
        // SAFETY: no pointers are passed. The opposite change has just succeeded.
        unsafe { libc::fcntl(fd, libc::F_SETFL, mode) };
    }
    // A Unix socket whose listener has no room returns EAGAIN. No event reports new room, so the
    // backend tries again.
    unless(libc::EINPROGRESS, answer)
}

/// Reads or writes at the cursor of a pipe, a terminal, a socket or a file.
///
/// # Safety
///
/// As [`call`].
unsafe fn attempt_at_cursor(transfer: &Transfer) -> Outcome {
    let fd = transfer.fd();
    // SAFETY: passed on from this function.
    match unsafe { nowait::transfer_nowait(transfer) } {
        Err(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => {}
        // Some kernels return 0 for regular files by mistake, see `nowait`.
        Ok(0) if transfer.is_read() && kinds::kind_of(fd) == Kind::File => return Outcome::Pool,
        answer => return unless(libc::EAGAIN, answer),
    }
    let kind = kinds::kind_of(fd);
    match kind {
        // Always ready, but the call blocks nevertheless.
        Kind::File | Kind::Fuse => return Outcome::Pool,
        // SAFETY: passed on from this function.
        Kind::Socket => return unless(libc::EAGAIN, unsafe { transfer_of_socket(transfer) }),
        // SAFETY: likewise.
        Kind::Memory => return Outcome::Answered(unsafe { call(&Request::Transfer(*transfer)) }),
        Kind::Pipe | Kind::Terminal => {
            if let Some(private) = kinds::private_of(fd, kind) {
                let transfer = Request::Transfer(transfer.with_fd(private));
                // SAFETY: likewise. The other descriptor is open as long as this one.
                return unless(libc::EAGAIN, unsafe { call(&transfer) });
            }
        }
        Kind::Anonymous | Kind::Device => {}
    }
    let mode = match mode_of(fd) {
        Ok(mode) => mode,
        Err(code) => return Outcome::Answered(Err(code)),
    };
    if mode & libc::O_NONBLOCK != 0 || !permits(mode, transfer) {
        // SAFETY: passed on from this function. A call that the mode does not permit returns EBADF.
        return unless(libc::EAGAIN, unsafe { call(&Request::Transfer(*transfer)) });
    }
    // The file has no non-blocking mode, and another reader or writer may be faster.
    match ready_now(fd, transfer.events()) {
        Ok(0) => return Outcome::NotNow,
        // macOS does not look at some devices.
        Ok(bits) if bits & ready::NVAL != 0 => return Outcome::Pool,
        Ok(_) => {}
        Err(code) => return Outcome::Answered(Err(code)),
    }
    if !kinds::trusts_readiness(kind) {
        return Outcome::Pool;
    }
    // SAFETY: passed on from this function.
    let transfer = unsafe { clamp_to_pipe_buf(transfer) };
    // SAFETY: likewise.
    unless(libc::EAGAIN, unsafe { call(&Request::Transfer(transfer)) })
}

/// Reads or writes a socket without waiting, by a receive or a send.
///
/// # Safety
///
/// As [`call`].
unsafe fn transfer_of_socket(transfer: &Transfer) -> RawResult {
    let slice_of = |span: Span| RawSlice::new(span.start, span.len as usize);
    let slice;
    let (first, count) = match *transfer {
        Transfer::Read { span, .. } | Transfer::Write { span, .. } => {
            slice = slice_of(span);
            (&raw const slice, 1)
        }
        Transfer::ReadVectored { spans, .. } | Transfer::WriteVectored { spans, .. } => {
            (spans.first, spans.count as usize)
        }
    };
    let mut message = Message::new();
    message.point_at(first, count);
    let message = &raw mut message;
    let (fd, flags) = (transfer.fd(), libc::MSG_DONTWAIT);
    let net = if transfer.is_read() {
        Net::RecvMsg { fd, message, flags }
    } else {
        prepare_to_send(fd)?;
        Net::SendMsg { fd, message, flags }
    };
    // SAFETY: passed on from this function; the slice and the message outlive the call.
    unsafe { call(&Request::Net(net)) }
}

fn attempt_splice(request: &Splice) -> Outcome {
    match splices::next(request) {
        Next::Wait(..) | Next::Later => Outcome::NotNow,
        Next::Refused(code) => Outcome::Answered(Err(code)),
        Next::Call(request) => unless(libc::EAGAIN, splice(&request)),
        Next::Thread(_) => Outcome::Pool,
    }
}

/// Shortens a write so that a ready descriptor takes it without blocking.
///
/// # Safety
///
/// As [`call`].
unsafe fn clamp_to_pipe_buf(transfer: &Transfer) -> Transfer {
    let clip = |start, len: usize| Span::new(start, len.min(libc::PIPE_BUF));
    match *transfer {
        Transfer::Write { fd, span, position } => Transfer::Write {
            fd,
            span: clip(span.start, span.len as usize),
            position,
        },
        Transfer::WriteVectored {
            fd,
            spans,
            position,
        } if spans.count > 0 => {
            // SAFETY: there is a first slice.
            let first: RawSlice = unsafe { *spans.first };
            Transfer::Write {
                fd,
                span: clip(first.start(), first.len()),
                position,
            }
        }
        Transfer::Read { .. } | Transfer::ReadVectored { .. } | Transfer::WriteVectored { .. } => {
            *transfer
        }
    }
}

/// The end of a splice that has to become ready first. None if both ends are ready by now, or if no
/// event reports the readiness: an edge would not come.
pub(super) fn splice_waits_for(splice: &Splice) -> Result<Option<(RawFd, Direction)>, i32> {
    match splices::next(splice) {
        Next::Wait(fd, ready::IN) => Ok(Some((fd, Direction::Read))),
        Next::Wait(fd, _) => Ok(Some((fd, Direction::Write))),
        Next::Later | Next::Call(_) | Next::Thread(_) => Ok(None),
        Next::Refused(code) => Err(code),
    }
}

/// Whether the descriptor was opened for transfers in this direction.
fn permits(mode: i32, transfer: &Transfer) -> bool {
    let other = if transfer.is_read() {
        libc::O_WRONLY
    } else {
        libc::O_RDONLY
    };
    mode & libc::O_ACCMODE != other
}

fn unless(not_now: i32, answer: RawResult) -> Outcome {
    if answer == Err(not_now) {
        Outcome::NotNow
    } else {
        Outcome::Answered(answer)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
