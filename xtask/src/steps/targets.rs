//! The published crates, type-checked for foreign systems. Nothing is linked and nothing runs.

use super::library::Library;
use crate::run::{Line, Outcome, Run};

/// Every system for which the crates have code.
const TARGETS: &[&str] = &[
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-unknown-freebsd",
    "x86_64-pc-windows-gnu",
    "x86_64-pc-windows-msvc",
];

pub(crate) fn run(run: &mut Run) -> Outcome {
    for target in TARGETS {
        let Some(library) = Library::find(run, target)? else {
            continue;
        };
        published(run, library.cargo(run, "check", "targets"))
            .arguments(["--target", target])
            .run()?;
    }
    Ok(())
}

/// The libraries with all features.
fn published(run: &Run, mut check: Line) -> Line {
    for package in run.workspace().crates() {
        check = check.arguments(["-p", &package.name]);
    }
    check.words("--lib --all-features")
}
