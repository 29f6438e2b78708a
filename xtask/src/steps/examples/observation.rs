//! The examples with a planted fault: their output must show it, as the documentation explains.

use super::{LIMIT, example, peer};
use crate::run::{Outcome, Run};

pub(crate) fn hang(run: &mut Run) -> Outcome {
    if !run.require(cfg!(unix), "the example hang", "only unix has signals")? {
        return Ok(());
    }
    let Some(peer) = peer(run, "hang", "the example hang")? else {
        return Ok(());
    };
    let program = run.workspace().target().join("release/examples/hang");
    peer.path(&program).run_within(LIMIT)
}

pub(crate) fn slow(run: &mut Run) -> Outcome {
    let printed = example(run, "slow").print_within(LIMIT)?;
    let report = "\"report\" (spawned at examples/slow.rs:";
    if printed.status.success() && printed.stderr.contains(report) {
        return Ok(());
    }
    Err(format!("{}: {}", printed.status, printed.stderr))
}
