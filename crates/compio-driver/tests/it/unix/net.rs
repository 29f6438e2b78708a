//! Descriptors in messages.

use std::{
    io::{Read, Write},
    mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    ptr,
};

use compio_driver::op::{RecvMsg, SendMsg};

use crate::support::{RECEIVES_CLOSED_ON_EXEC, driver, is_inherited, run, sockets};

/// The ancillary data that sends a descriptor.
fn rights(fd: i32) -> Vec<u8> {
    // SAFETY: pure computation.
    let mut control = vec![0; unsafe { libc::CMSG_SPACE(4) } as usize];
    let header = libc::cmsghdr {
        // SAFETY: pure computation.
        cmsg_len: unsafe { libc::CMSG_LEN(4) } as _,
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    // SAFETY: the header fits, and is plain data.
    unsafe {
        control
            .as_mut_ptr()
            .cast::<libc::cmsghdr>()
            .write_unaligned(header)
    };
    let behind = mem::size_of::<libc::cmsghdr>();
    control[behind..behind + 4].copy_from_slice(&fd.to_ne_bytes());
    control
}

#[test]
fn a_descriptor_travels_and_is_closed_on_exec() {
    let driver = driver();
    let (one, other) = sockets();
    let (mut reader, writer) = UnixStream::pair().unwrap();
    let control = rights(writer.as_raw_fd());
    // SAFETY: the descriptor is open until the send is over.
    let send = unsafe { SendMsg::from_raw_control(one, ["x"], control, None, 0) };
    run(&driver, driver.submit(send)).0.unwrap();
    drop(writer);

    // Old content of the buffer must not show.
    let mut room = vec![0xff; 64];
    room.clear();
    let recv = RecvMsg::new(other, [Vec::with_capacity(8)], room, 0);
    let (received, (_, control)) = run(&driver, driver.submit(recv));
    assert_eq!(received.unwrap().control_len, control.len());
    // SAFETY: the kernel put a descriptor there, which has no other owner.
    let mut sent = unsafe {
        let at = control.as_ptr().add(mem::size_of::<libc::cmsghdr>());
        let fd = ptr::read_unaligned(at.cast::<i32>());
        UnixStream::from(OwnedFd::from_raw_fd(fd))
    };
    assert_eq!(is_inherited(&sent), !RECEIVES_CLOSED_ON_EXEC);

    sent.write_all(b"through").unwrap();
    drop(sent);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    assert!(
        control[mem::size_of::<libc::cmsghdr>() + 4..]
            .iter()
            .all(|byte| *byte == 0),
        "padding that the kernel does not write"
    );
}
