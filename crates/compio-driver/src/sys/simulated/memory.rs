//! The memory of a request, as a kernel uses it: by raw addresses.

use std::{ptr, slice};

use libc::MSG_TRUNC;
use socket2::{SockAddr, SockAddrStorage};

use crate::{
    request::Spans,
    sys::{Message, PeerAddress},
};

/// The parts of a request's memory, one after the other.
#[derive(Debug)]
pub(super) enum Parts {
    One([Part; 1]),
    Several(Vec<Part>),
}

type Part = (*mut u8, usize);

impl Parts {
    pub(super) fn one(start: *mut u8, len: usize) -> Self {
        Self::One([(start, len)])
    }

    /// # Safety
    ///
    /// The array has as many slices as it says.
    pub(super) unsafe fn of_spans(spans: Spans) -> Self {
        let part = |index| {
            // SAFETY: by this function's contract.
            let part = unsafe { *spans.first.add(index) };
            (part.start(), part.len())
        };
        Self::Several((0..spans.count as usize).map(part).collect())
    }

    /// # Safety
    ///
    /// The message is valid, and so is its array of slices.
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type of a count depends on the C library"
    )]
    pub(super) unsafe fn of_message(message: *mut Message) -> Self {
        // SAFETY: by this function's contract.
        let header = unsafe { &*Message::as_msghdr(message) };
        let part = |index| {
            // SAFETY: likewise.
            let part = unsafe { &*header.msg_iov.add(index) };
            (part.iov_base.cast(), part.iov_len)
        };
        Self::Several((0..header.msg_iovlen as usize).map(part).collect())
    }

    fn all(&self) -> &[Part] {
        match self {
            Self::One(part) => part,
            Self::Several(parts) => parts,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all().iter().map(|(_, len)| len).sum()
    }

    /// Whether all addresses and lengths are multiples of `unit`.
    pub(super) fn are_aligned(&self, unit: usize) -> bool {
        let parts = self.all().iter();
        let mut numbers = parts.flat_map(|(start, len)| [start.addr(), *len]);
        numbers.all(|number| number.is_multiple_of(unit))
    }

    /// The first `max` bytes.
    ///
    /// # Safety
    ///
    /// The memory is initialized, and no other code writes to it.
    pub(super) unsafe fn read(&self, max: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len().min(max));
        for &(start, len) in self.all() {
            let len = len.min(max - bytes.len());
            if len > 0 {
                // SAFETY: by this function's contract.
                bytes.extend_from_slice(unsafe { slice::from_raw_parts(start, len) });
            }
        }
        bytes
    }

    /// Writes the bytes from the position `from` on, as far as there is room. Returns their number.
    ///
    /// # Safety
    ///
    /// No other code uses the memory.
    pub(super) unsafe fn write(&self, from: usize, bytes: &[u8]) -> usize {
        let (mut skip, mut rest) = (from, bytes);
        for &(start, len) in self.all() {
            let skipped = skip.min(len);
            skip -= skipped;
            let (now, later) = rest.split_at(rest.len().min(len - skipped));
            // SAFETY: by this function's contract; the part is long enough.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), start.add(skipped), now.len()) };
            rest = later;
        }
        bytes.len() - rest.len()
    }
}

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

/// Whether there is ancillary data to be sent.
///
/// # Safety
///
/// The message is valid.
pub(super) unsafe fn has_control(message: *mut Message) -> bool {
    // SAFETY: by this function's contract.
    unsafe { (*Message::as_msghdr(message)).msg_controllen > 0 }
}

/// Writes the results of a receive: the sender, no ancillary data, the flags.
///
/// # Safety
///
/// The message is valid, and no other code uses it.
pub(super) unsafe fn finish_message(message: *mut Message, from: Option<SockAddr>, flags: i32) {
    // SAFETY: by this function's contract.
    let header = unsafe { &mut *Message::as_msghdr(message) };
    header.msg_controllen = 0;
    header.msg_flags = flags;
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
/// As for [`Parts::write`]; the message is null, or as for [`finish_message`].
pub(super) unsafe fn write_datagram(
    bytes: &[u8],
    from: Option<SockAddr>,
    parts: &Parts,
    flags: i32,
    message: *mut Message,
) -> u32 {
    // SAFETY: by this function's contract.
    let written = unsafe { parts.write(0, bytes) };
    if !message.is_null() {
        let is_cut = written < bytes.len();
        let flags = if is_cut { MSG_TRUNC } else { 0 };
        // SAFETY: likewise.
        unsafe { finish_message(message, from, flags) };
    }
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
