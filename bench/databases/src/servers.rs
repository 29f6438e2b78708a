//! Servers on loopback, each on the servers' CPU and with a folder of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use tempfile::TempDir;

use crate::{Outcome, SERVER_CPU, pin, row::Database};

/// The time limit of a start.
const LIMIT: Duration = Duration::from_secs(60);

/// A server. Its drop ends it, together with its processes.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    /// Ends it at once.
    signal: Signal,
    /// Removed after the end of the server.
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has exited by itself, there is nothing to end.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), self.signal);
            let _ = self.child.wait();
        }
    }
}

impl Server {
    pub(crate) fn start(database: Database) -> Outcome<Self> {
        match database {
            Database::Postgres => postgres(),
            Database::Redis => redis(),
        }
    }

    /// Waits until it serves.
    fn await_start(mut self, is_up: impl Fn(SocketAddr) -> bool) -> Outcome<Self> {
        let start = Instant::now();
        while !is_up(self.address) {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} has ended: {status}", self.version).into());
            }
            if start.elapsed() > LIMIT {
                return Err(format!("{} does not start", self.version).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }
}

fn redis() -> Outcome<Server> {
    let version = output(Command::new("redis-server").arg("--version"))
        .map_err(|error| format!("redis-server (Debian: redis-server): {error}"))?;
    let version = version
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="))
        .ok_or("redis-server has no version")?;
    let (folder, address) = (TempDir::new()?, free_address()?);
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--logfile", "/dev/null"])
        .arg("--dir")
        .arg(folder.path());
    let server = Server {
        child: on_server_cpu(&mut command).spawn()?,
        address,
        version: format!("Redis {version}"),
        signal: Signal::SIGKILL,
        _folder: folder,
    };
    server.await_start(|address| TcpStream::connect(address).is_ok())
}

fn postgres() -> Outcome<Server> {
    let programs = postgres_programs().ok_or("Postgres (Debian: postgresql) is not installed")?;
    let version = output(Command::new(programs.join("postgres")).arg("--version"))?;
    let version = version.split_whitespace().nth(2).unwrap_or_default();
    let (folder, address) = (TempDir::new()?, free_address()?);
    // It refuses to run as root.
    let user = match geteuid().is_root() {
        true => Some(User::from_name("postgres")?.ok_or("there is no user postgres")?),
        false => None,
    };
    if let Some(user) = &user {
        chown(folder.path(), Some(user.uid.as_raw()), None)?;
    }
    let program = |name| {
        let mut command = Command::new(programs.join(name));
        if let Some(user) = &user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir("/").arg("-D").arg(folder.path());
        command
    };
    let words = "-U postgres -A trust -E UTF8 --locale C --no-sync";
    output(program("initdb").args(words.split(' ')))?;
    let port = address.port().to_string();
    let mut command = program("postgres");
    let words = "-F -c log_min_messages=panic -c listen_addresses=127.0.0.1";
    command
        .args(words.split(' '))
        .args(["-c", "unix_socket_directories=", "-p", &port]);
    let server = Server {
        child: on_server_cpu(&mut command).spawn()?,
        address,
        version: format!("Postgres {version}"),
        signal: Signal::SIGQUIT,
        _folder: folder,
    };
    server.await_start(|_| {
        let mut ready = Command::new(programs.join("pg_isready"));
        output(ready.args(["-h", "127.0.0.1", "-p", &port])).is_ok()
    })
}

/// The folder of Postgres' programs, the newest version.
fn postgres_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders
        .filter(|folder| folder.join("postgres").exists())
        .max()
}

fn on_server_cpu(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: the closure makes one system call, without an allocation.
    unsafe { command.pre_exec(|| Ok(pin(SERVER_CPU)?)) }
}

/// The standard output of a program that succeeds.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, complaint.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A port that is free now.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
