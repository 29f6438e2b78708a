//! The steps. Short ones are here, the others in files with their names. The order and the
//! descriptions are in `main`.

pub(crate) mod backends;
pub(crate) mod costs;
pub(crate) mod databases;
mod debian;
pub(crate) mod doc_examples;
pub(crate) mod examples;
pub(crate) mod features;
pub(crate) mod fuzz;
mod library;
mod python;
pub(crate) mod sanitizers;
mod server;
pub(crate) mod services;
pub(crate) mod structure;
pub(crate) mod targets;
pub(crate) mod windows;

use std::env;

use crate::run::{Outcome, Run};

/// All tests. cargo unifies the features of the selected packages, so that another selection builds most
/// crates anew: the steps that run a part of the tests select all packages, too.
const TEST: &str = "test --workspace --all-features";

/// With the value 1, simulations with many seeds run each seed twice and compare both runs.
const SIMULATE_TWICE: &str = "COMPIO_SIM_TWICE";

/// The begin of a line with the hash of a simulation.
const HASH_LINE: &str = "simulation with seed ";

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
    run.cargo(TEST).variable(SIMULATE_TWICE, "1").run()?;
    let (first, second) = (simulations(run)?, simulations(run)?);
    if first.is_empty() && cfg!(target_os = "linux") {
        return Err("no simulation has printed its hash".into());
    }
    let len = first.len().max(second.len());
    let Some(place) = (0..len).find(|&place| first.get(place) != second.get(place)) else {
        return Ok(());
    };
    let line = |lines: &[String]| lines.get(place).map_or("no line", |line| line).to_owned();
    let (first, second) = (line(&first), line(&second));
    Err(format!("two processes differ:\n{first}\n{second}"))
}

/// The lines with the hashes of all simulations, sorted: the tests run side by side. Tests with `escape` in their names have chance that no seed determines.
fn simulations(run: &Run) -> Outcome<Vec<String>> {
    let tests = run
        .cargo(TEST)
        .words("--test sim --test sim_symbols -- --nocapture --skip escape")
        .variable("COMPIO_SIM_HASHES", "1");
    let output = tests.stdout()?;
    // The result of another test may be at the begin of a line.
    let lines = output
        .lines()
        .filter_map(|line| line.find(HASH_LINE).map(|at| &line[at..]));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    Ok(lines)
}

/// The examples with a second runtime and with channels of other crates, in a workspace of their own.
pub(crate) fn ecosystem(run: &mut Run) -> Outcome {
    let folder = "examples/ecosystem";
    run.cargo("fmt --check").folder(folder).run()?;
    run.cargo("clippy --examples -- -D warnings")
        .folder(folder)
        .run()?;
    for backend in ["io-uring", "poll"] {
        for example in [
            "inside_tokio",
            "tokio_inside",
            "tokio_costs",
            "sync",
            "sync_pitfalls",
        ] {
            run.cargo("run --example")
                .words(example)
                .folder(folder)
                .variable("COMPIO_BACKEND", backend)
                .run()?;
        }
    }
    Ok(())
}

/// On each backend, compio's in a release build: `test` runs a short soak already. Nine minutes in total;
/// `COMPIO_SOAK_SECONDS` sets the time of each of the three programs on each backend.
pub(crate) fn soak(run: &mut Run) -> Outcome {
    let usual = if run.on_ci() { "35" } else { "90" };
    let seconds = env::var("COMPIO_SOAK_SECONDS").unwrap_or(usual.into());
    let soak = run
        .cargo("test --release -p compio --test soak --test cores_soak -- --nocapture")
        .variable("COMPIO_SOAK_SECONDS", &seconds);
    // As the step `test` has built it.
    let services = run
        .cargo(TEST)
        .words("--test services_soak -- --nocapture")
        .variable("COMPIO_SOAK_SECONDS", &seconds);
    for soak in [soak, services] {
        // On io_uring, if it is available.
        soak.clone().run()?;
        soak.variable("COMPIO_BACKEND", "poll").run()?;
    }
    Ok(())
}

/// Tests that the portable build on Linux cannot pass, with the reason.
const ABSENT_HERE: [(&str, &str); 3] = [
    (
        "fs::metadata_is_the_same_as_in_std",
        "stat(2) of Linux has no creation time",
    ),
    (
        "fs::metadata_of_other_kinds_is_the_same_as_in_std",
        "stat(2) of Linux has no creation time",
    ),
    (
        "soundness::modes::s39_std_gets_documented_mode_of_each_type",
        "a send makes its socket non-blocking, as on macOS",
    ),
];

/// The backend and the system calls of macOS and the BSDs, on Linux.
pub(crate) fn portable(run: &mut Run) -> Outcome {
    let test = |words| {
        run.cargo("test")
            .arguments(run.own_target("portable"))
            .words(words)
            .variable("RUSTFLAGS", "--cfg compio_portable")
    };
    test("-p compio-driver --lib --tests").run()?;
    let skips = ABSENT_HERE.iter().flat_map(|(name, _)| ["--skip", name]);
    test("-p compio --all-features --test it --")
        .arguments(skips)
        .run()?;
    for (name, why) in ABSENT_HERE {
        run.skip(&format!("portable: {name}"), why);
    }
    Ok(())
}

pub(crate) fn programs(run: &mut Run) -> Outcome {
    let seeds = |tests, count| {
        run.cargo(TEST)
            .words("--lib --")
            .words(tests)
            .variable("COMPIO_SEEDS", count)
    };
    seeds("sys::programs", "2500").run()?;
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
    bench("fmt -p bench -p costs -p databases -p services -p simulation -p soundness --check")
        .run()?;
    bench("clippy --workspace --all-targets -- -D warnings").run()?;
    // Checks that it runs, not how fast: figures from a busy machine mean nothing.
    bench("run --release -- row nop --quick --out")
        .path(&run.scratch("bench")?)
        .run()
}

/// The programs under compio's simulation find their faults. Those under other simulators are only checked.
pub(crate) fn simulators(run: &mut Run) -> Outcome {
    let simulators = |words| run.cargo(words).folder("bench/simulators");
    simulators("fmt --check").run()?;
    simulators("clippy --bins --features compio,turmoil -- -D warnings").run()?;
    simulators("run --release --bin with-compio --features compio -- --check").run()
}

/// The triple of this machine.
fn host(run: &Run) -> Outcome<String> {
    let tuple = run.program("rustc").words("--print host-tuple").quiet();
    tuple.ok_or("rustc does not print the host triple".into())
}
