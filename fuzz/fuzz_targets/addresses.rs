//! Socket addresses, valid and malformed.

#![no_main]

use std::{
    ffi::OsStr,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use compio_driver::{SockAddr, request::PeerAddress};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
enum Input {
    V4([u8; 4], u16),
    V6([u8; 16], u16, u32, u32),
    Path(Vec<u8>),
    Abstract(Vec<u8>),
    Any(Vec<u8>),
}

/// Converts the bytes that a kernel would write for this address.
fn through(address: &SockAddr) -> SockAddr {
    let len = address.len() as usize;
    // SAFETY: an address has the length that it returns.
    let bytes = unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), len) };
    let read = PeerAddress::made_of(bytes).to_sock_addr();
    assert_eq!(read, *address);
    read
}

fn check_internet(address: SocketAddr) {
    assert_eq!(through(&address.into()).as_socket(), Some(address));
}

fn check_unix(path: &[u8]) {
    let Ok(address) = SockAddr::unix(OsStr::from_bytes(path)) else {
        assert!(path.len() >= 108);
        return;
    };
    let read = through(&address);
    assert!(read.is_unix() && read.as_socket().is_none());
    match path {
        [] => assert!(read.as_pathname().is_none() && read.is_unnamed()),
        [0, name @ ..] => assert_eq!(read.as_abstract_namespace(), Some(name)),
        path => assert_eq!(read.as_pathname(), Some(Path::new(OsStr::from_bytes(path)))),
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::V4(ip, port) => {
            check_internet(SocketAddrV4::new(Ipv4Addr::from(ip), port).into());
        }
        Input::V6(ip, port, flow, scope) => {
            check_internet(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into());
        }
        Input::Path(path) => check_unix(&path),
        Input::Abstract(name) => check_unix(&[&[0], &name[..]].concat()),
        Input::Any(mut bytes) => {
            // At most the room, and at least the family.
            bytes.truncate(128);
            bytes.resize(bytes.len().max(2), 0);
            let peer = PeerAddress::made_of(&bytes);
            let address = peer.to_sock_addr();
            assert_eq!(address.len() as usize, bytes.len());
            let _ = (
                address.as_socket(),
                address.as_pathname(),
                address.as_abstract_namespace(),
            );
            assert!(!format!("{peer:?}").is_empty());
        }
    }
});
