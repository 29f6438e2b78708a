//! The driver's public API against the real kernel.

mod accepting;
mod batching;
mod blocking_mode;
mod cancel_token;
mod controls;
mod edges;
mod fs;
mod futures;
mod latencies;
mod net;
mod notify;
mod numbers;
mod orphans;
mod pool;
mod pushed;
mod random;
mod readiness;
mod receiving;
mod selection;
mod shutdown;
mod soundness;
mod streams;
mod support;
mod turns;
#[cfg(unix)]
mod unix;
mod waiters;
#[cfg(windows)]
mod windows;
mod zero_copy;

/// Suppressions for LeakSanitizer: the tests that leak on purpose, by name.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:a_forgotten_future
leak:past_its_timeout_a_driver_leaks
leak:a_driver_waits_once_for_work_that_does_not_end
leak:locked_out_a_driver
leak:a_driver_that_is_locked_out
leak:a_kernel_that_is_always_busy"
        .as_ptr()
}
