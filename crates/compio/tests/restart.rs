//! Inherited listeners, and successors that take over those of a server. The parents and the successors are this
//! program or Python. This program calls itself with a scenario of its child's side.
//!
//! In a program of their own: between fork(2) and execve(2), a child has all descriptors of this process, and
//! tests of closed sockets would see these still open.

#![cfg(unix)]

#[path = "support/run.rs"]
mod run;

use std::{
    env,
    future::pending,
    io::{self, Read, Write},
    net,
    os::unix::net::UnixStream as StdUnixStream,
    pin::pin,
    process::{self, Command, Output},
    time::Duration,
};

use compio::{
    cores::{RunningServer, Server},
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    restart::{self, Successor, inherited_listeners},
    time::timeout,
};
use compio_testkit::{LONG, process::this_test};
use futures_util::future::{Either, select};

use self::run::run;

/// Set in a child that runs the other side of a test.
const ROLE: &str = "COMPIO_RESTART_ROLE";

/// Opens the descriptors 3 and on as the arguments say, and executes the test as their heir. A client of each listener
/// is in its queue before.
const ACTIVATOR: &str = "
import os, socket, sys, tempfile
kinds, names, pid, count = sys.argv[1:5]
made = []
for kind in kinds.split(','):
    if kind in ('tcp', 'deaf'):
        s = socket.socket()
        s.bind(('127.0.0.1', 0))
        if kind == 'tcp': s.listen()
    elif kind == 'unix':
        s = socket.socket(socket.AF_UNIX)
        folder = tempfile.mkdtemp()
        s.bind(folder + '/socket')
        s.listen()
    elif kind == 'udp':
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elif kind == 'pair':
        s = socket.socketpair()[0]
    elif kind == 'file':
        s = open('/dev/null')
    elif kind == 'closed':
        s = None
    made.append(s)
# The clients stay connected in a process that ends when its input does.
r, w = os.pipe()
if os.fork() == 0:
    os.close(w)
    clients = []
    for kind, s in zip(kinds.split(','), made):
        if kind in ('tcp', 'unix'):
            c = socket.socket(s.family)
            c.connect(s.getsockname())
            c.sendall(kind.encode())
            clients.append(c)
        if kind == 'unix':
            os.unlink(folder + '/socket')
            os.rmdir(folder)
    os.close(1)
    os.read(r, 1)
    os._exit(0)
os.close(r)
os.set_inheritable(w, True)
moved = [None if s is None else os.dup(s.fileno()) for s in made]
high = [None if fd is None else os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(moved)]
w = os.dup2(w, 90)
os.closerange(3, 90)
for i, fd in enumerate(high):
    if fd is not None: os.dup2(fd, 3 + i)
pids = {'own': str(os.getpid()), 'other': '1'}
if pid: os.environ['LISTEN_PID'] = pids.get(pid, pid)
if count: os.environ['LISTEN_FDS'] = count
if names: os.environ['LISTEN_FDNAMES'] = names
os.execv(sys.argv[5], sys.argv[5:])
";

/// Runs a scenario of this test with descriptors of Python.
fn activate(test: &str, role: &str, variables: [&str; 4]) -> Output {
    activator(test, role, variables).output().unwrap()
}

fn activator(test: &str, role: &str, [kinds, names, pid, count]: [&str; 4]) -> Command {
    let test = this_test(test);
    let mut python = Command::new("python3");
    python.args(["-c", ACTIVATOR, kinds, names, pid, count]);
    python.arg(test.get_program()).args(test.get_args());
    python.env(ROLE, role);
    python
}

#[track_caller]
fn check(output: &Output) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{}\n{printed}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn role() -> Option<String> {
    env::var(ROLE).ok()
}

#[test]
fn inherited_listeners_have_their_names_and_queues() {
    if role().as_deref() == Some("none") {
        return assert!(inherited_listeners().unwrap().is_empty());
    }
    if role().is_none() {
        let test = "inherited_listeners_have_their_names_and_queues";
        let listeners = ["tcp,unix,tcp,tcp", "web:admin:web:", "own", "4"];
        return check(&activate(test, "heir", listeners));
    }
    let mut inherited = inherited_listeners().unwrap();
    let names: Vec<_> = inherited.names().collect();
    assert_eq!(names, ["web", "admin", "web", ""]);
    let error = inherited_listeners().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("taken already"), "{error}");

    // A program that this one executes has the variables, and neither the process ID nor the descriptors.
    let mut child = this_test("inherited_listeners_have_their_names_and_queues");
    check(&child.env(ROLE, "none").output().unwrap());
    let python = Command::new("python3")
        .args(["-c", "import os; os.fstat(3)"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&python.stderr).contains("Bad file descriptor"));

    let error = inherited.take_tcp("admin").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(inherited.take_tcp("other").unwrap().is_empty());
    run(async {
        let admin = inherited.take_unix("admin").unwrap();
        let web = inherited.take_tcp("web").unwrap();
        assert_eq!((admin.len(), web.len()), (1, 2));
        assert_eq!(inherited.names().collect::<Vec<_>>(), [""]);
        let (mut stream, _) = admin[0].accept().await.unwrap();
        let (read, kind) = stream.read_exact([0; 4]).await;
        read.unwrap();
        assert_eq!(&kind, b"unix");
        for listener in web {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (read, kind) = stream.read_exact([0; 3]).await;
            read.unwrap();
            assert_eq!(&kind, b"tcp");
        }
    });
}

