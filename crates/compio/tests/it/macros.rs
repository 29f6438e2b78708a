//! `#[compio::main]` and `#[compio::test]`.

use std::{cell::Cell, io, rc::Rc};

use compio::{
    driver::{BackendKind, SpinPolicy},
    runtime::backend,
    task::spawn,
};

#[compio::test]
async fn a_test_runs_on_a_runtime() {
    let task = spawn(async { 42 });
    assert_eq!(task.await.unwrap(), 42);
}

#[compio::test]
async fn a_test_may_return_a_result() -> io::Result<()> {
    let file = compio::fs::File::open(std::env::current_exe()?)?;
    file.metadata().await?;
    Ok(())
}

#[compio::test]
#[should_panic(expected = "on purpose")]
async fn a_test_may_be_expected_to_panic() {
    panic!("on purpose");
}

#[compio::test]
#[ignore = "never run: it would fail"]
async fn a_test_may_be_ignored() {
    panic!("this is ignored");
}

#[compio::main]
async fn program() -> Result<usize, Box<dyn std::error::Error>> {
    let number = "42".parse::<usize>()?;
    let shared = Rc::new(Cell::new(0));
    let there = shared.clone();
    spawn(async move { there.set(number) }).await?;
    Ok(shared.get())
}

#[test]
fn a_main_returns_the_output_of_its_body() {
    assert_eq!(program().unwrap(), 42);
}

mod inner {
    /// Documented, visible, and with attributes of its own.
    #[compio::main]
    #[must_use]
    #[inline(never)]
    pub(super) async fn answer() -> u8 {
        #![allow(unused_variables, reason = "to be left alone by the macro")]
        let unused = 1;
        return 42;
    }
}

#[test]
fn attributes_and_visibility_stay() {
    assert_eq!(inner::answer(), 42);
}

#[compio::main]
async fn diverges() -> ! {
    panic!("on purpose")
}

#[test]
#[should_panic(expected = "on purpose")]
fn a_main_may_never_return() {
    diverges();
}

#[compio::main]
async fn shows() -> impl std::fmt::Display {
    "shown"
}

#[test]
fn a_main_may_return_an_opaque_type() {
    assert_eq!(shows().to_string(), "shown");
}

/// The crate under another name.
mod renamed {
    pub(super) use compio as runtime;
}

#[compio::main(crate = crate::macros::renamed::runtime, backend = BACKEND, entries = 8, spin = "off")]
async fn with_settings() -> BackendKind {
    spawn(async { backend().kind() }).await.unwrap()
}

/// The backend that each system has and that needs no choice.
const BACKEND: BackendKind = if cfg!(windows) {
    BackendKind::Iocp
} else {
    BackendKind::Poll
};

#[test]
fn main_with_arguments_runs_on_a_runtime_with_these_settings() {
    assert_eq!(with_settings(), BACKEND);
}

#[compio::test(spin = SpinPolicy::Off)]
async fn test_with_arguments_runs() {
    assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
}

#[cfg(unix)]
#[compio::main(backend = "epoll")]
async fn by_readiness() -> BackendKind {
    backend().kind()
}

#[cfg(unix)]
#[test]
fn backend_argument_may_be_a_name() {
    assert_eq!(by_readiness(), BackendKind::Poll);
}

/// A backend that this system does not have.
const FOREIGN: BackendKind = if cfg!(windows) {
    BackendKind::IoUring
} else {
    BackendKind::Iocp
};

#[compio::main(backend = FOREIGN)]
async fn io_result() -> io::Result<()> {
    Ok(())
}

#[compio::main(backend = FOREIGN)]
async fn boxed_error() -> Result<usize, Box<dyn std::error::Error>> {
    Ok(1)
}

#[compio::main(backend = FOREIGN)]
async fn no_result() {}

#[compio::main(backend = FOREIGN)]
async fn unrelated_error() -> Result<(), String> {
    Ok(())
}

#[compio::main(backend = FOREIGN)]
async fn hidden() -> impl std::fmt::Debug {}

#[test]
fn main_that_returns_a_result_returns_the_error_of_the_runtime() {
    assert_eq!(io_result().unwrap_err().kind(), io::ErrorKind::Unsupported);
    let error = boxed_error().unwrap_err();
    let error = error.downcast::<io::Error>().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn main_without_room_for_the_error_of_the_runtime_panics() {
    for main in [
        || no_result(),
        || drop(unrelated_error()),
        || drop(hidden()),
    ] {
        let panic = std::panic::catch_unwind(main).unwrap_err();
        let message = panic.downcast::<String>().unwrap();
        assert!(message.starts_with("this thread's runtime could not be made: the "));
    }
}

#[compio::main]
async fn with_the_environment() -> io::Result<()> {
    Ok(())
}

#[test]
#[ignore = "the child of the next test"]
fn child_with_an_unknown_backend() {
    println!("\nSAYS {}", with_the_environment().unwrap_err());
}

#[test]
fn main_with_an_unknown_backend_in_the_environment_returns_the_error() {
    let child = "macros::child_with_an_unknown_backend";
    let output = compio_testkit::process::this_test(child)
        .env("COMPIO_BACKEND", "select")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("SAYS COMPIO_BACKEND is select: it must be "),
        "{said}"
    );
}

#[compio::main(crate = crate::macros::renamed::runtime, backend = BACKEND, workers = 2)]
async fn with_workers() -> (usize, BackendKind) {
    let workers = compio::cores::current().unwrap();
    let there = workers.dispatch_to(1, || async { compio::runtime::backend().kind() });
    (workers.len(), there.await.unwrap())
}

#[test]
fn main_with_workers_runs_on_dispatcher() {
    assert_eq!(with_workers(), (2, BACKEND));
}

#[compio::main(workers = 0)]
async fn without_workers() -> std::io::Result<()> {
    unreachable!()
}

#[test]
fn main_with_zero_workers_returns_error() {
    let error = without_workers().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
