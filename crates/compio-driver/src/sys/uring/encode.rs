//! The table from requests to submission queue entries. It has no side effects, and is tested without a
//! kernel.

use std::mem::MaybeUninit;

use io_uring::{
    opcode,
    squeue::{Entry, Flags},
    types::{Fd, FsyncFlags},
};

use crate::{
    request::PeerAddress,
    request::{
        CURRENT_DIR, Control, FileOp, Message, Net, PathOp, Poll, Position, RawSlice, Request,
        Span, Splice, Stat, Transfer,
    },
    sys::platform::{fallocate_flags, rwf},
};

/// The outcome of the table for a request.
pub(super) enum Encoded {
    /// The slot contains the entry.
    Entry,
    /// The slot contains the entry of a transfer of a file, which may block the submitting thread.
    Transfer,
    /// The slot contains the entry, to be submitted once both ends are ready.
    Splice,
    /// A plain call on this thread is faster than the ring, and does not block.
    Call,
    /// The thread pool executes the request.
    ThreadPool,
}

/// The final place of an entry. A copy would read many small, recent stores, and the CPU would wait for
/// each of them.
pub(super) type Slot = MaybeUninit<Entry>;

/// Fills the slot if the result is `Entry`, `Transfer` or `Splice`. The caller sets the user data.
///
/// # Safety
///
/// A [`Request::Raw`] points to a valid entry.
/// A [`Request::Raw`] points to a valid entry.
#[inline]
pub(super) unsafe fn encode(request: &Request, slot: &mut Slot) -> Encoded {
    match *request {
        Request::Nop => slot.write(opcode::Nop::new().build()),
        Request::Transfer(ref transfer) => {
            encode_transfer(transfer, slot);
            return Encoded::Transfer;
        }
        Request::FileOp(ref op) => encode_file_op(op, slot),
        Request::Path(ref names) => encode_names(names, slot),
        Request::Control(Control::Shutdown { .. })
        | Request::Net(Net::RecvPooled { .. })
        | Request::Invalid => {
            return Encoded::Call;
        }
        Request::Net(ref net) => encode_net(net, slot),
        Request::Control(ref control) => encode_control(control, slot),
        Request::Splice(ref splice) => {
            encode_splice(splice, slot);
            return Encoded::Splice;
        }
        Request::Poll(Poll::Once { fd, events }) => {
            slot.write(opcode::PollAdd::new(Fd(fd), events).build())
        }
        Request::Blocking(_) => return Encoded::ThreadPool,
        // SAFETY: the pointer is valid by this function's contract.
        Request::Raw(entry) => slot.write(unsafe { (*entry).clone() }),
    };
    Encoded::Entry
}

fn encode_transfer<'a>(transfer: &Transfer, slot: &'a mut Slot) -> &'a mut Entry {
    match *transfer {
        Transfer::Read { fd, span, position } => slot.write(
            opcode::Read::new(Fd(fd), span.start, span.len)
                .offset(offset(position))
                .build(),
        ),
        Transfer::Write { fd, span, position } => slot.write(
            opcode::Write::new(Fd(fd), span.start, span.len)
                .offset(offset(position))
                .build(),
        ),
        Transfer::ReadVectored {
            fd,
            spans,
            position,
        } => slot.write(
            opcode::Readv::new(Fd(fd), RawSlice::as_iovec(spans.first), spans.count)
                .offset(offset(position))
                .build(),
        ),
        Transfer::WriteVectored {
            fd,
            spans,
            position,
        } => slot.write(
            opcode::Writev::new(Fd(fd), RawSlice::as_iovec(spans.first), spans.count)
                .offset(offset(position))
                .build(),
        ),
    }
}

