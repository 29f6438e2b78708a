//! The published crates, type-checked for systems that this one is not: with the standard library
//! that rustup has for a target, or else with one that Debian's toolchain builds from its source.
//! Nothing is linked and nothing runs.

use std::path::Path;

use crate::run::{Line, Outcome, Run};

/// Every system that the crates have code of their own for.
const TARGETS: &[&str] = &[
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-unknown-freebsd",
    "x86_64-pc-windows-gnu",
    "x86_64-pc-windows-msvc",
];

/// Rust with the library's source, which Debian keeps current for its browsers' sake.
const PACKAGES: &str = "rustc-web cargo-web rust-web-src";

const DEBIANS_CARGO: &str = "/usr/bin/cargo";
const DEBIANS_RUSTC: &str = "/usr/bin/rustc";
const DEBIANS_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";

pub(crate) fn run(run: &mut Run) -> Outcome {
    for target in TARGETS {
        let check = if is_installed(run, target) || add(run, target) {
            run.cargo("check")
        } else if has_debians(run) {
            run.program(DEBIANS_CARGO)
                .words("check -Zbuild-std")
                .arguments(run.own_target("build-std"))
                .variable("RUSTC", DEBIANS_RUSTC)
                .variable("RUSTC_BOOTSTRAP", "1")
        } else {
            let why_not =
                format!("rustup has no library for it, and Debian's {PACKAGES} are missing");
            run.require(false, target, &why_not)?;
            continue;
        };
        published(run, check)
            .arguments(["--target", target])
            .run()?;
    }
    Ok(())
}

/// The libraries with all they have.
fn published(run: &Run, mut check: Line) -> Line {
    for package in run.workspace().crates() {
        check = check.arguments(["-p", &package.name]);
    }
    check.words("--lib --all-features")
}

/// Whether the toolchain in use has the standard library for the target.
fn is_installed(run: &Run, target: &str) -> bool {
    let folder = run.program("rustc").words("--print target-libdir --target");
    let folder = folder.arguments([target]).quiet();
    folder.is_some_and(|folder| Path::new(&folder).is_dir())
}

/// Whether rustup brings it.
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

/// Whether Debian's toolchain is there. Only on CI it is installed: a contributor's machine is the
/// contributor's.
fn has_debians(run: &Run) -> bool {
    let there = || [DEBIANS_CARGO, DEBIANS_RUSTC, DEBIANS_SOURCE].map(|p| Path::new(p).exists());
    if there() != [true; 3] && run.on_ci() {
        let apt = |words| run.program("apt-get").words(words);
        let installed = apt("update -q").run().and_then(|()| {
            apt("install -qy --no-install-recommends")
                .words(PACKAGES)
                .run()
        });
        if let Err(error) = installed {
            println!("no toolchain from Debian: {error}");
        }
    }
    there() == [true; 3]
}
