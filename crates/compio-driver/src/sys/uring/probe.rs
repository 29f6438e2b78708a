//! The opcodes that the kernel supports.

use std::{env, io};

use io_uring::{IoUring, Probe, opcode, squeue::Entry};

use crate::sys::{Capabilities, platform::with_advice};

/// Required opcodes, which no plain call can replace.
const NEEDED: [(&str, u8); 14] = [
    ("NOP", opcode::Nop::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("READV", opcode::Readv::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("RECV", opcode::Recv::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
];

/// Opcodes that a plain call can replace, in most cases on another thread.
const REPLACEABLE: [(&str, u8); 17] = [
    ("FSYNC", opcode::Fsync::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("STATX", opcode::Statx::CODE),
    ("RENAMEAT", opcode::RenameAt::CODE),
    ("UNLINKAT", opcode::UnlinkAt::CODE),
    ("MKDIRAT", opcode::MkDirAt::CODE),
    ("LINKAT", opcode::LinkAt::CODE),
    ("SYMLINKAT", opcode::SymlinkAt::CODE),
    ("SOCKET", opcode::Socket::CODE),
    ("SPLICE", opcode::Splice::CODE),
    ("FTRUNCATE", opcode::Ftruncate::CODE),
    ("FALLOCATE", opcode::Fallocate::CODE),
    ("BIND", opcode::Bind::CODE),
    ("LISTEN", opcode::Listen::CODE),
    ("PIPE", opcode::Pipe::CODE),
    ("SEND_ZC", opcode::SendZc::CODE),
    ("SENDMSG_ZC", opcode::SendMsgZc::CODE),
];

/// Names of replaceable opcodes that must not be used, separated by commas: for tests, and for kernels
/// in which one of them is broken.
const WITHOUT: &str = "COMPIO_URING_WITHOUT";

/// The supported opcodes, one bit each.
pub(super) struct OpcodeSet {
    known: u128,
}

impl OpcodeSet {
    /// Queries the kernel. Fails if it lacks an opcode or a property that correctness relies on.
    pub(super) fn ask(ring: &IoUring) -> io::Result<Self> {
        let params = ring.params();
        if !params.is_feature_nodrop() {
            return Err(missing("lossless completions (NODROP)"));
        }
        if !params.is_feature_ext_arg() {
            return Err(missing("waiting with a timeout (EXT_ARG)"));
        }
        let mut probe = Probe::new();
        let asked = ring.submitter().register_probe(&mut probe);
        asked.map_err(|error| with_advice("io_uring_register", error))?;
        let known = (0..128)
            .filter(|code| probe.is_supported(*code))
            .fold(0, |known, code| known | 1 << code);
        let mut opcodes = Self { known };
        if let Some((name, _)) = NEEDED.iter().find(|(_, code)| !opcodes.has(*code)) {
            return Err(missing(name));
        }
        if let Ok(names) = env::var(WITHOUT) {
            opcodes.forget(&names)?;
        }
        Ok(opcodes)
    }

    /// Whether the kernel supports the entry's opcode.
    pub(super) fn supports(&self, entry: &Entry) -> bool {
        self.has(entry.get_opcode() as u8)
    }

    /// A kernel does not report its support of multishot operations. It has them since the version that
    /// added these opcodes: 5.19 for accepts, 6.0 for receives.
    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities {
            accept_multi: self.has(opcode::Socket::CODE),
            recv_multi: self.has(opcode::SendZc::CODE),
            send_zero_copy: self.has(opcode::SendZc::CODE),
            send_msg_zero_copy: self.has(opcode::SendMsgZc::CODE),
            recv_pooled: false,
        }
    }

    fn has(&self, code: u8) -> bool {
        1_u128
            .checked_shl(code.into())
            .is_some_and(|bit| self.known & bit != 0)
    }

    fn forget(&mut self, names: &str) -> io::Result<()> {
        for name in names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let known = REPLACEABLE
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            let Some((_, code)) = known else {
                return Err(io::Error::other(format!(
                    "{WITHOUT} names {name}, which is not one of {}",
                    REPLACEABLE.map(|(name, _)| name).join(", ")
                )));
            };
            self.known &= !(1 << code);
        }
        Ok(())
    }
}

fn missing(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("this kernel's io_uring lacks {what}"),
    )
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{OpcodeSet, opcode};

    #[test]
    fn forgotten_opcodes_are_missing_and_all_others_stay() {
        let known = 1 << opcode::Bind::CODE | 1 << opcode::Listen::CODE | 1 << opcode::Pipe::CODE;
        let mut opcodes = OpcodeSet { known };
        opcodes.forget("bind, PIPE,").unwrap();
        assert!(!opcodes.has(opcode::Bind::CODE) && !opcodes.has(opcode::Pipe::CODE));
        assert!(opcodes.has(opcode::Listen::CODE));
        assert!(!opcodes.has(opcode::Socket::CODE), "not known before");
    }
}
