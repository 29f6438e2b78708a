//! Shared helpers of the tests.

#[path = "../support/run.rs"]
mod run;

pub(crate) use compio_testkit::future::begin;
pub(crate) use run::run;
