//! The public API of runtime, files and sockets, on the real kernel.

mod cancel;
mod cancel_token;
mod cores;
mod diagnostics;
mod dump;
mod economy;
mod embedding;
mod fairness;
mod fairness_bounds;
mod fs;
mod handle;
mod interval;
#[cfg(feature = "framed")]
mod io_framed;
#[cfg(feature = "futures-io")]
mod io_futures;
mod io_prelude;
mod io_streams;
mod lossless;
mod macros;
mod metrics;
#[cfg(feature = "metrics")]
mod metrics_publisher;
mod metrics_text;
mod nesting;
mod net;
mod open_options;
mod send_wrapper;
mod server;
mod soundness;
mod support;
mod task;
mod task_identity;
mod task_sets;
mod time;
#[cfg(unix)]
mod unix;
mod watchdog;
#[cfg(windows)]
mod windows;

/// The intentional leaks, by name of the test. A leak detector calls this function.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:a_forgotten_future\nleak:past_its_timeout\nleak:drop_after_the_end_of_the_runtime_leaks"
        .as_ptr()
}
