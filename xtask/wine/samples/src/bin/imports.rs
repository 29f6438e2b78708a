//! To be rejected: an import that std does not have.

use std::{ffi::c_void, ptr::null_mut};

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    fn NtDeviceIoControlFile(
        handle: *mut c_void,
        event: *mut c_void,
        routine: *mut c_void,
        context: *mut c_void,
        status: *mut c_void,
        code: u32,
        input: *mut c_void,
        input_len: u32,
        output: *mut c_void,
        output_len: u32,
    ) -> i32;
}

fn main() {
    let none = null_mut();
    let status = [0_u64; 2].as_mut_ptr().cast();
    // SAFETY: the handle is invalid, so the call does nothing.
    let answer =
        unsafe { NtDeviceIoControlFile(none, none, none, none, status, 0, none, 0, none, 0) };
    println!("{answer:#x}");
}
