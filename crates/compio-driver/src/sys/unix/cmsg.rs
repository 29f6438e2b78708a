//! How ancillary data lies in memory: what every unix shares.

use std::{
    mem,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
};

use crate::sys::platform;

pub(crate) use platform::cmsg::{COALESCE, PACKET_INFO_V4, PACKET_INFO_V6, decode, encode};

/// Where a message's data begins.
// SAFETY: it only calculates.
pub(crate) const DATA_OFFSET: usize = unsafe { libc::CMSG_LEN(0) } as usize;

/// What the lengths of messages are rounded up to.
// SAFETY: likewise.
pub(crate) const ALIGN: usize = unsafe { libc::CMSG_SPACE(1) } as usize - DATA_OFFSET;

/// The message that carries descriptors.
pub(crate) const RIGHTS: Option<(i32, i32)> = Some((libc::SOL_SOCKET, libc::SCM_RIGHTS));

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// The header of a message with so many bytes of data.
pub(crate) fn header(data_len: usize, level: i32, kind: i32) -> [u8; HEADER_LEN] {
    // SAFETY: a plain C struct of numbers.
    let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
    header.cmsg_len = (DATA_OFFSET + data_len) as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    // SAFETY: the same size; there is no padding between three numbers that the struct does not
    // name, and none that was not zeroed.
    unsafe { mem::transmute(header) }
}

/// The length of the message with its header, its level and its kind; none if there is no header.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<(usize, i32, i32)> {
    let bytes = bytes.get(..HEADER_LEN)?;
    // SAFETY: so many bytes are there; any make a struct of numbers.
    let header: libc::cmsghdr = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
    Some((
        header.cmsg_len as usize,
        header.cmsg_level,
        header.cmsg_type,
    ))
}

/// A descriptor as a message has it.
pub(crate) fn number(fd: RawFd) -> [u8; 4] {
    fd.to_ne_bytes()
}

/// The descriptors that a message has, closed on exec.
///
/// # Safety
///
/// The kernel has made them in answer to a receive, and nobody else knows them.
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
