//! The server examples: started on a port that the OS chooses, visited by a client in Python, and
//! checked to be still running.

use std::{fs, path::Path};

use super::{
    super::{debian, server::Server},
    LIMIT, example, peer,
};
use crate::run::{Outcome, Run};

pub(crate) fn echo(run: &mut Run) -> Outcome {
    visit(run, "echo", None)
}

pub(crate) fn chat(run: &mut Run) -> Outcome {
    visit(run, "chat", None)
}

pub(crate) fn serve(run: &mut Run) -> Outcome {
    let folder = run.scratch("serve")?;
    let files = [
        ("empty", 0),
        ("large", 5_000_000),
        ("sub/one byte & <more>.txt", 1),
    ];
    fs::create_dir_all(folder.join("sub")).map_err(|error| error.to_string())?;
    for (name, len) in files {
        let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        fs::write(folder.join(name), bytes).map_err(|error| format!("{name}: {error}"))?;
    }
    visit(run, "serve", Some(&folder))
}

/// The same client as of the echo on one core.
pub(crate) fn echo_cores(run: &mut Run) -> Outcome {
    let Some(client) = peer(run, "echo", "the example echo_cores")? else {
        return Ok(());
    };
    let mut server = start(run, "echo_cores", None)?;
    client.arguments([&server.address]).run_within(LIMIT)?;
    server.is_alive()
}

/// The client restarts the server several times, and finally ends its last process.
pub(crate) fn restart(run: &mut Run) -> Outcome {
    if !run.require(cfg!(unix), "the example restart", "this is not unix")? {
        return Ok(());
    }
    let Some(client) = peer(run, "restart", "the example restart")? else {
        return Ok(());
    };
    let mut server = start(run, "restart", None)?;
    client.arguments([&server.address]).run_within(LIMIT)?;
    match server.child.wait() {
        Ok(status) if status.success() => Ok(()),
        ended => Err(format!("the first process: {ended:?}")),
    }
}

/// Its own client checks the answers; the programs of Redis check that they understand them.
pub(crate) fn keyvalue(run: &mut Run) -> Outcome {
    let Some(client) = peer(run, "keyvalue", "the example keyvalue")? else {
        return Ok(());
    };
    let mut server = start(run, "keyvalue", None)?;
    client.arguments([&server.address]).run_within(LIMIT)?;
    let there = |run: &Run| {
        run.program("redis-benchmark")
            .words("--version")
            .quiet()
            .is_some()
    };
    if !there(run) {
        debian::install(run, "redis-tools");
    }
    let there = there(run);
    if run.require(
        there,
        "redis-benchmark against keyvalue",
        "redis-tools is not installed",
    )? {
        let port = server
            .address
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .to_owned();
        let asked = run.program("redis-cli").arguments(["-p", &port]);
        let answer = asked
            .words("set greeting hello")
            .print_within(LIMIT)?
            .stdout;
        if answer.trim() != "OK" {
            return Err(format!("redis-cli printed {answer:?}"));
        }
        let load = run.program("redis-benchmark").arguments(["-p", &port]);
        load.words("-q -t ping,get,set,incr -n 20000 -r 1000 -c 20 -P 16")
            .run_within(LIMIT)?;
    }
    server.is_alive()
}

/// Starts the server, with a folder if one is given, runs the client of the same name against it,
/// and checks that the server survived.
fn visit(run: &mut Run, name: &'static str, folder: Option<&Path>) -> Outcome {
    let Some(client) = peer(run, name, &format!("the example {name}"))? else {
        return Ok(());
    };
    let mut server = start(run, name, folder)?;
    let folder = folder.into_iter().map(Path::display);
    let client = client.arguments([&server.address]).arguments(folder);
    client.run_within(LIMIT)?;
    server.is_alive()
}

/// Starts the example, with a folder if one is given.
fn start(run: &Run, name: &'static str, folder: Option<&Path>) -> Outcome<Server> {
    let folder = folder.into_iter().map(Path::display);
    Server::start(name, example(run, name).arguments(folder))
}
