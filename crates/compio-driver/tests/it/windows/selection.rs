//! Which backend is taken, and what is said about it: there is one, and the others are refused.
//!
//! The environment belongs to the whole process: each question is put to a child.

use std::env;

use compio_driver::{BackendKind, DriverBuilder, op::Nop};

use crate::support::{self, run};

/// Tells a child which backend it shall ask its builder for.
const WISH: &str = "TEST_WISH";

/// What a child says that was started in this environment.
fn ask(environment: &[(&str, &str)]) -> String {
    support::ask("windows::selection::a_child", environment)
}

#[test]
#[ignore = "the child that the others ask"]
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

/// All of these parts are in what was said.
#[track_caller]
fn check(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
}

#[test]
fn the_only_backend_is_taken() {
    check(&ask(&[]), &["iocp: "]);
    check(&ask(&[("COMPIO_BACKEND", "")]), &["iocp: "]);
}

#[test]
fn a_wish_is_granted() {
    for wish in [("COMPIO_BACKEND", "iocp"), (WISH, "iocp")] {
        check(&ask(&[wish]), &["iocp: "]);
    }
}

#[test]
fn a_wish_that_cannot_be_granted_is_an_error_that_helps() {
    for name in ["io-uring", "poll"] {
        for wish in [("COMPIO_BACKEND", name), (WISH, name)] {
            check(&ask(&[wish]), &["Unsupported: ", name, "iocp"]);
        }
    }
}

#[test]
fn the_builder_knows_better_than_the_environment() {
    for name in ["poll", "what?"] {
        let said = ask(&[("COMPIO_BACKEND", name), (WISH, "iocp")]);
        check(&said, &["iocp: "]);
    }
}

#[test]
fn an_unknown_wish_is_an_error() {
    for name in ["IOCP", "select", " iocp"] {
        let said = ask(&[("COMPIO_BACKEND", name)]);
        check(&said, &["InvalidInput: ", name, "it must be iocp"]);
    }
}
