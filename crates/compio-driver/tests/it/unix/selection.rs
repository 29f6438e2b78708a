//! Which backend is chosen, and how it is described.
//!
//! The environment belongs to the whole process, and a seccomp filter is permanent: each test
//! starts a child.

use std::env;

use compio_driver::{BackendKind, DriverBuilder, op::Nop};

use compio_testkit::check::check_parts;

use crate::support::{self, refuse, run, uring};

/// Names the error with which a child refuses io_uring.
const REFUSAL: &str = "TEST_REFUSAL";

/// Names the system call that a child refuses, if it is not `io_uring_setup`.
pub(crate) const CALL: &str = "TEST_CALL";

/// Names the backend that a child requests from its builder.
pub(crate) const WISH: &str = "TEST_WISH";

/// Names the limit of descriptors of a child.
pub(crate) const DESCRIPTORS: &str = "TEST_DESCRIPTORS";

/// The output of a child with this environment.
pub(crate) fn ask(environment: &[(&str, &str)]) -> String {
    support::ask("unix::selection::a_child", environment)
}

#[test]
#[ignore = "child process of the other tests"]
fn a_child() {
    if let Ok(code) = env::var(REFUSAL) {
        let call = env::var(CALL).map(|call| call.parse().unwrap());
        let call = call.unwrap_or(libc::SYS_io_uring_setup);
        refuse(call, code.parse().unwrap());
    }
    let mut builder = DriverBuilder::new();
    if let Ok(wish) = env::var(WISH) {
        builder = builder.backend(match &wish[..] {
            "poll" => BackendKind::Poll,
            _ => BackendKind::IoUring,
        });
    }
    if let Ok(count) = env::var(DESCRIPTORS) {
        limit_descriptors(count.parse().unwrap());
    }
    match builder.build() {
        Ok(driver) => {
            assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
            println!("\nSAYS {}", driver.backend());
        }
        Err(error) => println!("\nSAYS {:?}: {error}", error.kind()),
    }
}

fn limit_descriptors(count: u64) {
    let limit = libc::rlimit {
        rlim_cur: count,
        rlim_max: count,
    };
    // SAFETY: the limit outlives the call.
    let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(limited, 0);
}

pub(crate) fn refused_with(code: i32, environment: &[(&str, &str)]) -> String {
    let code = code.to_string();
    let mut environment = environment.to_vec();
    environment.push((REFUSAL, &code));
    ask(&environment)
}

#[test]
fn the_best_backend_is_taken() {
    if uring().is_some() {
        check_parts(&ask(&[]), &["io-uring: this kernel permits it"]);
        check_parts(&ask(&[("COMPIO_BACKEND", "")]), &["io-uring: this"]);
    }
}

#[test]
fn an_unavailable_backend_is_an_error_with_advice() {
    for wish in [("COMPIO_BACKEND", "io-uring"), (WISH, "io-uring")] {
        for code in [libc::EPERM, libc::ENOSYS] {
            let said = refused_with(code, &[wish]);
            check_parts(&said, &["the io-uring backend was asked for", "`poll`"]);
        }
        check_parts(&refused_with(libc::EPERM, &[wish]), &["PermissionDenied: "]);
        check_parts(&refused_with(libc::ENOSYS, &[wish]), &["Unsupported: "]);
    }
}

#[test]
fn a_requested_backend_is_used() {
    for wish in [("COMPIO_BACKEND", "poll"), (WISH, "poll")] {
        check_parts(&ask(&[wish]), &["poll: it was asked for"]);
        // Then the driver does not try a ring.
        check_parts(
            &refused_with(libc::ENOMEM, &[wish]),
            &["poll: it was asked for"],
        );
    }
    if uring().is_some() {
        for wish in [("COMPIO_BACKEND", "io-uring"), (WISH, "io-uring")] {
            check_parts(&ask(&[wish]), &["io-uring: it was asked for"]);
        }
    }
}

#[test]
fn the_builder_overrides_the_environment() {
    let said = ask(&[("COMPIO_BACKEND", "io-uring"), (WISH, "poll")]);
    check_parts(&said, &["poll: it was asked for"]);
    // The variable is not even read.
    let said = ask(&[("COMPIO_BACKEND", "what?"), (WISH, "poll")]);
    check_parts(&said, &["poll: it was asked for"]);
}

#[test]
fn other_spellings_of_a_backend_are_granted() {
    check_parts(
        &ask(&[("COMPIO_BACKEND", "epoll")]),
        &["poll: it was asked for"],
    );
    for name in ["io_uring", "uring"] {
        if uring().is_some() {
            check_parts(
                &ask(&[("COMPIO_BACKEND", name)]),
                &["io-uring: it was asked for"],
            );
        }
        assert_eq!(name.parse::<BackendKind>().unwrap(), BackendKind::IoUring);
    }
}

#[test]
fn an_unknown_backend_is_an_error() {
    // The backends of this system only.
    let offer = if cfg!(target_os = "linux") {
        "it must be io-uring or poll"
    } else {
        "it must be poll"
    };
    for name in ["select", "IO-URING", "POLL", " poll"] {
        let said = ask(&[("COMPIO_BACKEND", name)]);
        check_parts(&said, &["InvalidInput: ", name, offer]);
        assert!(!said.contains("iocp"), "{said}");
        let error = name.parse::<BackendKind>().unwrap_err();
        check_parts(&error.to_string(), &[name, offer]);
    }
}

#[test]
fn backend_of_another_system_is_unsupported() {
    let said = ask(&[("COMPIO_BACKEND", "iocp")]);
    check_parts(&said, &["Unsupported: ", "iocp", "`poll`"]);
}
