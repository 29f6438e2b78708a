//! Trying a request without waiting for it.

use std::{mem, os::fd::RawFd};

use super::queues::Direction;
use crate::{
    request::{Answer, File, Net, Pipe, Poll, Position, RawSlice, Request, Span, ready},
    sys::{
        dialect::nowait,
        unix::{call, last_error},
    },
};

/// How a request is answered.
pub(super) enum Plan {
    /// Here is the answer: nothing had to be waited for.
    Answered(Answer),
    /// By a thread that it may block.
    Pool,
    /// By an attempt, when this direction of this descriptor is ready.
    Wait(RawFd, Direction),
}

/// # Safety
///
/// As [`call`].
pub(super) unsafe fn plan(request: &Request) -> Plan {
    match *request {
        Request::Nop => Plan::Answered(Ok(0)),
        Request::Work(_) => Plan::Pool,
        Request::Raw(_) => Plan::Answered(Err(libc::EOPNOTSUPP)),
        Request::Poll(Poll::Once { fd, events }) => Plan::Wait(fd, direction_of(events)),
        Request::Pipe(ref pipe) => {
            let (fd, direction) = splice_waits_for(pipe);
            Plan::Wait(fd, direction)
        }
        // SAFETY: passed on from this function.
        Request::File(ref file) => unsafe { plan_file(file) },
        Request::Net(ref net) => match *net {
            // SAFETY: passed on from this function; neither of them waits.
            Net::Socket { .. } | Net::Shutdown { .. } => Plan::Answered(unsafe { call(request) }),
            Net::Accept { fd, .. } | Net::Recv { fd, .. } | Net::RecvMsg { fd, .. } => {
                Plan::Wait(fd, Direction::Read)
            }
            Net::Connect { fd, .. } | Net::Send { fd, .. } | Net::SendMsg { fd, .. } => {
                Plan::Wait(fd, Direction::Write)
            }
        },
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn plan_file(file: &File) -> Plan {
    match *file {
        File::Read { fd, position, .. } | File::ReadVectored { fd, position, .. } => match position
        {
            Position::Cursor => Plan::Wait(fd, Direction::Read),
            // What is in memory already needs no thread.
            // SAFETY: passed on from this function.
            Position::At(_) => match unsafe { nowait::read_fully(file) } {
                Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::ENOSYS) => Plan::Pool,
                answer => Plan::Answered(answer),
            },
        },
        File::Write { fd, position, .. } | File::WriteVectored { fd, position, .. } => {
            match position {
                Position::Cursor => Plan::Wait(fd, Direction::Write),
                Position::At(_) => Plan::Pool,
            }
        }
        File::Sync { .. }
        | File::Open { .. }
        | File::Close { .. }
        | File::Stat { .. }
        | File::StatFd { .. } => Plan::Pool,
    }
}

/// Tries a request that may have to wait; `None` if it has to.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn attempt(request: &Request) -> Option<Answer> {
    // SAFETY: passed on from this function.
    unsafe {
        match *request {
            Request::Net(ref net) => attempt_net(net),
            Request::File(ref file) => attempt_at_cursor(file),
            Request::Poll(Poll::Once { fd, events }) => match ready_now(fd, events) {
                0 => None,
                bits => Some(Ok(bits)),
            },
            // Asked for without blocking by `call` already.
            Request::Pipe(_) => unless(libc::EAGAIN, call(request)),
            Request::Nop | Request::Work(_) | Request::Raw(_) => Some(call(request)),
        }
    }
}

/// Tries again a request whose descriptor has become ready; `None` if it has to go on waiting.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn resume(request: &Request) -> Option<Answer> {
    if let Request::Net(Net::Connect { fd, .. }) = *request {
        // It was begun: now there is its outcome.
        return (ready_now(fd, ready::OUT) != 0).then(|| outcome(fd));
    }
    // SAFETY: passed on from this function.
    unsafe { attempt(request) }
}

/// # Safety
///
/// As [`call`].
unsafe fn attempt_net(net: &Net) -> Option<Answer> {
    let mut net = *net;
    match &mut net {
        Net::Recv { flags, .. }
        | Net::Send { flags, .. }
        | Net::RecvMsg { flags, .. }
        | Net::SendMsg { flags, .. } => *flags |= libc::MSG_DONTWAIT,
        Net::Accept { fd, .. } | Net::Connect { fd, .. } => {
            // They have no such flag.
            if let Err(code) = set_nonblocking(*fd) {
                return Some(Err(code));
            }
        }
        Net::Socket { .. } | Net::Shutdown { .. } => {}
    }
    // The answer of a Unix socket whose listener has no room is EAGAIN: there is nothing that
    // could be waited for, it goes to the caller.
    let not_now = if matches!(net, Net::Connect { .. }) {
        libc::EINPROGRESS
    } else {
        libc::EAGAIN
    };
    // SAFETY: passed on from this function.
    unless(not_now, unsafe { call(&Request::Net(net)) })
}