/// Code that passes a listener to a child of its own clears the flag of its descriptor.
#[test]
fn listener_without_its_flag_is_not_taken_again() {
    let test = "listener_without_its_flag_is_not_taken_again";
    if role().is_none() {
        return check(&activate(test, "heir", ["tcp", "web", "own", "1"]));
    }
    let web = inherited_listeners().unwrap().take_tcp("web").unwrap();
    let socket = socket2::SockRef::from(&web[0]);
    socket.set_cloexec(false).unwrap();
    let error = inherited_listeners().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("taken already"), "{error}");
    socket.local_addr().unwrap();
}

#[test]
fn variables_of_another_process_activate_nothing() {
    if role().is_some() {
        return assert!(inherited_listeners().unwrap().is_empty());
    }
    let test = "variables_of_another_process_activate_nothing";
    for variables in [
        ["tcp", "web", "other", "1"],
        ["tcp", "web", "", "1"],
        ["tcp", "web", "own", ""],
        ["tcp", "", "own", "0"],
    ] {
        check(&activate(test, "heir", variables));
    }
}

#[test]
fn wrong_descriptors_and_variables_are_errors() {
    if let Some(expected) = role() {
        let error = inherited_listeners().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        return assert!(error.to_string().contains(&expected), "{error}");
    }
    let test = "wrong_descriptors_and_variables_are_errors";
    for (variables, expected) in [
        (
            ["tcp,udp", "a:b", "own", "2"],
            "\"b\" is not a stream socket",
        ),
        (
            ["deaf", "a", "own", "1"],
            "\"a\" is a socket that does not listen",
        ),
        (
            ["pair", "a", "own", "1"],
            "\"a\" is a socket that does not listen",
        ),
        (["file", "", "own", "1"], "\"unknown\" is not a socket"),
        (["tcp,closed", "", "own", "2"], "descriptor 4 is not open"),
        (["tcp", "a:b", "own", "1"], "LISTEN_FDNAMES has 2 names"),
        (["tcp", "", "own", "one"], "LISTEN_FDS is malformed"),
        (["tcp", "", "1x", "1"], "LISTEN_PID is malformed"),
    ] {
        // Apple's systems do not report whether a socket listens.
        if !(cfg!(target_vendor = "apple") && variables[0] == "deaf") {
            check(&activate(test, expected, variables));
        }
    }
}

/// A server that sends the process ID, waits for a line, and sends it back.
async fn serve<S: AsyncRead + AsyncWrite>(mut stream: S) {
    let greeting = format!("{:10}", process::id());
    if stream.write_all(greeting).await.0.is_ok() {
        let (read, byte) = stream.read_exact([0; 1]).await;
        if read.is_ok() {
            let _ = stream.write_all(byte).await;
        }
    }
}

/// A client, and the process that serves it.
fn connect(address: net::SocketAddr) -> net::TcpStream {
    let client = net::TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client
}

fn served_by(client: &mut impl Read) -> u32 {
    let mut greeting = [0; 10];
    client.read_exact(&mut greeting).unwrap();
    let greeting = String::from_utf8(greeting.to_vec()).unwrap();
    greeting.trim().parse().unwrap()
}

