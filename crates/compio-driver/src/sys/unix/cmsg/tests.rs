//! The layout of control messages.

use std::{mem, ptr};

use super::{DATA_OFFSET, header, parse_header};
use crate::ancillary::{AncillaryData, SocketAncillary};

#[test]
fn messages_lie_where_the_system_says() {
    for len in 0..40 {
        // SAFETY: it only calculates.
        let space = unsafe { libc::CMSG_SPACE(len as u32) } as usize;
        assert_eq!(SocketAncillary::space(len), space, "of {len}");
    }
    assert_eq!(
        parse_header(&header(7, 1, 2)),
        Some((DATA_OFFSET + 7, 1, 2))
    );
}

#[test]
fn cmsg_macros_find_the_added_messages() {
    let mut ancillary = SocketAncillary::new();
    let pieces: [&[u8]; 4] = [b"", b"1", b"12345678", b"a longer piece"];
    for (kind, data) in (1..).zip(pieces) {
        let level = 99;
        ancillary
            .add(AncillaryData::Other { level, kind, data })
            .unwrap();
    }
    // Aligned as the system requires.
    let mut room = [0_u64; 64];
    let bytes = compio_io::buf::IoBuf::as_init(&ancillary);
    // SAFETY: the memory has more room than that; plain C structs of numbers and pointers; the
    // iteration uses the system's own functions.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), room.as_mut_ptr().cast(), bytes.len());
        let mut message: libc::msghdr = mem::zeroed();
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = bytes.len() as _;
        let mut at = libc::CMSG_FIRSTHDR(&message);
        for (kind, data) in (1..).zip(pieces) {
            assert!(!at.is_null());
            assert_eq!(((*at).cmsg_level, (*at).cmsg_type), (99, kind));
            let start = libc::CMSG_DATA(at);
            assert_eq!(std::slice::from_raw_parts(start, data.len()), data);
            at = libc::CMSG_NXTHDR(&message, at);
        }
        assert!(at.is_null());
    }
}
