//! The checks of CI and contributors: `cargo xtask check` every day, `cargo xtask ci` before a push,
//! `cargo xtask STEP` for one step alone.
//!
//! Contains the table of steps, and the loop over the selected ones. The steps themselves are in
//! `steps`, running commands in `run`, the packages of the workspace in `workspace`.

mod run;
mod steps;
mod workspace;

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::run::{Action, Run};

/// A check.
struct Step {
    name: &'static str,
    about: &'static str,
    run: Action,
    /// Whether `check` runs it as well, because it is quick and useful before every commit.
    daily: bool,
}

/// In the order of `ci`: fast steps, and steps that fail often, come first.
#[rustfmt::skip]
const STEPS: &[Step] = &[
    Step { name: "fmt", daily: true, run: steps::fmt,
           about: "the formatting" },
    Step { name: "clippy", daily: true, run: steps::clippy,
           about: "lints denied, with all features and without the default ones" },
    Step { name: "structure", daily: true, run: steps::structure::run,
           about: "the direction of imports, the places of platform cfg and of system calls" },
    Step { name: "doc", daily: false, run: steps::doc,
           about: "the documentation, warnings denied, public and private" },
    Step { name: "doc-examples", daily: false, run: steps::doc_examples::run,
           about: "the examples on compio's pages, compiled as a user copies them" },
    Step { name: "test", daily: true, run: steps::test,
           about: "all tests and doctests, with all features" },
    Step { name: "backends", daily: false, run: steps::backends::run,
           about: "the tests on the readiness backend, and with io_uring disabled or incomplete" },
    Step { name: "portable", daily: false, run: steps::portable,
           about: "the code of macOS and the BSDs on Linux, with the poller `polling`" },
    Step { name: "programs", daily: false, run: steps::programs,
           about: "thousands of random programs on kernels in memory, and on real ones with faults" },
    Step { name: "features", daily: false, run: steps::features::run,
           about: "each crate with no feature, with each alone, with all: lints; tests without features" },
    Step { name: "check-targets", daily: false, run: steps::targets::run,
           about: "the published crates type-check for macOS, FreeBSD, Windows and arm64" },
    Step { name: "windows-test", daily: false, run: steps::windows::run,
           about: "all tests on Windows, by Wine; no undocumented call in the build" },
    Step { name: "examples", daily: false, run: steps::examples::run,
           about: "the examples on real input, against foreign programs" },
    Step { name: "ecosystem", daily: false, run: steps::ecosystem,
           about: "compio inside of tokio, tokio's libraries, channels and locks inside of compio, on each backend" },
    Step { name: "databases", daily: false, run: steps::databases::run,
           about: "clients of Postgres and Redis on each backend, directly and by tokio's reactor, and a killed server" },
    Step { name: "services", daily: false, run: steps::services::run,
           about: "web services on each backend, against curl, h2load, grpcio, sslyze, Prometheus, WebSocket peers, Chromium; the protocol of tokio-console" },
    Step { name: "soak", daily: false, run: steps::soak,
           about: "minutes of connections that cancel and reset, and of workers that end under load, without a leak" },
    Step { name: "asan", daily: false, run: steps::sanitizers::address,
           about: "the tests under AddressSanitizer, leaks included (nightly)" },
    Step { name: "tsan", daily: false, run: steps::sanitizers::thread,
           about: "code shared by threads under ThreadSanitizer (nightly, with std's source)" },
    Step { name: "loom", daily: false, run: steps::loom,
           about: "task states, inbox, notifier, pool and events in every interleaving of threads" },
    Step { name: "fuzz", daily: false, run: steps::fuzz::run,
           about: "all parsers, with hostile input (nightly)" },
    Step { name: "bench-build", daily: false, run: steps::bench_build,
           about: "bench/: formatting, lints, and one row that runs" },
    Step { name: "simulators", daily: false, run: steps::simulators,
           about: "bench/simulators: the faults that compio's simulation finds" },
    Step { name: "bench-check", daily: false, run: steps::costs::run,
           about: "instructions, allocations and enters per operation, against the committed ones" },
];