fn check_echo(client: &mut (impl Read + Write)) {
    client.write_all(b"x").unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

async fn server_of(workers: usize) -> RunningServer<TcpListener> {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.workers(workers).start(serve).unwrap()
}

/// The successor's side: serves with so many workers, until it is killed.
fn succeed(workers: usize) {
    run(async {
        let mut inherited = inherited_listeners().unwrap();
        let web = inherited.take_tcp("web").unwrap();
        assert!(!web.is_empty() && inherited.is_empty());
        let server = Server::from_listeners(web).workers(workers);
        let _server = server.start(serve).unwrap();
        restart::notify_ready().await.unwrap();
        // Nothing happens.
        restart::notify_ready().await.unwrap();
        let _ = timeout(LONG, pending::<()>()).await;
    });
}

/// The clients of a server that is replaced by one with another number of workers. They are in the queues of all
/// listeners of the old one, which has ended before the new one accepts.
fn replace(test: &str, old: usize, new: usize) {
    run(async {
        let server = server_of(old).await;
        let address = server.local_addr();
        let mut early = connect(address);
        let test = this_test(test);
        let successor = Successor::new(test.get_program()).args(test.get_args());
        let successor = successor.env(ROLE, new.to_string());
        let successor = successor.server("web", &server).unwrap();
        assert_eq!(served_by(&mut early), process::id());
        let mut child = timeout(LONG, successor.start()).await.unwrap().unwrap();

        // The old server ends with its last connection, and accepts no other one.
        let mut shutdown = pin!(server.shutdown());
        assert!(timeout(Duration::ZERO, &mut shutdown).await.is_err());
        check_echo(&mut early);
        shutdown.await.unwrap();
        let mut clients: Vec<_> = (0..40).map(|_| connect(address)).collect();
        for client in &mut clients {
            assert_eq!(Some(served_by(client)), child.id());
            check_echo(client);
        }
        child.kill().await.unwrap();
    });
}

#[test]
fn successor_with_fewer_workers_accepts_from_all_listeners() {
    match role() {
        Some(workers) => succeed(workers.parse().unwrap()),
        None => replace(
            "successor_with_fewer_workers_accepts_from_all_listeners",
            4,
            1,
        ),
    }
}

#[test]
fn successor_with_more_workers_accepts_from_all_listeners() {
    match role() {
        Some(workers) => succeed(workers.parse().unwrap()),
        None => replace(
            "successor_with_more_workers_accepts_from_all_listeners",
            1,
            3,
        ),
    }
}

/// Another program as the successor: it checks the protocol as `sd_listen_fds` does.
const SUCCESSOR: &str = "
import os, selectors, socket, sys
assert int(os.environ['LISTEN_PID']) == os.getpid()
names = os.environ['LISTEN_FDNAMES'].split(':')
assert len(names) == int(os.environ['LISTEN_FDS'])
assert set(names) == {'web', 'admin', 'other'}, names
assert os.environ['COLOUR'] == 'blue' and sys.argv[1:] == ['a b', '']
selector = selectors.DefaultSelector()
for fd in range(3, 3 + len(names)):
    assert os.get_inheritable(fd)
    listener = socket.socket(fileno=fd)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    selector.register(listener, selectors.EVENT_READ)
# Nothing else is inherited.
open_fds = set(map(int, os.listdir('/proc/self/fd'))) if os.path.exists('/proc/self/fd') else set()
ready = int(os.environ['COMPIO_READY_FD'])
extra = {fd for fd in open_fds if fd > ready and os.path.exists('/proc/self/fd/%d' % fd)
    and os.readlink('/proc/self/fd/%d' % fd).startswith('socket:')}
assert not extra, extra
os.write(ready, b'\\n')
os.close(ready)
while True:
    for key, _ in selector.select():
        stream, _ = key.fileobj.accept()
        stream.sendall(b'%10d' % os.getpid())
        stream.sendall(stream.recv(1))
        stream.close()
";

fn python_successor(script: &str) -> Successor {
    Successor::new("python3").args(["-c", script, "a b", ""])
}

#[test]
fn foreign_successor_serves_tcp_and_unix_sockets() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin");
        let web = server_of(2).await;
        let admin = Server::bind_unix(&path).unwrap();
        let admin = admin.workers(1).start(serve).unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other_address = other.local_addr().unwrap();
        // In a queue from which this process never accepts.
        let mut queued = connect(other_address);
        let successor = python_successor(SUCCESSOR)
            .env("COLOUR", "red")
            .env("COLOUR", "blue")
            .server("web", &web)
            .and_then(|successor| successor.server("admin", &admin))
            .and_then(|successor| successor.listener("other", &other))
            .unwrap();
        let mut child = timeout(LONG, successor.start()).await.unwrap().unwrap();
        drop(other);
        web.shutdown().await.unwrap();
        admin.shutdown().await.unwrap();
        assert_eq!(Some(served_by(&mut queued)), child.id());
        check_echo(&mut queued);
        for _ in 0..20 {
            let mut client = connect(web.local_addr());
            assert_eq!(Some(served_by(&mut client)), child.id());
            check_echo(&mut client);
            let mut client = StdUnixStream::connect(&path).unwrap();
            client.set_read_timeout(Some(LONG)).unwrap();
            assert_eq!(Some(served_by(&mut client)), child.id());
            check_echo(&mut client);
        }
        child.kill().await.unwrap();
    });
}

