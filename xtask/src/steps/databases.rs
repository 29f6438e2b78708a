//! Postgres and Redis from Debian on loopback, and `examples/ecosystem/databases`, whose clients visit them and see
//! them killed.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command},
    thread,
    time::{Duration, Instant},
};

use super::{debian, server::Server};
use crate::run::{Line, Outcome, Run, wait_within};

const FOLDER: &str = "examples/ecosystem";

const PACKAGE: &str = "compio-examples-databases";

/// The time limit of a client, and of the start of a server.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn run(run: &mut Run) -> Outcome {
    let cargo = |words| run.cargo(words).folder(FOLDER).words(PACKAGE);
    cargo("fmt --check -p").run()?;
    cargo("clippy -p").words("-- -D warnings").run()?;
    cargo("build -p").run()?;
    if programs().is_none() || !is_installed(run, "redis-server") {
        debian::install(run, "postgresql redis-server");
    }
    let Some(postgres) = programs().filter(|_| is_installed(run, "redis-server")) else {
        run.skip(
            "clients of databases",
            "Debian's packages postgresql and redis-server are not installed",
        );
        return Ok(());
    };
    for backend in ["io-uring", "poll"] {
        let postgres = Postgres::start(run, &postgres)?;
        let redis = redis(run)?;
        let [one, other] = [&postgres.server, &redis].map(|server| server.address.to_string());
        program(run, PACKAGE, backend)
            .arguments(["all", &one, &other])
            .run_within(LIMIT)?;
        let mut notes = notes(run, backend, &postgres)?;
        let Postgres { server, _data } = postgres;
        killed(run, backend, "postgres", server)?;
        visit(run, &mut notes, "--without-database")?;
        killed(run, backend, "redis", redis)?;
    }
    Ok(())
}

/// The service `notes`, after a visit.
fn notes(run: &Run, backend: &str, postgres: &Postgres) -> Outcome<Server> {
    let url = format!("postgres://postgres@{}/postgres", postgres.server.address);
    let line = program(run, "notes", backend).arguments([url]);
    let mut notes = Server::start("notes", line)?;
    visit(run, &mut notes, "--with-database")?;
    Ok(notes)
}

fn visit(run: &Run, notes: &mut Server, state: &str) -> Outcome {
    let client = run.program("python3").words("xtask/peers/notes.py");
    let client = client.arguments([&notes.address]).words(state);
    client.run_within(LIMIT)?;
    notes.is_alive()
}

fn program(run: &Run, name: &str, backend: &str) -> Line {
    let program = run.workspace().root().join(FOLDER);
    let program = match env::var_os("CARGO_TARGET_DIR") {
        Some(target) => program.join(target),
        None => program.join("target"),
    };
    let line = run.program(program.join("debug").join(name));
    line.variable("COMPIO_BACKEND", backend)
}

/// Kills the server once the clients wait for it. They must end with errors, and report them.
fn killed(run: &Run, backend: &str, name: &str, server: Database) -> Outcome {
    let address = server.address.to_string();
    let line = program(run, PACKAGE, backend).arguments(["killed", name, &address]);
    let mut client = line.start()?;
    let mut server = Some(server);
    // The client ends by itself after a time limit of its own.
    for line in client
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufRead::lines)
    {
        let line = line.map_err(|error| format!("the client's output: {error}"))?;
        println!("{name}: {line}");
        if line == "waiting" {
            drop(server.take());
        }
    }
    let status = wait_within(&mut client, LIMIT).map_err(|error| error.to_string())?;
    match status.success() && server.is_none() {
        true => Ok(()),
        false => Err(format!("the client of the killed {name}: {status}")),
    }
}

/// The folder of Postgres' programs, the newest version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders
        .filter(|folder| folder.join("postgres").exists())
        .max()
}

fn is_installed(run: &Run, program: &str) -> bool {
    run.program("which").arguments([program]).quiet().is_some()
}

/// A server, until this is dropped.
struct Database {
    child: Child,
    address: SocketAddr,
    /// Ends it at once, together with its processes.
    signal: &'static str,
}

impl Drop for Database {
    fn drop(&mut self) {
        // If it has exited by itself, there is nothing to end.
        let _ = Command::new("kill")
            .args([self.signal, &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

impl Database {
    fn start(line: Line, address: SocketAddr, signal: &'static str) -> Outcome<Self> {
        Ok(Self {
            child: line.start()?,
            address,
            signal,
        })
    }

    /// Waits until it serves.
    fn await_start(&mut self, mut is_up: impl FnMut(SocketAddr) -> bool) -> Outcome {
        let start = Instant::now();
        while !is_up(self.address) {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if let Some(status) = ended {
                return Err(format!("the server has ended: {status}"));
            }
            if start.elapsed() > LIMIT {
                return Err("the server does not start".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// A port that is free now.
fn free_address() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map_err(|error| format!("a free port: {error}"))
}

fn redis(run: &Run) -> Outcome<Database> {
    let address = free_address()?;
    let line = run
        .program("redis-server")
        .words("--bind 127.0.0.1 --appendonly no --logfile /dev/null --save")
        .arguments(["", "--port", &address.port().to_string()]);
    let mut server = Database::start(line, address, "-KILL")?;
    server.await_start(|address| TcpStream::connect(address).is_ok())?;
    Ok(server)
}

struct Postgres {
    server: Database,
    /// Dropped after the server.
    _data: Data,
}

impl Postgres {
    /// Starts a server over a new folder. It refuses to run as root.
    fn start(run: &Run, programs: &Path) -> Outcome<Self> {
        let is_root = run.program("id").words("-u").quiet().as_deref() == Some("0");
        let data = Data(env::temp_dir().join(format!("compio-postgres-{}", process::id())));
        let folder = data.0.display().to_string();
        let user: &[&str] = if is_root { &["-o", "postgres"] } else { &[] };
        let create = run.program("install").words("-d -m 700").arguments(user);
        create.arguments([&folder]).run()?;
        let postgres = |program: &str| {
            let program = programs.join(program);
            if !is_root {
                return run.program(program);
            }
            let line = run.program("setpriv");
            line.words("--reuid postgres --regid postgres --clear-groups")
                .path(&program)
        };
        let made = postgres("initdb")
            .words("-U postgres -A trust -E UTF8 --locale C --no-sync -D")
            .arguments([&folder])
            .print_within(LIMIT)?;
        if !made.status.success() {
            return Err(format!("initdb: {}", made.stderr));
        }
        let address = free_address()?;
        let port = address.port().to_string();
        let line = postgres("postgres")
            .words("-F -c log_min_messages=panic -c listen_addresses=127.0.0.1")
            .arguments(["-c", "unix_socket_directories=", "-D", &folder, "-p", &port]);
        let mut server = Database::start(line, address, "-QUIT")?;
        let ready = |_| {
            let line = run.program(programs.join("pg_isready"));
            let line = line.arguments(["-h", "127.0.0.1", "-p", &port]);
            line.quiet().is_some()
        };
        server.await_start(ready)?;
        Ok(Self {
            server,
            _data: data,
        })
    }
}

/// The folder of a server's data, until this is dropped.
struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        // A folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
