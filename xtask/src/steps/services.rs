//! The web services of `examples/services` and `examples/grpc`, against foreign peers: Python, curl, wrk, h2load,
//! h2, hpack, h11, tlslite-ng, sslyze, grpcio, Prometheus and WebSocket peers. And `examples/tokio_console`, by the
//! protocol of tokio-console.

mod websocket;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{debian, python, server::Server};
use crate::run::{Line, Outcome, Run};

const FOLDER: &str = "examples/services";
const GRPC: &str = "examples/grpc";
const CONSOLE: &str = "examples/tokio_console";

/// The time limit of a client.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn run(run: &mut Run) -> Outcome {
    run.cargo("fmt --check").folder(FOLDER).run()?;
    run.cargo("clippy --examples -- -D warnings")
        .folder(FOLDER)
        .run()?;
    run.cargo("build --release --examples")
        .folder(FOLDER)
        .run()?;
    let packages = "sslyze==6.3.1 tlslite-ng==0.8.2 h2==4.4.1 hpack==4.2.0 h11==0.16.0";
    let python = python::with_packages(run, packages);
    let openssl = has(run, "openssl", Some("openssl"));
    let why_not = "no openssl, or the packages of Python cannot be installed";
    run.require(
        python.is_some() && openssl,
        "the examples https and proxy, and strict clients of todo",
        why_not,
    )?;
    let python = python.filter(|_| openssl);
    metrics(run)?;
    for backend in ["io-uring", "poll"] {
        todo(run, backend, python.as_deref())?;
        files(run, backend)?;
        if let Some(python) = &python {
            https(run, backend, python)?;
            proxy(run, backend)?;
        }
    }
    grpc(run)?;
    console(run)?;
    websocket::run(run)
}

/// An example of the release build.
fn example(run: &Run, name: &str, backend: &str) -> Line {
    let program = program_of(run, name);
    run.program(program).variable("COMPIO_BACKEND", backend)
}

/// The program of an example.
fn program_of(run: &Run, name: &str) -> PathBuf {
    let folder = run.workspace().root().join(FOLDER);
    folder.join("target/release/examples").join(name)
}

fn files(run: &mut Run, backend: &str) -> Outcome {
    let python = has(run, "python3", None);
    if !run.require(python, "the example files", "python3 is not installed")? {
        return Ok(());
    }
    let folder = run.scratch("files")?.join("root");
    let fill = run.program("python3").words("xtask/peers/files.py --fill");
    fill.path(&folder).run()?;
    let line = example(run, "files", backend).path(&folder);
    let mut server = Server::start("files", line)?;
    let mut client = run
        .program("python3")
        .arguments(["xtask/peers/files.py", &server.address])
        .path(&folder)
        .path(&program_of(run, "download"))
        .variable("COMPIO_BACKEND", backend);
    let curl = has(run, "curl", Some("curl"));
    if run.require(curl, "curl against files", "curl is not installed")? {
        client = client.words("--curl");
    }
    client.run_within(LIMIT)?;
    server.is_alive()
}

/// The example `examples/grpc`, against both sides of grpcio.
fn grpc(run: &mut Run) -> Outcome {
    run.cargo("fmt --check").folder(GRPC).run()?;
    run.cargo("clippy -- -D warnings").folder(GRPC).run()?;
    run.cargo("build").folder(GRPC).run()?;
    let python = python::with_packages(run, "grpcio");
    let what = "gRPC against grpcio";
    if !run.require(python.is_some(), what, "grpcio cannot be installed")? {
        return Ok(());
    }
    let programs = run.workspace().root().join(GRPC).join("target/debug");
    for backend in ["io-uring", "poll"] {
        let on_backend = |line: Line| line.variable("COMPIO_BACKEND", backend);
        let mut server = Server::start("grpc", on_backend(run.program(programs.join("server"))))?;
        let peer = run.program(python.iter().collect::<PathBuf>());
        let peer = peer.arguments(["xtask/peers/grpc_greeter.py", &server.address]);
        on_backend(peer.path(&programs.join("client"))).run_within(LIMIT)?;
        server.is_alive()?;
    }
    Ok(())
}

/// The example `examples/tokio_console`, which connects to itself as tokio-console does.
fn console(run: &mut Run) -> Outcome {
    run.cargo("fmt --check").folder(CONSOLE).run()?;
    run.cargo("clippy -- -D warnings").folder(CONSOLE).run()?;
    run.cargo("build").folder(CONSOLE).run()?;
    let folder = run.workspace().root().join(CONSOLE);
    let program = folder.join("target/debug/compio-examples-console");
    for backend in ["io-uring", "poll"] {
        let check = run.program(&program).words("--check");
        check
            .variable("COMPIO_BACKEND", backend)
            .run_within(LIMIT)?;
    }
    Ok(())
}

