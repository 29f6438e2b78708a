//! The steps. Short ones are here, the others in files with their names. The order and the
//! descriptions are in `main`.

pub(crate) mod backends;
pub(crate) mod costs;
mod debian;
pub(crate) mod doc_examples;
pub(crate) mod examples;
pub(crate) mod features;
pub(crate) mod fuzz;
mod library;
pub(crate) mod sanitizers;
pub(crate) mod structure;
pub(crate) mod targets;
pub(crate) mod windows;

use std::env;

use crate::run::{Outcome, Run};

/// All tests. cargo unifies the features of the selected packages, so that another selection builds most
/// crates anew: the steps that run a part of the tests select all packages, too.
const TEST: &str = "test --workspace --all-features";

/// Every crate with `unsafe` code.
const UNSAFE: &str = "-p compio-io -p compio-driver -p compio-executor -p compio";

pub(crate) fn fmt(run: &mut Run) -> Outcome {
    run.cargo("fmt --all --check").run()?;
    run.cargo("fmt --check").folder("xtask/wine/samples").run()
}

pub(crate) fn clippy(run: &mut Run) -> Outcome {
    run.cargo("clippy --workspace --all-targets --all-features -- -D warnings")
        .run()?;
    // The other crates would enable features: the examples the default ones, the doctests of the
    // executor `runtime`. Only these two have features.
    run.cargo("clippy -p compio-io -p compio --all-targets --no-default-features -- -D warnings")
        .run()
}

pub(crate) fn doc(run: &mut Run) -> Outcome {
    // Last as users get it, where a link to a private item is an error.
    document(run, "--document-private-items")?;
    document(run, "")
}

/// Builds the documentation of all crates.
fn document(run: &Run, audience: &str) -> Outcome {
    run.cargo("doc --workspace --no-deps --all-features")
        .words(audience)
        .variable("RUSTDOCFLAGS", "-D warnings")
        .run()
}

pub(crate) fn test(run: &mut Run) -> Outcome {
    run.cargo(TEST).run()
}

/// The examples with a second runtime, in a workspace of their own.
pub(crate) fn ecosystem(run: &mut Run) -> Outcome {
    let folder = "examples/ecosystem";
    run.cargo("fmt --check").folder(folder).run()?;
    run.cargo("clippy --examples -- -D warnings")
        .folder(folder)
        .run()?;
    for backend in ["io-uring", "poll"] {
        for example in ["inside_tokio", "tokio_inside"] {
            run.cargo("run --example")
                .words(example)
                .folder(folder)
                .variable("COMPIO_BACKEND", backend)
                .run()?;
        }
    }
    Ok(())
}

/// On each backend, in a release build: `test` runs a short soak already. Three minutes in total;
/// `COMPIO_SOAK_SECONDS` sets the time for each backend.
pub(crate) fn soak(run: &mut Run) -> Outcome {
    let usual = if run.on_ci() { "35" } else { "90" };
    let seconds = env::var("COMPIO_SOAK_SECONDS").unwrap_or(usual.into());
    let soak = run
        .cargo("test --release -p compio --test soak -- --nocapture")
        .variable("COMPIO_SOAK_SECONDS", &seconds);
    // On io_uring, if it is available.
    soak.clone().run()?;
    soak.variable("COMPIO_BACKEND", "poll").run()
}

pub(crate) fn programs(run: &mut Run) -> Outcome {
    let seeds = |tests, count| {
        run.cargo(TEST)
            .words("--lib --")
            .words(tests)
            .variable("COMPIO_SEEDS", count)
    };
    seeds("sim::programs", "2500").run()?;
    seeds("faults", "2000").run()
}

pub(crate) fn loom(run: &mut Run) -> Outcome {
    let models = |words| {
        run.cargo("test --lib --release")
            .words(words)
            .arguments(run.own_target("loom"))
            .variable("RUSTFLAGS", "--cfg loom")
    };
    // Loom's atomics work only inside a model: no other test of the driver runs.
    models("-p compio-executor").run()?;
    models("-p compio-driver loom_tests::").run()?;
    models("-p compio --no-default-features --features event loom_tests::").run()
}

pub(crate) fn bench_build(run: &mut Run) -> Outcome {
    let bench = |words| run.cargo(words).folder("bench");
    bench("fmt -p bench -p costs -p soundness --check").run()?;
    bench("clippy --workspace --all-targets -- -D warnings").run()?;
    // Checks that it runs, not how fast: figures from a busy machine mean nothing.
    bench("run --release -- row nop --quick --out")
        .path(&run.scratch("bench")?)
        .run()
}

/// The triple of this machine.
fn host(run: &Run) -> Outcome<String> {
    let tuple = run.program("rustc").words("--print host-tuple").quiet();
    tuple.ok_or("rustc does not print the host triple".into())
}