/// Reads or writes at the cursor: a pipe, a terminal, a socket, or a file after all.
///
/// # Safety
///
/// As [`call`].
unsafe fn attempt_at_cursor(file: &File) -> Option<Answer> {
    // SAFETY: passed on from this function.
    match unsafe { nowait::transfer(file) } {
        Err(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => {}
        answer => return unless(libc::EAGAIN, answer),
    }
    // Whoever does not know how not to wait is asked before.
    let (fd, events) = match *file {
        File::Read { fd, .. } | File::ReadVectored { fd, .. } => (fd, ready::IN),
        File::Write { fd, .. } | File::WriteVectored { fd, .. } => (fd, ready::OUT),
        File::Sync { .. }
        | File::Open { .. }
        | File::Close { .. }
        | File::Stat { .. }
        // SAFETY: passed on from this function.
        | File::StatFd { .. } => return Some(unsafe { call(&Request::File(*file)) }),
    };
    // A regular file is always ready, and makes its caller wait all the same: the poller refuses
    // it, and it goes to the pool.
    if is_regular(fd) || ready_now(fd, events) == 0 {
        return None;
    }
    // SAFETY: passed on from this function.
    let file = unsafe { clipped(file) };
    // SAFETY: likewise.
    unless(libc::EAGAIN, unsafe { call(&Request::File(file)) })
}

/// A write so short that a descriptor which is ready for one takes it without waiting.
///
/// # Safety
///
/// As [`call`].
unsafe fn clipped(file: &File) -> File {
    let clip = |start, len: usize| Span::new(start, len.min(libc::PIPE_BUF));
    match *file {
        File::Write { fd, span, position } => File::Write {
            fd,
            span: clip(span.start, span.len as usize),
            position,
        },
        File::WriteVectored {
            fd,
            spans,
            position,
        } if spans.count > 0 => {
            // SAFETY: there is a first slice.
            let first: RawSlice = unsafe { *spans.first };
            File::Write {
                fd,
                span: clip(first.start(), first.len()),
                position,
            }
        }
        File::Read { .. }
        | File::ReadVectored { .. }
        | File::WriteVectored { .. }
        | File::Sync { .. }
        | File::Open { .. }
        | File::Close { .. }
        | File::Stat { .. }
        | File::StatFd { .. } => *file,
    }
}

/// Which end of a splice has to become ready first.
pub(super) fn splice_waits_for(pipe: &Pipe) -> (RawFd, Direction) {
    let Pipe::Splice { from, to, .. } = *pipe;
    if ready_now(from, ready::IN) == 0 {
        (from, Direction::Read)
    } else {
        (to, Direction::Write)
    }
}

fn direction_of(events: u32) -> Direction {
    match (
        events & (ready::IN | ready::PRI) != 0,
        events & ready::OUT != 0,
    ) {
        (true, true) => Direction::Either,
        (false, true) => Direction::Write,
        (_, false) => Direction::Read,
    }
}

/// Which of the events are there, and errors in any case; none if the descriptor is unknown.
fn ready_now(fd: RawFd, events: u32) -> u32 {
    let mut entry = libc::pollfd {
        fd,
        events: events as i16,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, 0) };
    if count > 0 {
        entry.revents as u16 as u32
    } else {
        0
    }
}

fn is_regular(fd: RawFd) -> bool {
    // SAFETY: `stat` is a plain C struct, which the call fills in.
    unsafe {
        let mut stat: libc::stat = mem::zeroed();
        libc::fstat(fd, &raw mut stat) == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFREG
    }
}

/// How a connection attempt has ended.
fn outcome(fd: RawFd) -> Answer {
    match option(fd, libc::SO_ERROR)? {
        0 => Ok(0),
        code => Err(code),
    }
}

/// Whether it is a socket without borders between messages.
pub(super) fn is_stream(fd: RawFd) -> bool {
    option(fd, libc::SO_TYPE) == Ok(libc::SOCK_STREAM)
}

fn option(fd: RawFd, name: i32) -> Result<i32, i32> {
    let mut value = 0;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: `len` bytes at `value`, both outlive the call.
    let asked = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if asked == 0 {
        Ok(value)
    } else {
        Err(last_error())
    }
}

fn set_nonblocking(fd: RawFd) -> Result<(), i32> {
    // SAFETY: no pointers are passed.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        if flags < 0 {
            return Err(last_error());
        }
        if flags & libc::O_NONBLOCK == 0
            && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0
        {
            return Err(last_error());
        }
    }
    Ok(())
}

fn unless(not_now: i32, answer: Answer) -> Option<Answer> {
    (answer != Err(not_now)).then_some(answer)
}