fn https(run: &Run, backend: &str, python: &Path) -> Outcome {
    let folder = run.scratch("https")?;
    for name in ["", "next-"] {
        run.program("openssl")
            .words("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2")
            .words("-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1")
            .words("-keyout")
            .path(&folder.join(format!("{name}key.pem")))
            .words("-out")
            .path(&folder.join(format!("{name}chain.pem")))
            .run()?;
    }
    let line = example(run, "https", backend)
        .path(&folder.join("chain.pem"))
        .path(&folder.join("key.pem"));
    let mut server = Server::start("https", line)?;
    run.program(python)
        .arguments(["xtask/peers/https.py", &server.address])
        .path(&folder)
        .arguments([server.child.id()])
        .run_within(LIMIT)?;
    server.is_alive()
}

/// On both backends.
fn metrics(run: &mut Run) -> Outcome {
    let python = python::with_packages(run, "prometheus_client==0.26.0");
    let why_not = "prometheus_client cannot be installed";
    run.require(python.is_some(), "the example metrics", why_not)?;
    let Some(python) = python else { return Ok(()) };
    let prometheus = debian::unpack(run, "prometheus").map(|root| root.join("usr/bin"));
    let why_not = "Debian's package cannot be unpacked";
    run.require(prometheus.is_some(), "Prometheus against metrics", why_not)?;
    for backend in ["io-uring", "poll"] {
        let mut server = Server::start("metrics", example(run, "metrics", backend))?;
        let client = run.program(&python);
        let mut client = client.arguments(["xtask/peers/metrics.py", &server.address]);
        if let Some(programs) = &prometheus {
            client = client.words("--prometheus").path(programs);
        }
        client.run_within(LIMIT)?;
        server.is_alive()?;
    }
    Ok(())
}

/// Both sides of the example proxy.
fn proxy(run: &mut Run, backend: &str) -> Outcome {
    let folder = run.scratch("proxy")?;
    let peers = run.program("python3").words("xtask/peers/proxy.py");
    let mut peers = peers
        .path(&program_of(run, "proxy"))
        .path(&folder)
        .variable("COMPIO_BACKEND", backend);
    for (program, package) in [("curl", "curl"), ("h2load", "nghttp2-client")] {
        let is_there = has(run, program, Some(package));
        let what = format!("{program} against proxy");
        if run.require(is_there, &what, "it is not installed")? {
            peers = peers.arguments([format!("--{program}")]);
        }
    }
    peers.run_within(LIMIT)
}

/// `packages` is a Python with h2, hpack and h11.
fn todo(run: &mut Run, backend: &str, packages: Option<&Path>) -> Outcome {
    let python = has(run, "python3", None);
    if !run.require(python, "the example todo", "python3 is not installed")? {
        return Ok(());
    }
    let mut server = Server::start("todo", example(run, "todo", backend))?;
    let mut client = run
        .program("python3")
        .arguments(["xtask/peers/todo.py", &server.address]);
    let curl = has(run, "curl", Some("curl"));
    if run.require(curl, "curl against todo", "curl is not installed")? {
        client = client.words("--curl");
    }
    client.run_within(LIMIT)?;
    if let Some(python) = packages {
        run.program(python)
            .arguments(["xtask/peers/http_strict.py", &server.address])
            .run_within(LIMIT)?;
    }
    let url = format!("http://{}/todos", server.address);
    let wrk = has(run, "wrk", Some("wrk"));
    if run.require(wrk, "wrk against todo", "wrk is not installed")? {
        let load = run.program("wrk").words("-t1 -c32 -d2s");
        load.arguments([&url]).run_within(LIMIT)?;
    }
    let h2load = has(run, "h2load", Some("nghttp2-client"));
    if run.require(h2load, "h2load against todo", "h2load is not installed")? {
        let load = run.program("h2load").words("-n 20000 -c 16 -m 16");
        let printed = load.arguments([&url]).print_within(LIMIT)?;
        if !printed.stdout.contains("20000 succeeded, 0 failed") {
            return Err(format!("h2load: {}", printed.stdout));
        }
    }
    server.is_alive()
}

/// Whether a program is installed, or can be from this package.
fn has(run: &mut Run, program: &str, package: Option<&str>) -> bool {
    let there = |run: &Run| run.program("which").arguments([program]).quiet().is_some();
    if let Some(package) = package
        && !there(run)
    {
        debian::install(run, package);
    }
    there(run)
}
