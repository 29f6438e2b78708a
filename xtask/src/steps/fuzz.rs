//! Each target of `fuzz/` for a few seconds, built with the flags of `cargo fuzz run`, which need
//! not be installed. The seed is fixed: CI detects regressions, long manual runs find new faults.

use std::{fs, path::Path};

use super::host;
use crate::run::{Outcome, Run};

/// The flags of `cargo fuzz`: coverage for LLVM's fuzzer, and AddressSanitizer.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The time of each target, the time limit of one input, and the size limit of one allocation.
const LIMITS: &str = "-max_total_time=7 -timeout=60 -malloc_limit_mb=64 -seed=1";

pub(crate) fn run(run: &mut Run) -> Outcome {
    run.cargo("fmt --check").folder("fuzz").run()?;
    let nightly = run.cargo("+nightly --version").quiet().is_some();
    let compiler = run.program("c++").words("--version").quiet().is_some();
    let why_not = "no nightly toolchain, or no C++ compiler for LLVM's fuzzer";
    if !run.require(nightly && compiler, "fuzz", why_not)? {
        return Ok(());
    }
    let target = host(run)?;
    run.cargo("+nightly build --release --manifest-path fuzz/Cargo.toml")
        .arguments(["--target", &target])
        .arguments(run.own_target("fuzz"))
        .variable("RUSTFLAGS", FLAGS)
        .run()?;
    let programs = run.workspace().target().join("fuzz").join(&target);
    let scratch = run.scratch("fuzz")?;
    for name in targets(&run.workspace().root().join("fuzz/fuzz_targets"))? {
        run.program(programs.join("release").join(name))
            .words(LIMITS)
            .words("-verbosity=0 -print_final_stats=1")
            .arguments([format!("-artifact_prefix={}/", scratch.display())])
            .variable("ASAN_OPTIONS", "allow_addr2line=1")
            .run()?;
    }
    Ok(())
}

/// The names of the targets, sorted.
fn targets(folder: &Path) -> Outcome<Vec<String>> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into()));
    }
    names.sort();
    Ok(names)
}
