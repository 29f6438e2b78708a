//! Handles, by number.

use std::ptr;

use compio::{
    driver::{AsRawFd, RawFd},
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    task::block_on,
};
use windows_sys::Win32::Foundation::{GetHandleInformation, HANDLE, HANDLE_FLAG_INHERIT};

use crate::{check, program};

/// The completion port.
pub(super) const OF_A_DRIVER: usize = 1;

/// Wine may not count handles, so this queries each handle value.
pub(super) fn open_now() -> usize {
    /// No test has as many handles.
    const NUMBERS_END: usize = 4 * 2048;
    let numbers = (4..NUMBERS_END).step_by(4);
    numbers
        .filter(|number| flags_of(ptr::without_provenance_mut(*number)).is_some())
        .count()
}

/// Whether no handle was leaked. There may be fewer than expected: pool threads have handles, and end
/// after some idle seconds.
pub(super) fn is_count(now: usize, expected: usize) -> bool {
    now <= expected
}

/// The flags of a handle, if it exists.
fn flags_of(handle: HANDLE) -> Option<u32> {
    let mut flags = 0;
    // SAFETY: the flags outlive the call.
    let told = unsafe { GetHandleInformation(handle, &raw mut flags) };
    (told != 0).then_some(flags)
}

/// Whether a child would have the handle, too.
fn is_inherited(handle: &impl AsRawFd) -> bool {
    let handle = match handle.as_raw_fd() {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => socket as HANDLE,
    };
    flags_of(handle).expect("a handle") & HANDLE_FLAG_INHERIT != 0
}

#[test]
fn s03_children_inherit_nothing() {
    check(|| {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let mut incoming = listener.incoming();
            let _other = TcpStream::connect(address).await.unwrap();
            let streamed = incoming.next().await.unwrap().unwrap();
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let opened = File::open(program()).unwrap();
            let opened_async = File::open_async(program()).await.unwrap();
            assert!(!is_inherited(&listener) && !is_inherited(&client));
            assert!(!is_inherited(&streamed));
            assert!(!is_inherited(&accepted) && !is_inherited(&socket));
            assert!(!is_inherited(&opened) && !is_inherited(&opened_async));
        });
    });
}
