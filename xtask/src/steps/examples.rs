//! The examples, run as a user would: on real input, servers against foreign clients
//! (`peers/*.py`). An example without a check is an error, so that all are tested.

mod copy;
mod files;
mod observation;
mod processes;
mod raft;
mod servers;

use std::{path::PathBuf, time::Duration};

use crate::run::{Action, Line, Outcome, Run};

/// The check of each example. `raft` is in a workspace of its own.
const CHECKS: &[(&str, Action)] = &[
    ("quickstart", files::quickstart),
    ("driver", files::driver),
    ("watch", files::watch),
    ("copy", copy::run),
    ("echo", servers::echo),
    ("chat", servers::chat),
    ("serve", servers::serve),
    ("keyvalue", servers::keyvalue),
    ("echo_cores", servers::echo_cores),
    ("restart", servers::restart),
    ("hang", observation::hang),
    ("slow", observation::slow),
    ("observed", observation::observed),
    ("supervise", processes::supervise),
    ("tail", processes::tail),
    ("count", processes::count),
    ("raft", raft::run),
];

/// The time limit of a program that normally needs a second or two.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn run(run: &mut Run) -> Outcome {
    for example in run.workspace().examples() {
        if CHECKS.iter().all(|(name, _)| *name != example) {
            return Err(format!("the example {example} has no check in {}", file!()));
        }
    }
    run.cargo("build --release --examples").run()?;
    for (name, check) in CHECKS {
        println!("--- {name}");
        check(run).map_err(|error| format!("example {name}: {error}"))?;
    }
    Ok(())
}

/// A built example. Not run with `cargo run`, which would be an extra process in between.
fn example(run: &Run, name: &str) -> Line {
    let built: PathBuf = run.workspace().target().join("release/examples").join(name);
    run.program(built)
}

/// A Python program from `peers/`; `None` if there is no Python.
fn peer(run: &mut Run, name: &str, what: &str) -> Outcome<Option<Line>> {
    let python = run.program("python3").words("--version").quiet().is_some();
    let there = run.require(python, what, "python3 is not installed")?;
    let line = run
        .program("python3")
        .arguments([format!("xtask/peers/{name}.py")]);
    Ok(there.then_some(line))
}
