//! To be rejected: a function that is only looked up at run time.

use std::ffi::{c_char, c_void};

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleA(name: *const c_char) -> *mut c_void;
    fn GetProcAddress(module: *mut c_void, name: *const c_char) -> *const c_void;
}

fn main() {
    // SAFETY: both are strings that end with a zero; this module is never unloaded.
    let function = unsafe {
        let module = GetModuleHandleA(c"ntdll.dll".as_ptr());
        GetProcAddress(module, c"NtCancelIoFileEx".as_ptr())
    };
    println!("{function:?}");
}
