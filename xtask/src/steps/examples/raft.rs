//! The example `examples/raft`: its simulation, and three nodes on real sockets and files, each of which is killed.

use std::{net::TcpListener, process::Child, thread};

use super::LIMIT;
use crate::{
    run::{Line, Outcome, Run},
    steps::SIMULATE_TWICE,
};

/// A workspace of its own.
const FOLDER: &str = "examples/raft";

const NODES: usize = 3;

pub(crate) fn run(run: &mut Run) -> Outcome {
    if !run.require(cfg!(unix), "the example raft", "this is not unix")? {
        return Ok(());
    }
    run.cargo("fmt --check").folder(FOLDER).run()?;
    run.cargo("clippy --all-targets -- -D warnings")
        .folder(FOLDER)
        .run()?;
    run.cargo("test")
        .folder(FOLDER)
        .variable(SIMULATE_TWICE, "1")
        .run()?;
    run.cargo("build --release").folder(FOLDER).run()?;
    for backend in ["io-uring", "poll"] {
        cluster(run, backend)?;
    }
    Ok(())
}

/// Kills one node after the other, appends meanwhile, and reads all values at the end.
fn cluster(run: &mut Run, backend: &str) -> Outcome {
    let addresses = free_addresses().map_err(|error| error.to_string())?;
    let folder = run.scratch("raft")?;
    let program = run.workspace().root().join(FOLDER);
    let program = run
        .program(program.join("target/release/raft"))
        .variable("COMPIO_BACKEND", backend);
    let start = |node: usize| {
        let line = program.clone().arguments(["node".into(), node.to_string()]);
        let line = line.path(&folder.join(node.to_string()));
        Node::start(line.arguments(&addresses))
    };
    let append = |value: &str| -> Outcome {
        let line = program.clone().arguments(["append", value]);
        line.arguments(&addresses).run_within(LIMIT)
    };
    let mut nodes = (0..NODES).map(start).collect::<Outcome<Vec<_>>>()?;
    for (node, value) in ["a", "b", "c"].into_iter().enumerate() {
        append(value)?;
        nodes[node].kill();
        // The other two go on without it.
        append(&format!("{value}-without-{node}"))?;
        nodes[node] = start(node)?;
    }
    nodes.clear();
    let _nodes = (0..NODES).map(start).collect::<Outcome<Vec<_>>>()?;
    let line = program.clone().words("read").arguments(&addresses);
    let printed = line.print_within(LIMIT)?;
    let due = "a\na-without-0\nb\nb-without-1\nc\nc-without-2\n";
    if printed.stdout == due {
        Ok(())
    } else {
        Err(format!("not `{due}` but `{}`", printed.stdout))
    }
}

/// Addresses whose ports are free: each node has to know those of all.
fn free_addresses() -> std::io::Result<Vec<String>> {
    let listeners = (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<std::io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses
        .map(|address| address.map(|address| address.to_string()))
        .collect()
}

/// A node, killed at its drop.
struct Node(Child);

impl Node {
    fn start(line: Line) -> Outcome<Self> {
        let mut child = line.start()?;
        if let Some(mut stdout) = child.stdout.take() {
            // To its end: a full pipe would stop the node.
            thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::stdout()));
        }
        Ok(Self(child))
    }

    fn kill(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