/// The outcome of a step.
struct Report {
    step: &'static Step,
    verdict: Verdict,
    took: Duration,
}

#[derive(PartialEq)]
enum Verdict {
    Passed,
    /// At least in part: the reasons are printed at the end.
    Skipped,
    Failed,
}

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    let steps = match chosen(&names) {
        Ok(steps) if steps.is_empty() => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        Ok(steps) => steps,
        Err(unknown) => {
            eprint!("there is no step `{unknown}`\n\n{}", usage());
            return ExitCode::from(2);
        }
    };
    match Run::new() {
        Ok(run) => run_steps(run, &steps),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The steps that the command line names; empty if it requests help.
fn chosen(names: &[String]) -> Result<Vec<&'static Step>, &str> {
    let mut steps = Vec::new();
    for name in names {
        match name.as_str() {
            "help" | "-h" | "--help" => return Ok(Vec::new()),
            "ci" => steps.extend(STEPS),
            "check" => steps.extend(STEPS.iter().filter(|step| step.daily)),
            name => steps.push(STEPS.iter().find(|step| step.name == name).ok_or(name)?),
        }
    }
    Ok(steps)
}

fn usage() -> String {
    let daily: Vec<_> = STEPS.iter().filter(|s| s.daily).map(|s| s.name).collect();
    let mut usage = format!(
        "usage: cargo xtask NAME...\n\n  {:<13} every day: {}\n  {:<13} all steps, in this order\n\n",
        "check",
        daily.join(", "),
        "ci"
    );
    for step in STEPS {
        usage += &format!("  {:<13} {}\n", step.name, step.about);
    }
    usage
}

/// Runs the steps until one fails, and prints a summary.
fn run_steps(mut run: Run, steps: &[&'static Step]) -> ExitCode {
    println!("{}", run.surroundings());
    let mut reports = Vec::new();
    for step in steps {
        println!("\n=== {}: {}", step.name, step.about);
        let skips_before = run.skips().len();
        let start = Instant::now();
        let outcome = (step.run)(&mut run);
        let took = start.elapsed();
        let verdict = match outcome {
            Ok(()) if run.skips().len() == skips_before => Verdict::Passed,
            Ok(()) => Verdict::Skipped,
            Err(error) => {
                println!("\n!!! {} failed: {error}", step.name);
                Verdict::Failed
            }
        };
        println!("--- {}: {:.1} s", step.name, took.as_secs_f64());
        let failed = verdict == Verdict::Failed;
        reports.push(Report {
            step,
            verdict,
            took,
        });
        if failed {
            break;
        }
    }
    summarize(&run, &reports, steps.len())
}

fn summarize(run: &Run, reports: &[Report], asked: usize) -> ExitCode {
    println!("\n{:<13} {:>8}", "step", "seconds");
    for Report {
        step,
        verdict,
        took,
    } in reports
    {
        let remark = match verdict {
            Verdict::Passed => "",
            Verdict::Skipped => "  skipped, at least in part: see below",
            Verdict::Failed => "  FAILED",
        };
        println!("{:<13} {:>8.1}{remark}", step.name, took.as_secs_f64());
    }
    let total: Duration = reports.iter().map(|report| report.took).sum();
    println!("{:<13} {:>8.1}", "all", total.as_secs_f64());
    if reports.len() < asked {
        println!("not run after the failure: {} steps", asked - reports.len());
    }

    let count = |verdict| reports.iter().filter(|r| r.verdict == verdict).count();
    let (passed, failed) = (count(Verdict::Passed), count(Verdict::Failed));
    println!(
        "\nsteps: {passed} passed, {failed} failed, {} skipped",
        asked - passed - failed
    );
    // Last, so that it is seen.
    for skip in run.skips() {
        println!("SKIPPED {skip}");
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