fn encode_file_op<'a>(op: &FileOp, slot: &'a mut Slot) -> &'a mut Entry {
    match *op {
        FileOp::Sync { fd, data_only } => slot.write(
            opcode::Fsync::new(Fd(fd))
                .flags(if data_only {
                    FsyncFlags::DATASYNC
                } else {
                    FsyncFlags::empty()
                })
                .build(),
        ),
        FileOp::Open {
            dir,
            path,
            flags,
            mode,
        } => slot.write(
            opcode::OpenAt::new(Fd(dir), path)
                .flags(flags | libc::O_CLOEXEC)
                .mode(mode)
                .build(),
        ),
        FileOp::Stat {
            dir,
            path,
            follow,
            into,
        } => slot.write(
            opcode::Statx::new(Fd(dir), path, into.cast())
                .flags(if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW })
                .mask(Stat::MASK)
                .build(),
        ),
        FileOp::StatFd { fd, into } => slot.write(
            opcode::Statx::new(Fd(fd), c"".as_ptr(), into.cast())
                .flags(libc::AT_EMPTY_PATH)
                .mask(Stat::MASK)
                .build(),
        ),
        FileOp::Truncate { fd, len } => slot.write(opcode::Ftruncate::new(Fd(fd), len).build()),
        FileOp::Allocate {
            fd,
            mode,
            offset,
            len,
        } => slot.write(
            opcode::Fallocate::new(Fd(fd), len)
                .offset(offset)
                .mode(fallocate_flags(mode).bits() as i32)
                .build(),
        ),
        FileOp::WriteWith {
            fd,
            span: Span { start, len },
            offset: at,
            flags,
        } => slot.write(
            opcode::Write::new(Fd(fd), start, len)
                .offset(offset(Position::At(at)))
                .rw_flags(rwf(flags))
                .build(),
        ),
    }
}

fn encode_names<'a>(names: &PathOp, slot: &'a mut Slot) -> &'a mut Entry {
    let here = Fd(CURRENT_DIR);
    match *names {
        PathOp::Rename { from, to } => {
            slot.write(opcode::RenameAt::new(here, from, here, to).build())
        }
        PathOp::Remove { path, is_dir } => slot.write(
            opcode::UnlinkAt::new(here, path)
                .flags(if is_dir { libc::AT_REMOVEDIR } else { 0 })
                .build(),
        ),
        PathOp::MakeDir { path, mode } => {
            slot.write(opcode::MkDirAt::new(here, path).mode(mode).build())
        }
        PathOp::Link {
            original,
            link,
            is_symbolic: false,
        } => slot.write(opcode::LinkAt::new(here, original, here, link).build()),
        PathOp::Link {
            original,
            link,
            is_symbolic: true,
        } => slot.write(opcode::SymlinkAt::new(here, original, link).build()),
    }
}

fn encode_net<'a>(net: &Net, slot: &'a mut Slot) -> &'a mut Entry {
    match *net {
        Net::Connect { fd, address, len } => {
            slot.write(opcode::Connect::new(Fd(fd), address.cast(), len).build())
        }
        Net::Accept { fd, peer } => {
            let (address, len) = PeerAddress::as_parts(peer);
            let accept = opcode::Accept::new(Fd(fd), address, len);
            slot.write(accept.flags(libc::SOCK_CLOEXEC).build())
        }
        Net::Recv {
            fd,
            span: Span { start, len },
            flags,
        } => slot.write(opcode::Recv::new(Fd(fd), start, len).flags(flags).build()),
        // The kernel must not wait: see `retry`.
        Net::Send { .. } | Net::SendMsg { .. } => encode_send(net, libc::MSG_DONTWAIT, slot),
        Net::RecvMsg { fd, message, flags } => slot.write(
            opcode::RecvMsg::new(Fd(fd), Message::as_msghdr(message))
                .flags((flags | libc::MSG_CMSG_CLOEXEC) as u32)
                .build(),
        ),
        Net::AcceptMulti { fd } => slot.write(
            opcode::AcceptMulti::new(Fd(fd))
                .flags(libc::SOCK_CLOEXEC)
                .build(),
        ),
        Net::RecvMulti {
            fd,
            group,
            flags,
            once: true,
        } => slot.write(
            // The length 0 stands for the length of the buffer.
            opcode::Recv::new(Fd(fd), std::ptr::null_mut(), 0)
                .flags(flags)
                .buf_group(group)
                .build()
                .flags(Flags::BUFFER_SELECT),
        ),
        Net::RecvMulti {
            fd,
            group,
            flags,
            once: false,
        } => {
            let entry = opcode::RecvMulti::new(Fd(fd), group).flags(flags).build();
            #[cfg(all(test, not(loom)))]
            let entry = poll_first_tests::perhaps(entry);
            slot.write(entry)
        }
        Net::SendZeroCopy {
            fd,
            span: Span { start, len },
            flags,
        } => slot.write(
            opcode::SendZc::new(Fd(fd), start, len)
                .flags(flags | libc::MSG_NOSIGNAL)
                .build(),
        ),
        Net::SendMsgZeroCopy { fd, message, flags } => slot.write(
            opcode::SendMsgZc::new(Fd(fd), Message::as_msghdr(message.cast_mut()))
                .flags((flags | libc::MSG_NOSIGNAL) as u32)
                .build(),
        ),
        Net::RecvPooled { .. } => unreachable!("answered by a call: see `encode`"),
    }
}

