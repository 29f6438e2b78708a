//! The executor as its users see it, by scenario.
#![cfg(not(loom))]

mod abort;
mod allocation;
mod fairness;
mod join;
mod main_waker;
mod metrics;
mod panics;
mod parked;
mod reentrancy;
mod remote;
mod send_wrapper;
mod shutdown;
mod spawner;
mod support;

/// The intentional leak, by name of the test. A leak detector calls this function.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:value_past_the_end_of_its_executor_is_leaked".as_ptr()
}
