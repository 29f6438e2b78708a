//! The driver, through its public doors, against the real kernel.

mod abandon;
mod batching;
mod fs;
mod futures;
mod net;
mod notify;
mod overflow;
mod pool;
mod pushed;
mod readiness;
mod reentrancy;
mod shutdown;
mod support;

/// What is leaked on purpose, by name of the test, for builds with a leak detector: it asks here.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:a_forgotten_future_is_leaked\nleak:past_its_timeout_a_driver_leaks".as_ptr()
}
