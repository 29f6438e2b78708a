//! Winsock's extension functions, whose addresses are queried at run time.

use std::{mem, ptr, sync::OnceLock};

use windows_sys::{
    Win32::Networking::WinSock::{
        LPFN_ACCEPTEX, LPFN_CONNECTEX, LPFN_DISCONNECTEX, LPFN_GETACCEPTEXSOCKADDRS,
        LPFN_WSARECVMSG, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKET, WSAEOPNOTSUPP, WSAID_ACCEPTEX,
        WSAID_CONNECTEX, WSAID_DISCONNECTEX, WSAID_GETACCEPTEXSOCKADDRS, WSAID_WSARECVMSG,
        WSAIoctl,
    },
    core::GUID,
};

use crate::sys::windows::last_error;

/// Each address is queried once. It may differ between providers of sockets; the system's own
/// providers share one.
macro_rules! extension {
    ($name:ident, $guid:ident, $call:ty) => {
        pub(in crate::sys) fn $name(socket: SOCKET) -> Result<<$call as Call>::Function, i32> {
            static FOUND: OnceLock<<$call as Call>::Function> = OnceLock::new();
            if let Some(found) = FOUND.get() {
                return Ok(*found);
            }
            // SAFETY: the identifier belongs to the function of this type.
            let found = unsafe { ask::<$call>(socket, &$guid)? };
            Ok(*FOUND.get_or_init(|| found))
        }
    };
}

extension!(accept_ex, WSAID_ACCEPTEX, LPFN_ACCEPTEX);
extension!(
    accept_addresses,
    WSAID_GETACCEPTEXSOCKADDRS,
    LPFN_GETACCEPTEXSOCKADDRS
);
extension!(connect_ex, WSAID_CONNECTEX, LPFN_CONNECTEX);
extension!(disconnect_ex, WSAID_DISCONNECTEX, LPFN_DISCONNECTEX);
extension!(recv_msg, WSAID_WSARECVMSG, LPFN_WSARECVMSG);

/// An optional function pointer.
pub(in crate::sys) trait Call: Default {
    type Function: Copy;
    fn function(self) -> Option<Self::Function>;
}

impl<F: Copy> Call for Option<F> {
    type Function = F;

    fn function(self) -> Option<F> {
        self
    }
}

/// # Safety
///
/// `C` is the optional pointer to a function that `guid` stands for.
unsafe fn ask<C: Call>(socket: SOCKET, guid: &GUID) -> Result<C::Function, i32> {
    let mut found = C::default();
    let mut len = 0;
    // SAFETY: both have the lengths passed, and outlive the call.
    let asked = unsafe {
        WSAIoctl(
            socket,
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            ptr::from_ref(guid).cast(),
            size_of::<GUID>() as u32,
            ptr::from_mut(&mut found).cast(),
            mem::size_of::<C>() as u32,
            &mut len,
            ptr::null_mut(),
            None,
        )
    };
    if asked != 0 {
        return Err(last_error());
    }
    found.function().ok_or(WSAEOPNOTSUPP)
}