#[inline(always)]
fn encode_send<'a>(net: &Net, more_flags: i32, slot: &'a mut Slot) -> &'a mut Entry {
    match *net {
        Net::Send {
            fd,
            span: Span { start, len },
            flags,
        } => slot.write(
            opcode::Send::new(Fd(fd), start, len)
                .flags(flags | more_flags | libc::MSG_NOSIGNAL)
                .build(),
        ),
        Net::SendMsg { fd, message, flags } => slot.write(
            opcode::SendMsg::new(Fd(fd), Message::as_msghdr(message.cast_mut()))
                .flags((flags | more_flags | libc::MSG_NOSIGNAL) as u32)
                .build(),
        ),
        Net::Connect { .. }
        | Net::Accept { .. }
        | Net::Recv { .. }
        | Net::RecvMsg { .. }
        | Net::AcceptMulti { .. }
        | Net::RecvMulti { .. }
        | Net::RecvPooled { .. }
        | Net::SendZeroCopy { .. }
        | Net::SendMsgZeroCopy { .. } => unreachable!("only sends may wait"),
    }
}

fn encode_control<'a>(control: &Control, slot: &'a mut Slot) -> &'a mut Entry {
    match *control {
        Control::Socket {
            domain,
            kind,
            protocol,
        } => slot.write(opcode::Socket::new(domain, kind | libc::SOCK_CLOEXEC, protocol).build()),
        Control::Bind { fd, address, len } => {
            slot.write(opcode::Bind::new(Fd(fd), address.cast(), len).build())
        }
        Control::Listen { fd, backlog } => slot.write(opcode::Listen::new(Fd(fd), backlog).build()),
        Control::Shutdown { fd, how } => slot.write(opcode::Shutdown::new(Fd(fd), how).build()),
        Control::Pipe { ends } => slot.write(
            opcode::Pipe::new(ends.cast())
                .flags(libc::O_CLOEXEC as u32)
                .build(),
        ),
    }
}

pub(super) fn encode_splice<'a>(splice: &Splice, slot: &'a mut Slot) -> &'a mut Entry {
    let from_position = offset(splice.from_position) as i64;
    let to_position = offset(splice.to_position) as i64;
    slot.write(
        opcode::Splice::new(
            Fd(splice.from),
            from_position,
            Fd(splice.to),
            to_position,
            splice.len,
        )
        .flags(libc::SPLICE_F_NONBLOCK)
        .build(),
    )
}

/// The kernel takes "minus one" for the file's own cursor. An offset with the same bits is replaced by
/// the one before it, which is just as invalid and gets the same error.
fn offset(position: Position) -> u64 {
    match position {
        Position::Cursor => u64::MAX,
        Position::At(offset) => offset.min(u64::MAX - 1),
    }
}

#[cfg(all(test, not(loom)))]
mod poll_first_tests;
#[cfg(all(test, not(loom)))]
mod tests;
