//! compio-ws against other implementations of WebSocket, in both directions, and the Autobahn test suite.
//!
//! The suite is for Python 2.7, which Debian no longer has: without it, its part is skipped, also on CI.

use std::{
    fs, io, net,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{LIMIT, Server, has, python};
use crate::run::{Line, Outcome, Run};

/// The time limit of all cases of the suite.
const SUITE_LIMIT: Duration = Duration::from_secs(600);

/// How long the suite may take to start listening.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Compression is not supported: the suite's groups 12 and 13 would be "unimplemented".
const EXCLUDED: &str = r#"["12.*", "13.*"]"#;

pub(super) fn run(run: &mut Run) -> Outcome {
    run.cargo("build --release -p compio-ws --examples").run()?;
    let python = python::with_packages(run, "websockets>=15 wsproto>=1.2");
    let reason = "Python or its packages cannot be installed";
    run.require(python.is_some(), "WebSocket peers in Python", reason)?;
    let Some(python) = python else {
        return Ok(());
    };
    let node = node(run)?;
    for backend in ["io-uring", "poll"] {
        peers(run, backend, &python, node.as_deref())?;
        chat(run, backend, &python)?;
    }
    let Some(suite) = Suite::install(run)? else {
        run.skip("the Autobahn test suite", "there is no Python 2.7");
        return Ok(());
    };
    for backend in ["io-uring", "poll"] {
        suite.visit_server(run, backend)?;
        suite.serve_client(run, backend)?;
    }
    Ok(())
}

/// The folder of Node's packages.
fn node(run: &mut Run) -> Outcome<Option<PathBuf>> {
    let folder = run.scratch("websocket-node")?;
    let npm = has(run, "npm", Some("npm"));
    let installed = npm && {
        let npm = run.program("npm").words("install --silent --prefix");
        npm.path(&folder).words("ws@8").run().is_ok()
    };
    let reason = "npm or its package cannot be installed";
    let there = run.require(installed, "the WebSocket peer in Node", reason)?;
    Ok(there.then(|| folder.join("node_modules")))
}

fn example(run: &Run, name: &str, backend: &str) -> Line {
    let built = run.workspace().target().join("release/examples").join(name);
    run.program(built).variable("COMPIO_BACKEND", backend)
}

/// Clients of other libraries against the example `ws_echo`, and the example `ws_client` against their servers.
fn peers(run: &mut Run, backend: &str, python: &Path, node: Option<&Path>) -> Outcome {
    let mut implementations = Vec::new();
    for library in ["websockets", "wsproto"] {
        let line = |role: &str| {
            let line = run.program(python).words("xtask/peers/websocket.py");
            line.words(role).words(library)
        };
        implementations.push((line("client"), line("server")));
    }
    if let Some(packages) = node {
        let packages = packages.display().to_string();
        let line = |role: &str| {
            let line = run.program("node").variable("NODE_PATH", &packages);
            line.words("xtask/peers/websocket.cjs").words(role)
        };
        implementations.push((line("client"), line("server")));
    }
    let mut echo = Server::start("ws_echo", example(run, "ws_echo", backend))?;
    for (client, server) in implementations {
        client.arguments([&echo.address]).run_within(LIMIT)?;
        let server = Server::start("peer", server)?;
        let client = example(run, "ws_client", backend);
        client.arguments([&server.address]).run_within(LIMIT)?;
    }
    echo.is_alive()
}

/// The example `chat` and its page.
fn chat(run: &mut Run, backend: &str, python: &Path) -> Outcome {
    let mut server = Server::start("chat", super::example(run, "chat", backend))?;
    let mut visit = run.program(python).words("xtask/peers/chat_page.py");
    visit = visit.arguments([&server.address]);
    let chromium = has(run, "chromium", Some("chromium"));
    if run.require(chromium, "the page of chat", "Chromium is not installed")? {
        visit = visit.words("--chromium");
    }
    visit.run_within(LIMIT)?;
    server.is_alive()
}

/// The Autobahn test suite.
struct Suite {
    python: PathBuf,
    /// Its packages.
    site: PathBuf,
    folder: PathBuf,
}

impl Suite {
    fn install(run: &Run) -> Outcome<Option<Self>> {
        let Some(python) = python_2(run) else {
            return Ok(None);
        };
        let folder = run.scratch("autobahn")?;
        let site = folder.join("site");
        let pip = run.program(&python).words("-m pip install --quiet");
        pip.words("--target")
            .path(&site)
            .words("autobahntestsuite==25.10.1")
            .run_within(SUITE_LIMIT)?;
        // Its file that declares the namespace is read in the folder of the system's packages only.
        let write = fs::write(site.join("zope/__init__.py"), "");
        write.map_err(|error| format!("zope: {error}"))?;
        Ok(Some(Self {
            python,
            site,
            folder,
        }))
    }

    fn line(&self, run: &Run, mode: &str, specification: &str) -> Outcome<Line> {
        let path = self.folder.join(format!("{mode}.json"));
        fs::write(&path, specification).map_err(|error| format!("{mode}: {error}"))?;
        let line = run.program(&self.python).words("-c");
        let line = line.arguments(["from autobahntestsuite import wstest; wstest.run()"]);
        let line = line.variable("PYTHONPATH", &self.site.display().to_string());
        Ok(line.words("-u 0 -m").words(mode).words("-s").path(&path))
    }

    /// The suite as a client of the example `ws_echo`.
    fn visit_server(&self, run: &Run, backend: &str) -> Outcome {
        let report = self.folder.join(format!("server-{backend}"));
        let mut server = Server::start("ws_echo", example(run, "ws_echo", backend))?;
        let specification = format!(
            r#"{{"outdir": {:?}, "servers": [{{"agent": "compio-ws", "url": "ws://{}"}}],
                "cases": ["*"], "exclude-cases": {EXCLUDED}, "exclude-agent-cases": {{}}}}"#,
            report, server.address
        );
        let suite = self.line(run, "fuzzingclient", &specification)?;
        suite.print_within(SUITE_LIMIT)?;
        server.is_alive()?;
        judge(run, &report)
    }

    /// The suite as a server of the example `ws_autobahn`.
    fn serve_client(&self, run: &Run, backend: &str) -> Outcome {
        let report = self.folder.join(format!("client-{backend}"));
        let address = free_address()?;
        let specification = format!(
            r#"{{"url": "ws://{address}", "outdir": {report:?}, "cases": ["*"],
                "exclude-cases": {EXCLUDED}, "exclude-agent-cases": {{}}}}"#
        );
        let mut suite = self.line(run, "fuzzingserver", &specification)?.start()?;
        let printed = suite.stdout.take();
        // Read to EOF: a full pipe would stop it.
        thread::spawn(move || printed.map(|mut printed| io::copy(&mut printed, &mut io::sink())));
        let visited = await_listener(&address).and_then(|()| {
            let client = example(run, "ws_autobahn", backend);
            client.arguments([&address]).run_within(SUITE_LIMIT)
        });
        // It serves until it is killed.
        let _ = suite.kill();
        let _ = suite.wait();
        visited?;
        judge(run, &report)
    }
}

/// Compares the results with the known ones, and prints the table.
fn judge(run: &Run, report: &Path) -> Outcome {
    let line = run.program("python3").words("xtask/peers/autobahn.py");
    line.path(&report.join("index.json")).run()
}

/// A Python 2.7 of the system or of pyenv.
fn python_2(run: &Run) -> Option<PathBuf> {
    let works = |python: &Path| {
        let version = run.program(python).words("-m pip --version").quiet();
        version.is_some_and(|version| version.contains("python 2.7"))
    };
    let system = PathBuf::from("python2.7");
    if works(&system) {
        return Some(system);
    }
    let root = run.program("pyenv").words("root").quiet()?;
    let versions = fs::read_dir(Path::new(root.trim()).join("versions")).ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin/python2.7")))
        .find(|python| works(python))
}

fn free_address() -> Outcome<String> {
    let listener = net::TcpListener::bind("127.0.0.1:0");
    let address = listener.and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| format!("no free port: {error}"))?;
    Ok(address.to_string())
}

/// The suite does not print that it listens.
fn await_listener(address: &str) -> Outcome {
    let begin = Instant::now();
    while net::TcpStream::connect(address).is_err() {
        if begin.elapsed() > START_LIMIT {
            return Err("the Autobahn server does not listen".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
