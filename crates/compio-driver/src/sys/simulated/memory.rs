//! The addresses and messages of a request, as a kernel uses them.

use std::{ptr, slice};

use compio_io::buf::IoBuf;
use libc::{MSG_CTRUNC, MSG_TRUNC};
use socket2::{SockAddr, SockAddrStorage};

pub(super) use crate::sys::parts::Parts;
use crate::{
    ancillary::{AncillaryData, SocketAncillary},
    sys::{Message, PeerAddress},
};

/// The address in a request.
///
/// # Safety
///
/// There is an address of this length.
pub(super) unsafe fn address_of(address: *const SockAddrStorage, len: u32) -> SockAddr {
    let mut copy = SockAddrStorage::zeroed();
    let len = (len as usize).min(size_of::<SockAddrStorage>());
    // SAFETY: by this function's contract, and not longer than the copy.
    unsafe { ptr::copy_nonoverlapping(address.cast::<u8>(), (&raw mut copy).cast::<u8>(), len) };
    // SAFETY: its first `len` bytes are the address.
    unsafe { SockAddr::new(copy, len as _) }
}

/// The receiver in a message, if there is one.
///
/// # Safety
///
/// The message is valid.
pub(super) unsafe fn receiver_of(message: *mut Message) -> Option<SockAddr> {
    // SAFETY: by this function's contract.
    let header = unsafe { &*Message::as_msghdr(message) };
    if header.msg_name.is_null() {
        return None;
    }
    // SAFETY: likewise.
    Some(unsafe { address_of(header.msg_name.cast_const().cast(), header.msg_namelen) })
}

/// The ancillary data to be sent.
///
/// # Safety
///
/// The message is valid for as long as the result is used.
pub(super) unsafe fn control_of<'a>(message: *mut Message) -> &'a [u8] {
    // SAFETY: by this function's contract.
    let header = unsafe { &*Message::as_msghdr(message) };
    if header.msg_control.is_null() {
        return &[];
    }
    // SAFETY: likewise.
    unsafe { slice::from_raw_parts(header.msg_control.cast(), header.msg_controllen as _) }
}

/// Writes the results of a receive, if it has a message: the sender, the ancillary data that fits, the flags.
///
/// # Safety
///
/// The message is null; or it is valid, and no other code uses it.
pub(super) unsafe fn finish_message(
    message: *mut Message,
    from: Option<SockAddr>,
    control: &[AncillaryData<'_>],
    flags: i32,
) {
    if message.is_null() {
        return;
    }
    // SAFETY: by this function's contract.
    let header = unsafe { &mut *Message::as_msghdr(message) };
    header.msg_flags = flags;
    let room: usize = header.msg_controllen as _;
    let mut written = 0;
    for data in control {
        let mut encoded = SocketAncillary::new();
        let is_known = encoded.add(*data).is_ok();
        debug_assert!(is_known);
        let bytes = encoded.as_init();
        if written + bytes.len() > room {
            header.msg_flags |= MSG_CTRUNC;
            break;
        }
        // SAFETY: the message has room for `msg_controllen` bytes, by the contract of `Message`.
        unsafe {
            let start = header.msg_control.cast::<u8>().add(written);
            ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        }
        written += bytes.len();
    }
    header.msg_controllen = written as _;
    let Some(from) = from.filter(|_| !header.msg_name.is_null()) else {
        header.msg_namelen = 0;
        return;
    };
    let len = (from.len() as usize).min(header.msg_namelen as usize);
    // SAFETY: the message has room for `msg_namelen` bytes, by the contract of `Message`.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr().cast::<u8>(), header.msg_name.cast(), len) };
    header.msg_namelen = from.len();
}

/// Writes a datagram as far as it fits. Returns its length, as recvmsg(2) does.
///
/// # Safety
///
/// As for [`Parts::write`] and [`finish_message`].
pub(super) unsafe fn write_datagram(
    bytes: &[u8],
    from: Option<SockAddr>,
    control: &[AncillaryData<'_>],
    parts: &Parts,
    flags: i32,
    message: *mut Message,
) -> u32 {
    // SAFETY: by this function's contract.
    let written = unsafe { parts.write(0, bytes) };
    let is_cut = written < bytes.len();
    // SAFETY: likewise.
    unsafe { finish_message(message, from, control, if is_cut { MSG_TRUNC } else { 0 }) };
    let returns_all = flags & MSG_TRUNC != 0;
    let len = if returns_all { bytes.len() } else { written };
    len as u32
}

/// Writes the address of an accepted peer.
///
/// # Safety
///
/// The memory is null, or no other code uses it.
pub(super) unsafe fn write_peer(into: *mut PeerAddress, peer: &SockAddr) {
    if into.is_null() {
        return;
    }
    let (address, room) = PeerAddress::as_parts(into);
    // SAFETY: by this function's contract. A `PeerAddress` has room for each address.
    unsafe {
        ptr::copy_nonoverlapping(
            peer.as_ptr().cast::<u8>(),
            address.cast::<u8>(),
            peer.len() as usize,
        );
        *room = peer.len();
    }
}
