//! The published crates and their tests, type-checked for foreign systems: without C code, for which each would need a
//! compiler of its own. Nothing is linked and nothing runs.

use super::library::Library;
use crate::run::{Outcome, Run};

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
        let check = |packages: Vec<&str>, words| {
            let check = library.cargo(run, "check", "targets");
            let packages = packages.into_iter().flat_map(|name| ["-p", name]);
            let check = check.arguments(packages).words(words);
            check.arguments(["--target", target]).run()
        };
        let mut with_tests = Vec::new();
        let mut libraries = Vec::new();
        for package in run.workspace().crates() {
            if package.compiles_c() {
                check(vec![&package.name], "--lib --no-default-features")?;
            } else if package.tests_compile_c(target) {
                libraries.push(&*package.name);
            } else {
                with_tests.push(&*package.name);
            }
        }
        check(with_tests, "--lib --tests --all-features")?;
        if !libraries.is_empty() {
            check(libraries, "--lib --all-features")?;
        }
    }
    Ok(())
}
