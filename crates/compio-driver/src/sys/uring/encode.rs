//! The table from requests to submission queue entries: pure, and tested without a kernel.

use io_uring::{
    opcode,
    squeue::Entry,
    types::{Fd, FsyncFlags},
};

use crate::{
    request::PeerAddress,
    request::{File, Message, Net, Pipe, Poll, Position, RawSlice, Request, Span, Stat},
};

/// What is to be done with a request.
pub(super) enum Encoded {
    /// This entry says it.
    Entry(Entry),
    /// A plain call on this thread is faster than what the ring would do, and does not block.
    Call,
    /// It runs on the pool of threads.
    Work,
}

/// The entry's user data is left to the caller.
///
/// # Safety
///
/// A [`Request::Raw`] points to a valid entry.
pub(super) unsafe fn encode(request: &Request) -> Encoded {
    Encoded::Entry(match *request {
        Request::Nop => opcode::Nop::new().build(),
        Request::File(ref file) => encode_file(file),
        Request::Net(Net::Shutdown { .. } | Net::RecvPooled { .. }) => return Encoded::Call,
        Request::Net(ref net) => encode_net(net),
        Request::Pipe(ref pipe) => encode_pipe(pipe),
        Request::Poll(Poll::Once { fd, events }) => opcode::PollAdd::new(Fd(fd), events).build(),
        Request::Work(_) => return Encoded::Work,
        // SAFETY: valid by this function's contract.
        Request::Raw(entry) => unsafe { (*entry).clone() },
    })
}

fn encode_file(file: &File) -> Entry {
    match *file {
        File::Read { fd, span, position } => opcode::Read::new(Fd(fd), span.start, span.len)
            .offset(offset(position))
            .build(),
        File::Write { fd, span, position } => opcode::Write::new(Fd(fd), span.start, span.len)
            .offset(offset(position))
            .build(),
        File::ReadVectored {
            fd,
            spans,
            position,
        } => opcode::Readv::new(Fd(fd), RawSlice::as_iovec(spans.first), spans.count)
            .offset(offset(position))
            .build(),
        File::WriteVectored {
            fd,
            spans,
            position,
        } => opcode::Writev::new(Fd(fd), RawSlice::as_iovec(spans.first), spans.count)
            .offset(offset(position))
            .build(),
        File::Sync { fd, data_only } => opcode::Fsync::new(Fd(fd))
            .flags(if data_only {
                FsyncFlags::DATASYNC
            } else {
                FsyncFlags::empty()
            })
            .build(),
        File::Open {
            dir,
            path,
            flags,
            mode,
        } => opcode::OpenAt::new(Fd(dir), path)
            .flags(flags | libc::O_CLOEXEC)
            .mode(mode)
            .build(),
        File::Close { fd } => opcode::Close::new(Fd(fd)).build(),
        File::Stat {
            dir,
            path,
            follow,
            into,
        } => opcode::Statx::new(Fd(dir), path, into.cast())
            .flags(if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW })
            .mask(Stat::MASK)
            .build(),
        File::StatFd { fd, into } => opcode::Statx::new(Fd(fd), c"".as_ptr(), into.cast())
            .flags(libc::AT_EMPTY_PATH)
            .mask(Stat::MASK)
            .build(),
    }
}

fn encode_net(net: &Net) -> Entry {
    match *net {
        Net::Socket {
            domain,
            kind,
            protocol,
        } => opcode::Socket::new(domain, kind | libc::SOCK_CLOEXEC, protocol).build(),
        Net::Connect { fd, address, len } => {
            opcode::Connect::new(Fd(fd), address.cast(), len).build()
        }
        Net::Accept { fd, peer } => {
            let (address, len) = PeerAddress::as_parts(peer);
            opcode::Accept::new(Fd(fd), address, len)
                .flags(libc::SOCK_CLOEXEC)
                .build()
        }
        Net::Recv {
            fd,
            span: Span { start, len },
            flags,
        } => opcode::Recv::new(Fd(fd), start, len).flags(flags).build(),
        Net::Send {
            fd,
            span: Span { start, len },
            flags,
        } => opcode::Send::new(Fd(fd), start, len)
            .flags(flags | libc::MSG_NOSIGNAL)
            .build(),
        Net::RecvMsg { fd, message, flags } => {
            opcode::RecvMsg::new(Fd(fd), Message::as_msghdr(message))
                .flags((flags | libc::MSG_CMSG_CLOEXEC) as u32)
                .build()
        }
        Net::SendMsg { fd, message, flags } => {
            opcode::SendMsg::new(Fd(fd), Message::as_msghdr(message.cast_mut()))
                .flags((flags | libc::MSG_NOSIGNAL) as u32)
                .build()
        }
        Net::AcceptMulti { fd } => opcode::AcceptMulti::new(Fd(fd))
            .flags(libc::SOCK_CLOEXEC)
            .build(),
        Net::RecvMulti { fd, group, flags } => {
            let entry = opcode::RecvMulti::new(Fd(fd), group).flags(flags).build();
            #[cfg(all(test, not(loom)))]
            let entry = late::perhaps(entry);
            entry
        }
        Net::SendZeroCopy {
            fd,
            span: Span { start, len },
            flags,
        } => opcode::SendZc::new(Fd(fd), start, len)
            .flags(flags | libc::MSG_NOSIGNAL)
            .build(),
        Net::Shutdown { fd, how } => opcode::Shutdown::new(Fd(fd), how).build(),
        Net::RecvPooled { .. } => unreachable!("answered by a call: see `encode`"),
    }
}

fn encode_pipe(pipe: &Pipe) -> Entry {
    match *pipe {
        Pipe::Splice {
            from,
            from_position,
            to,
            to_position,
            len,
        } => opcode::Splice::new(
            Fd(from),
            offset(from_position) as i64,
            Fd(to),
            offset(to_position) as i64,
            len,
        )
        .build(),
    }
}

/// The kernel takes "minus one" for the file's own cursor. An offset which looks like that becomes
/// the one before, which is as impossible and gets the same error.
fn offset(position: Position) -> u64 {
    match position {
        Position::Cursor => u64::MAX,
        Position::At(offset) => offset.min(u64::MAX - 1),
    }
}

#[cfg(all(test, not(loom)))]
mod late;
#[cfg(all(test, not(loom)))]
mod tests;
