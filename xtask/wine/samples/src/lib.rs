//! To be rejected: a library that calls ntdll, even for a function that std imports as well.

use std::ffi::c_void;

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    fn NtReadFile(
        handle: *mut c_void,
        event: *mut c_void,
        routine: *mut c_void,
        context: *mut c_void,
        status: *mut c_void,
        buffer: *mut c_void,
        len: u32,
        offset: *mut i64,
        key: *mut u32,
    ) -> i32;
}

/// Is never called.
///
/// # Safety
///
/// The handle is open for reading, the status block and the buffer can be written to.
pub unsafe fn read(handle: *mut c_void, status: *mut c_void, buffer: &mut [u8]) -> i32 {
    let none = std::ptr::null_mut::<c_void>();
    let len = buffer.len() as u32;
    let start = buffer.as_mut_ptr().cast();
    // SAFETY: the caller's promise.
    unsafe {
        NtReadFile(
            handle,
            none,
            none,
            none,
            status,
            start,
            len,
            none.cast(),
            none.cast(),
        )
    }
}
