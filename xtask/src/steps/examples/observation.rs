//! The examples with a planted fault: their output must show it, as the documentation explains.

use super::{LIMIT, example, peer};
use crate::{
    run::{Outcome, Run},
    steps::{debian, server::Server},
};

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

/// By `compio-console`, as text and in tmux.
pub(crate) fn observed(run: &mut Run) -> Outcome {
    if !run.require(cfg!(unix), "the example observed", "it needs a Unix socket")? {
        return Ok(());
    }
    let Some(client) = peer(run, "console", "the example observed")? else {
        return Ok(());
    };
    let has_tmux = |run: &Run| run.program("tmux").words("-V").quiet().is_some();
    if !has_tmux(run) {
        debian::install(run, "tmux");
    }
    let has_tmux = has_tmux(run);
    run.require(
        has_tmux,
        "compio-console in a terminal",
        "tmux is not installed",
    )?;
    run.cargo("build --release -p compio-console").run()?;
    let socket = run.scratch("observed")?.join("socket");
    for backend in ["io-uring", "poll"] {
        let line = example(run, "observed").path(&socket);
        let line = line.variable("COMPIO_BACKEND", backend);
        let mut server = Server::start("observed", line)?;
        let console = run.workspace().target().join("release/compio-console");
        let client = client.clone().arguments([&server.address]);
        let client = client.path(&socket).path(&console);
        let tmux = if has_tmux { "tmux" } else { "" };
        client.words(tmux).run_within(LIMIT)?;
        server.is_alive()?;
    }
    Ok(())
}