/// The successor accepts only when the old server has ended. Without the hand-over, that one would serve its queue.
#[test]
fn queued_connections_are_left_to_the_successor() {
    run(async {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let server = server.workers(1).connections_max(1).start(serve).unwrap();
        let mut early = connect(server.local_addr());
        assert_eq!(served_by(&mut early), process::id());
        let mut queued: Vec<_> = (0..10).map(|_| connect(server.local_addr())).collect();

        let (mut go, theirs) = StdUnixStream::pair().unwrap();
        let script = "
import os, socket
os.write(int(os.environ['COMPIO_READY_FD']), b'\\n')
socket.socket(fileno=4).recv(1)
listener = socket.socket(fileno=3)
# The readiness backend has made it non-blocking.
listener.setblocking(True)
while True:
    stream, _ = listener.accept()
    stream.sendall(b'%10d' % os.getpid())
    stream.sendall(stream.recv(1))
";
        let successor = python_successor(script)
            .server("web", &server)
            .and_then(|successor| successor.listener("go", &theirs));
        let started = timeout(LONG, successor.unwrap().start()).await;
        let mut child = started.unwrap().unwrap();
        let mut shutdown = pin!(server.shutdown());
        assert!(timeout(Duration::ZERO, &mut shutdown).await.is_err());
        check_echo(&mut early);
        timeout(LONG, shutdown).await.unwrap().unwrap();
        go.write_all(b"x").unwrap();
        for client in &mut queued {
            assert_eq!(Some(served_by(client)), child.id());
            check_echo(client);
        }
        child.kill().await.unwrap();
    });
}

#[test]
fn failed_successor_leaves_the_server_as_it_is() {
    run(async {
        let server = server_of(2).await;
        let start = async |successor: Successor| {
            let successor = successor.server("web", &server).unwrap();
            timeout(LONG, successor.start()).await.unwrap().unwrap_err()
        };
        let error = start(python_successor("raise SystemExit(7)")).await;
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("exit status: 7"), "{error}");
        let error = start(Successor::new("/no/such/program")).await;
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = start(Successor::new("no-such-program-of-compio")).await;
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = start(Successor::new("/dev/null")).await;
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let error = start(Successor::new("a\0b")).await;
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);

        // It still serves, also the connections that are queued when it shuts down.
        let mut clients: Vec<_> = (0..20).map(|_| connect(server.local_addr())).collect();
        let mut shutdown = pin!(server.shutdown());
        assert!(timeout(Duration::ZERO, &mut shutdown).await.is_err());
        for client in &mut clients {
            assert_eq!(served_by(client), process::id());
            check_echo(client);
        }
        shutdown.await.unwrap();
        let error = python_successor("").server("web", &server).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn dropped_start_kills_the_successor() {
    run(async {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        let script = "import sys, time, socket
s = socket.socket(fileno=3)
s.sendall(b'x')
time.sleep(1000)";
        let successor = python_successor(script).listener("pair", &theirs).unwrap();
        drop(theirs);
        let mut start = Box::pin(successor.start());
        let mut ours = UnixStream::from_std(ours).unwrap();
        match select(&mut start, pin!(ours.read_exact([0; 1]))).await {
            Either::Left((ended, _)) => panic!("{ended:?}"),
            Either::Right(((read, _), _)) => read.unwrap(),
        };
        drop(start);
        // The successor has ended: the last owner of the other end.
        let (read, _) = ours.read_exact([0; 1]).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn names_that_the_protocol_cannot_express_are_refused() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pass = |name: &str| python_successor("").listener(name, &listener);
        let long = "n".repeat(256);
        for name in ["", "a:b", "a\nb", "ü", &long] {
            let error = pass(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        for name in ["a b", "web.socket", &long[1..]] {
            pass(name).unwrap();
        }
    });
}

#[test]
fn server_without_listeners_does_not_start() {
    let server = Server::<TcpListener>::from_listeners([]);
    let error = server.start(serve).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn ready_without_a_predecessor_does_nothing() {
    run(async { restart::notify_ready().await.unwrap() });
}

#[test]
fn ready_after_the_end_of_the_predecessor_is_no_error() {
    if role().is_some() {
        assert_eq!(inherited_listeners().unwrap().names().count(), 1);
        return run(async { restart::notify_ready().await.unwrap() });
    }
    let test = "ready_after_the_end_of_the_predecessor_is_no_error";
    // Python has closed the other end of the pair.
    let mut python = activator(test, "heir", ["tcp,pair", "web", "own", "1"]);
    check(&python.env("COMPIO_READY_FD", "4").output().unwrap());
}

#[test]
fn wrong_descriptor_of_the_predecessor_is_an_error() {
    if role().is_some() {
        return run(async {
            let error = restart::notify_ready().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        });
    }
    let test = "wrong_descriptor_of_the_predecessor_is_an_error";
    for number in ["x", "-1", "2", "5", "2147483647", "99999999999"] {
        let mut python = activator(test, "heir", ["tcp,file", "web", "own", "1"]);
        check(&python.env("COMPIO_READY_FD", number).output().unwrap());
    }
}
