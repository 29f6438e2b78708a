//! The memory layout of ancillary data on all unix systems.

use std::{
    mem,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
};

use crate::sys::platform;

pub(crate) use platform::cmsg::{COALESCE, PACKET_INFO_V4, PACKET_INFO_V6, decode, encode};

/// The offset of a message's data.
// SAFETY: it only calculates.
pub(crate) const DATA_OFFSET: usize = unsafe { libc::CMSG_LEN(0) } as usize;

/// The alignment of messages.
// SAFETY: likewise.
pub(crate) const ALIGN: usize = unsafe { libc::CMSG_SPACE(1) } as usize - DATA_OFFSET;

/// The message that carries descriptors.
pub(crate) const RIGHTS: Option<(i32, i32)> = Some((libc::SOL_SOCKET, libc::SCM_RIGHTS));

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// The header of a message with `data_len` bytes of data.
pub(crate) fn header(data_len: usize, level: i32, kind: i32) -> [u8; HEADER_LEN] {
    // SAFETY: a plain C struct of numbers.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    header.cmsg_len = (DATA_OFFSET + data_len) as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    // SAFETY: the types have the same size; three numbers have no padding between them that is not a
    // field of the struct, and all fields were zeroed.
    unsafe { mem::transmute(header) }
}

/// The length of the message with its header, its level and its kind. None if the header is incomplete.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<(usize, i32, i32)> {
    let bytes = bytes.get(..HEADER_LEN)?;
    // SAFETY: `bytes` has that many bytes; any bytes are a valid struct of numbers.
    let header: libc::cmsghdr = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
    Some((
        header.cmsg_len as usize,
        header.cmsg_level,
        header.cmsg_type,
    ))
}

/// A descriptor in the format of a message.
pub(crate) fn number(fd: RawFd) -> [u8; 4] {
    fd.to_ne_bytes()
}

/// The descriptors of a message, closed on exec.
///
/// # Safety
///
/// A receive has created them, and they have no other owner.
pub(crate) unsafe fn own_all(data: &[u8]) -> impl Iterator<Item = OwnedFd> {
    data.as_chunks().0.iter().map(|&number| {
        let fd = RawFd::from_ne_bytes(number);
        // SAFETY: by this function's contract.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        platform::close_received_on_exec(&fd);
        fd
    })
}

#[cfg(test)]
mod tests;
