//! Building for another system: with rustup's standard library for it, or with one that Debian's
//! toolchain builds from source.

use std::path::Path;

use super::debian;
use crate::run::{Line, Outcome, Run};

/// Rust with the library's source, which Debian keeps current for its browsers.
const PACKAGES: &str = "rustc-web cargo-web rust-web-src";

const DEBIANS_CARGO: &str = "/usr/bin/cargo";
const DEBIANS_RUSTC: &str = "/usr/bin/rustc";
const DEBIANS_RUSTDOC: &str = "/usr/bin/rustdoc";
const DEBIANS_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";

/// The source of the standard library for a target.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Library {
    Rustup,
    Debian,
}

impl Library {
    /// Finds a library, or gets it from rustup or Debian; `None` if the step is skipped.
    pub(super) fn find(run: &mut Run, target: &str) -> Outcome<Option<Self>> {
        if is_installed(run, target) || add(run, target) {
            return Ok(Some(Self::Rustup));
        }
        let why_not = format!("rustup has no library for it, and Debian's {PACKAGES} are missing");
        let there = run.require(has_debians(run), target, &why_not)?;
        Ok(there.then_some(Self::Debian))
    }

    /// `cargo` with these words, with the toolchain of the library. It builds in a directory of its
    /// own below the target directory.
    pub(super) fn cargo(self, run: &Run, words: &str, place: &str) -> Line {
        match self {
            Self::Rustup => run.cargo(words),
            Self::Debian => run
                .program(DEBIANS_CARGO)
                .words(words)
                .words("-Zbuild-std")
                .variable("RUSTC", DEBIANS_RUSTC)
                .variable("RUSTDOC", DEBIANS_RUSTDOC)
                .variable("RUSTC_BOOTSTRAP", "1"),
        }
        .arguments(run.own_target(place))
    }
}

/// Whether the current toolchain has the standard library for the target.
fn is_installed(run: &Run, target: &str) -> bool {
    let folder = run.program("rustc").words("--print target-libdir --target");
    let folder = folder.arguments([target]).quiet();
    folder.is_some_and(|folder| Path::new(&folder).is_dir())
}

/// Whether rustup can install it.
fn add(run: &Run, target: &str) -> bool {
    let added = run.program("rustup").words("target add");
    match added.arguments([target]).run() {
        Ok(()) => is_installed(run, target),
        Err(error) => {
            println!("no library for {target} from rustup: {error}");
            false
        }
    }
}

/// Whether Debian's toolchain is installed, or can be.
fn has_debians(run: &Run) -> bool {
    let needed = [DEBIANS_CARGO, DEBIANS_RUSTC, DEBIANS_SOURCE];
    let there = || needed.iter().all(|path| Path::new(path).exists());
    if !there() {
        debian::install(run, PACKAGES);
    }
    there()
}
