//! The contenders: one file each, all with the same list of functions.
//!
//! To add one: a file that holds a [`Contender`], and a line in [`CONTENDERS`]. Each gets the
//! settings that its own documentation recommends, and nothing beyond.

use std::{io, path::Path};

use crate::{
    cost::Cost,
    rows::{Load, echo::Listening},
};

#[cfg(feature = "this")]
mod compio;
mod monoio;
mod pread;
mod raw;
mod tokio;

/// Every contender, in the order of each round. The first that has a row is that row's baseline.
pub const CONTENDERS: &[&Contender] = &[
    &raw::CONTENDER,
    &tokio::CONTENDER,
    &monoio::CONTENDER,
    #[cfg(feature = "this")]
    &compio::CONTENDER,
    &pread::CONTENDER,
];

/// A runtime, or what stands in for one, and the rows it takes part in.
pub struct Contender {
    /// How the command line and the report call it.
    pub name: &'static str,
    /// How it was set up, for the report.
    pub setting: &'static str,
    /// See [`crate::rows::echo`].
    pub echo: Option<fn(Load, Listening<'_>) -> io::Result<Cost>>,
    /// See [`crate::rows::pairs`].
    pub pairs: Option<fn(Load) -> io::Result<Cost>>,
    /// See [`crate::rows::file`].
    pub file: Option<fn(Load, &Path) -> io::Result<Cost>>,
    /// See [`crate::rows::names`].
    pub metadata: Option<fn(Load, &Path) -> io::Result<Cost>>,
    /// See [`crate::rows::names`].
    pub rename: Option<fn(Load, &Path) -> io::Result<Cost>>,
    /// See [`crate::rows::nop`].
    pub nop: Option<fn(Load) -> io::Result<Cost>>,
    /// See [`crate::rows::spawn`].
    pub spawn: Option<fn(Load) -> io::Result<Cost>>,
    /// See [`crate::rows::blocking`].
    pub blocking: Option<fn(Load) -> io::Result<Cost>>,
    /// See [`crate::rows::turns`].
    pub turns: Option<fn(Load) -> io::Result<Cost>>,
    /// See [`crate::rows::sleep`].
    pub sleep: Option<fn(Load) -> io::Result<Cost>>,
}

/// Finds a contender by name.
pub fn find(name: &str) -> Option<&'static Contender> {
    CONTENDERS
        .iter()
        .copied()
        .find(|contender| contender.name == name)
}
