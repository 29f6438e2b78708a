//! What each step does. Those of a few command lines are here, the others in a file of their
//! name. The order and the descriptions are in `main`.

pub(crate) mod backends;
pub(crate) mod costs;
mod debian;
pub(crate) mod examples;
pub(crate) mod features;
mod library;
pub(crate) mod targets;
pub(crate) mod windows;

use std::env;

use crate::run::{Outcome, Run};

/// Whose tests run under AddressSanitizer: every crate with `unsafe` code.
const UNSAFE: &str = "-p compio-io -p compio-driver -p compio-executor -p compio";

pub(crate) fn fmt(run: &mut Run) -> Outcome {
    run.cargo("fmt --all --check").run()?;
    run.cargo("fmt --check").folder("xtask/wine/samples").run()
}

pub(crate) fn clippy(run: &mut Run) -> Outcome {
    run.cargo("clippy --workspace --all-targets --all-features -- -D warnings")
        .run()?;
    // With `--workspace` the default features would come back by way of the examples.
    run.cargo("clippy")
        .words(UNSAFE)
        .words("--all-targets --no-default-features -- -D warnings")
        .run()
}

pub(crate) fn doc(run: &mut Run) -> Outcome {
    // As users get it, where a link to something private is an error; then for ourselves.
    for audience in ["", "--document-private-items"] {
        run.cargo("doc --workspace --no-deps --all-features")
            .words(audience)
            .variable("RUSTDOCFLAGS", "-D warnings")
            .run()?;
    }
    Ok(())
}

pub(crate) fn test(run: &mut Run) -> Outcome {
    run.cargo("test --workspace").run()
}

/// On each backend, in a build that is as fast as it gets: `test` has a short one already. Three minutes
/// in all; `COMPIO_SOAK_SECONDS` says otherwise, for each backend.
pub(crate) fn soak(run: &mut Run) -> Outcome {
    let usual = if run.on_ci() { "35" } else { "90" };
    let seconds = env::var("COMPIO_SOAK_SECONDS").unwrap_or(usual.into());
    let soak = run
        .cargo("test --release -p compio --test soak -- --nocapture")
        .variable("COMPIO_SOAK_SECONDS", &seconds);
    // On io_uring, if that is there.
    soak.clone().run()?;
    soak.variable("COMPIO_BACKEND", "poll").run()
}

pub(crate) fn programs(run: &mut Run) -> Outcome {
    let seeds = |tests, count| {
        run.cargo("test -p compio-driver --lib --")
            .words(tests)
            .variable("COMPIO_SEEDS", count)
    };
    seeds("sim::programs", "2500").run()?;
    seeds("faults", "2000").run()
}

pub(crate) fn asan(run: &mut Run) -> Outcome {
    let nightly = run.cargo("+nightly --version").quiet().is_some();
    let why_not = "no nightly toolchain: `rustup toolchain install nightly`";
    if !run.require(nightly, "asan", why_not)? {
        return Ok(());
    }
    let target = host(run)?;
    let sanitized = |tests| {
        // With a target named, build scripts and macros are spared the flags.
        run.cargo("+nightly test --tests")
            .words(tests)
            .arguments(["--target", &target])
            .arguments(run.own_target("asan"))
            .variable("RUSTFLAGS", "-Zsanitizer=address")
            // The C compiler brings addr2line along; LLVM's own reader of traces may be missing.
            .variable("ASAN_OPTIONS", "detect_leaks=1:allow_addr2line=1")
    };
    sanitized(UNSAFE).run()?;
    sanitized(backends::CRATES)
        .variable("COMPIO_BACKEND", "poll")
        .run()
}

pub(crate) fn loom(run: &mut Run) -> Outcome {
    run.cargo("test -p compio-executor --lib --release")
        .arguments(run.own_target("loom"))
        .variable("RUSTFLAGS", "--cfg loom")
        .run()
}

pub(crate) fn bench_build(run: &mut Run) -> Outcome {
    let bench = |words| run.cargo(words).folder("bench");
    bench("fmt -p bench -p costs --check").run()?;
    bench("clippy -p bench -p costs --all-targets -- -D warnings").run()?;
    // Whether it runs, not how fast: figures from a busy machine say nothing.
    bench("run --release -- row nop --quick --out")
        .path(&run.scratch("bench")?)
        .run()
}

/// The triple of this machine.
fn host(run: &Run) -> Outcome<String> {
    let tuple = run.program("rustc").words("--print host-tuple").quiet();
    tuple.ok_or("rustc does not say which machine this is".into())
}
