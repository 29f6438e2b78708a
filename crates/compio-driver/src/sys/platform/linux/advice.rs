//! Errors of the system calls that set up a backend, with cause and advice.

use std::io;

/// Adds the call, the cause and a remedy to an error, and keeps its kind.
pub(crate) fn with_advice(call: &'static str, error: io::Error) -> io::Error {
    let is_setup = call == "io_uring_setup";
    let advice = match error.raw_os_error() {
        Some(libc::ENOSYS) if is_setup => "this kernel has no io_uring",
        Some(libc::EPERM | libc::EACCES) if is_setup => {
            "io_uring is not permitted here (sysctl kernel.io_uring_disabled, or a seccomp filter)"
        }
        Some(libc::EINVAL) if is_setup => "this kernel's io_uring is too old",
        Some(libc::ENOSYS) => {
            return say(
                &error,
                &format!("{call} is missing here (an old kernel, or a seccomp filter)"),
            );
        }
        Some(libc::EPERM | libc::EACCES) => {
            return say(
                &error,
                &format!("{call} is not permitted here (a seccomp filter)"),
            );
        }
        Some(libc::ENOMEM) if is_setup => {
            "no memory for the rings: raise the limit of locked memory (ulimit -l)"
        }
        Some(libc::EMFILE) => "too many open files: raise the limit (ulimit -n)",
        Some(libc::ENFILE) => "too many open files in the system (sysctl fs.file-max)",
        Some(_) | None => return error,
    };
    say(&error, advice)
}

fn say(error: &io::Error, advice: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{advice}: {error}"))
}
