//! Shared helpers of the tests.

#[path = "../support/run.rs"]
mod run;

use std::process::ExitStatus;

pub(crate) use compio_testkit::{
    check::check_kind,
    future::{begin, both},
};
pub(crate) use run::run;

#[track_caller]
pub(crate) fn check_code(status: ExitStatus, code: i32) {
    assert_eq!(status.code(), Some(code), "{status}");
}
