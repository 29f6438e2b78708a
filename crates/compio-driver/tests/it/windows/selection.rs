//! Which backend is chosen, and how it is described: there is one, and the others are refused.
//!
//! The environment belongs to the whole process: each test starts a child.

use std::env;

use compio_driver::{BackendKind, DriverBuilder, op::Nop};

use compio_testkit::check::check_parts;

use crate::support::{self, run};

/// Names the backend that a child requests from its builder.
const WISH: &str = "TEST_WISH";

/// The output of a child with this environment.
fn ask(environment: &[(&str, &str)]) -> String {
    support::ask("windows::selection::a_child", environment)
}

#[test]
#[ignore = "child process of the other tests"]
fn a_child() {
    let mut builder = DriverBuilder::new();
    if let Ok(wish) = env::var(WISH) {
        builder = builder.backend(match &wish[..] {
            "iocp" => BackendKind::Iocp,
            "poll" => BackendKind::Poll,
            _ => BackendKind::IoUring,
        });
    }
    match builder.build() {
        Ok(driver) => {
            assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
            println!("\nSAYS {}", driver.backend());
        }
        Err(error) => println!("\nSAYS {:?}: {error}", error.kind()),
    }
}

#[test]
fn the_only_backend_is_taken() {
    check_parts(&ask(&[]), &["iocp: "]);
    check_parts(&ask(&[("COMPIO_BACKEND", "")]), &["iocp: "]);
}

#[test]
fn a_requested_backend_is_used() {
    for wish in [("COMPIO_BACKEND", "iocp"), (WISH, "iocp")] {
        check_parts(&ask(&[wish]), &["iocp: "]);
    }
}

#[test]
fn an_unavailable_backend_is_an_error_with_advice() {
    for name in ["io-uring", "poll"] {
        for wish in [("COMPIO_BACKEND", name), (WISH, name)] {
            check_parts(&ask(&[wish]), &["Unsupported: ", name, "iocp"]);
        }
    }
}

#[test]
fn the_builder_overrides_the_environment() {
    for name in ["poll", "what?"] {
        let said = ask(&[("COMPIO_BACKEND", name), (WISH, "iocp")]);
        check_parts(&said, &["iocp: "]);
    }
}

#[test]
fn an_unknown_backend_is_an_error() {
    for name in ["IOCP", "select", " iocp"] {
        let said = ask(&[("COMPIO_BACKEND", name)]);
        check_parts(&said, &["InvalidInput: ", name, "it must be iocp"]);
    }
}
