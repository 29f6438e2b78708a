//! Kernels that refuse io_uring, lack parts of it, or are out of a resource (scenario 26).

use compio_testkit::check::check_parts;

use crate::{
    support::uring,
    unix::selection::{CALL, DESCRIPTORS, WISH, ask, refused_with},
};

#[test]
fn s26_a_kernel_that_refuses_io_uring_selects_poll() {
    for (code, reason) in [
        (libc::ENOSYS, "poll: this kernel has no io_uring"),
        (libc::EPERM, "poll: io_uring is not permitted here"),
        (libc::EACCES, "poll: io_uring is not permitted here"),
        (libc::EINVAL, "poll: this kernel's io_uring is too old"),
    ] {
        check_parts(&refused_with(code, &[]), &[reason]);
    }
}

#[test]
fn s26_a_lack_of_resources_is_an_error_that_names_the_limit() {
    for (code, advice) in [
        (libc::ENOMEM, "ulimit -l"),
        (libc::EMFILE, "ulimit -n"),
        (libc::ENFILE, "fs.file-max"),
    ] {
        let said = refused_with(code, &[]);
        check_parts(&said, &[advice]);
        assert!(!said.starts_with("poll"), "{said}");
    }
    check_parts(&refused_with(libc::ENOMEM, &[]), &["OutOfMemory: "]);
}

/// A lack of descriptors selects no other backend: that one would need descriptors as well.
#[test]
fn s26_no_descriptor_is_left() {
    let said = ask(&[(DESCRIPTORS, "3")]);
    check_parts(&said, &["ulimit -n"]);
    let said = ask(&[(DESCRIPTORS, "3"), (WISH, "poll")]);
    check_parts(&said, &["ulimit -n"]);
    if uring().is_some() {
        // Enough for the ring, but not for the eventfd of its notifier.
        let said = ask(&[(DESCRIPTORS, "4")]);
        check_parts(&said, &["ulimit -n"]);
    }
}

#[test]
fn s26_single_operations_of_a_ring_can_be_done_without() {
    if uring().is_none() {
        return;
    }
    let without = |names| ask(&[("COMPIO_URING_WITHOUT", names)]);
    check_parts(&without("OPENAT, splice,,STATX"), &["io-uring: "]);
    // A misspelled name is an error, and does not select another backend silently.
    for names in ["READ", "OPENAT,WHAT"] {
        let said = without(names);
        check_parts(&said, &["COMPIO_URING_WITHOUT names", "FSYNC"]);
        assert!(!said.starts_with("poll"), "{said}");
    }
}

fn refused(call: libc::c_long, code: i32, wish: &str) -> String {
    refused_with(code, &[(CALL, &call.to_string()), (WISH, wish)])
}

/// One of the three calls may be refused alone: by a filter that a parent process has set, or by
/// one that knows only the first call.
#[test]
fn s50_ring_that_cannot_be_entered_or_probed_falls_back_and_names_the_call() {
    // Otherwise the set-up of the ring fails first.
    if uring().is_none() {
        return;
    }
    for code in [libc::ENOSYS, libc::EPERM, libc::EACCES] {
        for (call, name) in [
            (libc::SYS_io_uring_enter, "io_uring_enter"),
            (libc::SYS_io_uring_register, "io_uring_register"),
        ] {
            let said = refused_with(code, &[(CALL, &call.to_string())]);
            check_parts(&said, &["poll: ", name, "seccomp"]);
            let said = refused_with(code, &[(CALL, &call.to_string()), (WISH, "io-uring")]);
            check_parts(&said, &["the io-uring backend was asked for", name]);
        }
    }
}

#[test]
fn s50_refused_event_or_epoll_is_an_error_that_names_the_call() {
    for code in [libc::ENOSYS, libc::EPERM] {
        for (call, name) in [
            (libc::SYS_eventfd2, "eventfd2"),
            (libc::SYS_epoll_create1, "epoll_create1"),
            (libc::SYS_epoll_ctl, "epoll_ctl"),
        ] {
            let said = refused(call, code, "poll");
            check_parts(&said, &[name, "seccomp"]);
            assert!(!said.contains("io_uring"), "{said}");
        }
        // Both backends need it.
        let said = refused_with(code, &[(CALL, &libc::SYS_eventfd2.to_string())]);
        check_parts(&said, &["eventfd2", "seccomp"]);
        if uring().is_some() {
            assert!(!said.contains("io_uring is"), "{said}");
        }
    }
}
