//! The seam on Linux: socket options that only Linux has.

use std::io;

use crate::os_calls::socket::{SocketRef, calls};

calls! {
    /// `TCP_QUICKACK`.
    tcp_quickack() -> bool;
    /// `TCP_QUICKACK`.
    set_tcp_quickack(on: bool) -> ();
    /// `SO_BINDTODEVICE`.
    device() -> Option<Vec<u8>>;
    /// `SO_BINDTODEVICE`.
    bind_device(device: Option<&[u8]>) -> ();
    /// `SO_PASSCRED`.
    passcred() -> bool;
    /// `SO_PASSCRED`.
    set_passcred(on: bool) -> ();
}
