//! `#[compio::main]` and `#[compio::test]`.

use std::{cell::Cell, io, rc::Rc};

use compio::task::spawn;

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
fn a_main_returns_what_its_body_does() {
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
fn a_main_may_hide_what_it_returns() {
    assert_eq!(shows().to_string(), "shown");
}
