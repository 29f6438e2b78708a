//! Asking the kernel whether it knows the operations that this crate uses.

use std::io;

use io_uring::{IoUring, Probe, opcode};

/// What no program of ours can do without. All are in Linux 5.19.
const NEEDED: [(&str, u8); 18] = [
    ("NOP", opcode::Nop::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("READV", opcode::Readv::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("STATX", opcode::Statx::CODE),
    ("SOCKET", opcode::Socket::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("RECV", opcode::Recv::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("SPLICE", opcode::Splice::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
];

/// Refuses a kernel that lacks an operation or a property that correctness rests on.
pub(super) fn check(ring: &IoUring) -> io::Result<()> {
    let params = ring.params();
    let missing = |what: &str| {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("this kernel's io_uring lacks {what}"),
        ))
    };
    if !params.is_feature_nodrop() {
        return missing("lossless completions (NODROP)");
    }
    if !params.is_feature_ext_arg() {
        return missing("waiting with a timeout (EXT_ARG)");
    }
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    match NEEDED.iter().find(|(_, code)| !probe.is_supported(*code)) {
        Some((name, _)) => missing(name),
        None => Ok(()),
    }
}
