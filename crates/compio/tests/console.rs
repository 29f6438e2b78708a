//! The socket of `compio-console`, by observers of std. A process of its own: observers see all runtimes.

#![cfg(unix)]

use std::{
    fs,
    future::pending,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use compio::{
    console::{self, Console},
    metrics,
    runtime::Runtime,
    task,
    time::sleep,
};
use serde_json::Value;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

struct Observer(BufReader<UnixStream>);

impl Observer {
    fn connect(path: &Path) -> (Self, Value) {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut observer = Self(BufReader::new(stream));
        let hello = observer.line();
        (observer, hello)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "{line:?}");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn ask(&mut self, request: &str) -> Value {
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.0.get_mut().write_all(b"\n").unwrap();
        self.line()
    }

    #[track_caller]
    fn check_end(mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest, b""),
            // Requests were unread at the close.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

fn listen() -> (TempDir, Console, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    let console = console::listen(&path).unwrap();
    assert_eq!(console.path(), path);
    (folder, console, path)
}

/// The answer about one runtime.
fn of_runtime(answer: &Value, number: u64) -> &Value {
    let runtimes = answer["runtimes"].as_array().unwrap();
    let found = runtimes.iter().find(|one| one["runtime"] == number);
    found.unwrap_or_else(|| panic!("no runtime {number}: {answer}"))
}

/// A runtime on a thread of its own, until it is dropped.
struct Running {
    number: u64,
    stop: mpsc::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn new(begin: impl FnOnce() + Send + 'static) -> Self {
        let (send, number) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                begin();
                task::yield_now().await;
                send.send(runtime.metrics().runtime_number()).unwrap();
                while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    sleep(Duration::from_millis(1)).await;
                }
            });
        });
        Self {
            number: number.recv().unwrap(),
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn observer_sees_counters_and_tasks() {
    let (_folder, _console, path) = listen();
    let running = Running::new(|| {
        let task = task::Builder::new().name("\u{1b}[31m \"stuck\"");
        task.spawn(pending::<()>()).detach();
        task::spawn(sleep(Duration::from_secs(3600))).detach();
    });
    let (mut observer, hello) = Observer::connect(&path);
    assert_eq!(
        (&hello["type"], &hello["protocol"]),
        (&"hello".into(), &1.into())
    );
    assert_eq!(hello["process"], std::process::id());
    assert!(hello["program"].as_str().unwrap().starts_with("console"));

    let answer = observer.ask("metrics");
    let metrics = of_runtime(&answer, running.number);
    assert_eq!(metrics["tasks"]["alive"], 2);
    // The runtime of the console is in no list.
    let threads = answer["runtimes"].as_array().unwrap();
    assert!(threads.iter().all(|one| one["thread"] != "compio-console"));
    // The first turn may begin after the program has sent its number.
    until(&mut observer, |answer| {
        of_runtime(answer, running.number)["turns"]
            .as_u64()
            .unwrap()
            > 0
    });

    let answer = observer.ask("tasks");
    let tasks = of_runtime(&answer, running.number);
    assert_eq!(
        (&tasks["state"], &tasks["omitted"]),
        (&"answered".into(), &0.into())
    );
    let tasks = tasks["tasks"].as_array().unwrap();
    assert_eq!(tasks[0]["name"], "\u{1b}[31m \"stuck\"");
    assert!(tasks[1]["waits"][0]["timer"]["left"].as_f64().unwrap() > 3000.0);
}

#[test]
fn histograms_are_recorded_while_an_observer_wants_them() {
    let (_folder, _console, path) = listen();
    let running = Running::new(|| {
        task::spawn(async {
            loop {
                task::spawn_blocking(|| ()).await.unwrap();
            }
        })
        .detach();
    });
    let (mut observer, _) = Observer::connect(&path);
    let has_histogram = |answer: &Value| {
        let runtime = of_runtime(answer, running.number);
        let kinds = runtime["operations"].as_array().unwrap();
        let blocking = kinds.iter().find(|kind| kind["kind"] == "blocking");
        blocking.is_some_and(|kind| !kind["latency"]["buckets"].is_null())
    };
    assert!(!has_histogram(&observer.ask("metrics")));
    assert_eq!(observer.ask("histograms on")["type"], "done");
    until(&mut observer, |answer| answer["recording"] == true);
    until(&mut observer, has_histogram);
    assert_eq!(observer.ask("histograms off")["type"], "done");
    // Of another observer, which ends by a close.
    let (mut other, _) = Observer::connect(&path);
    assert_eq!(other.ask("histograms on")["type"], "done");
    drop(other);
    until(&mut observer, |answer| answer["recording"] == false);
}

/// Asks until the answer fulfils the condition.
#[track_caller]
fn until(observer: &mut Observer, is_reached: impl Fn(&Value) -> bool) {
    let begin = Instant::now();
    while !is_reached(&observer.ask("metrics")) {
        assert!(begin.elapsed() < LIMIT);
    }
}

#[test]
fn busy_loop_is_shown_with_its_task() {
    let (_folder, _console, path) = listen();
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let stuck = thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        let number = runtime.metrics().runtime_number();
        runtime.block_on(async {
            let blocks = task::Builder::new().name("blocks").spawn(async move {
                begun.send(number).unwrap();
                let _ = released.recv();
            });
            blocks.await.unwrap();
        });
    });
    let number = has_begun.recv().unwrap();
    let (mut observer, _) = Observer::connect(&path);
    let answer = observer.ask("tasks");
    let runtime = of_runtime(&answer, number);
    assert_eq!(runtime["state"], "busy");
    assert_eq!(runtime["task"]["name"], "blocks");
    drop(release);
    stuck.join().unwrap();
}

#[test]
fn wrong_requests_end_the_connection() {
    let (_folder, _console, path) = listen();
    let (mut observer, _) = Observer::connect(&path);
    assert_eq!(observer.ask("nonsense")["message"], "unknown request");
    observer.check_end();
    // No end of the line, and bytes that are no text.
    let (mut observer, _) = Observer::connect(&path);
    observer.0.get_mut().write_all(&[0xff; 100]).unwrap();
    observer.check_end();
    let (mut observer, _) = Observer::connect(&path);
    observer.0.get_mut().write_all(b"\xff\xfe\n").unwrap();
    assert_eq!(observer.line()["type"], "error");
    // The console still works.
    let (mut observer, _) = Observer::connect(&path);
    assert_eq!(observer.ask("metrics")["type"], "metrics");
}

#[test]
fn fifth_observer_is_refused() {
    let (_folder, _console, path) = listen();
    let mut observers: Vec<_> = (0..4).map(|_| Observer::connect(&path).0).collect();
    let (fifth, line) = Observer::connect(&path);
    assert_eq!(line["message"], "too many observers");
    fifth.check_end();
    assert_eq!(observers[3].ask("metrics")["type"], "metrics");
    // A place becomes free.
    observers.remove(0);
    let begin = Instant::now();
    while Observer::connect(&path).1["type"] != "hello" {
        assert!(begin.elapsed() < LIMIT);
    }
}

#[test]
fn observer_that_does_not_read_is_disconnected() {
    let (_folder, _console, path) = listen();
    let _running = Running::new(|| {
        for _ in 0..5000 {
            task::spawn(pending::<()>()).detach();
        }
    });
    let (mut observer, _) = Observer::connect(&path);
    // The answer is larger than the socket's buffers.
    observer.0.get_mut().write_all(b"tasks\n").unwrap();
    // Others are served meanwhile.
    let (mut other, _) = Observer::connect(&path);
    let begin = Instant::now();
    loop {
        assert_eq!(other.ask("metrics")["type"], "metrics");
        // The end of the connection is visible once its data has been taken: the peer has closed.
        let stream = observer.0.get_mut();
        if stream.write_all(b"\n").is_err() {
            break;
        }
        assert!(begin.elapsed() < LIMIT);
    }
}

#[test]
fn tasks_beyond_the_limit_are_counted() {
    let (_folder, _console, path) = listen();
    let running = Running::new(|| {
        for _ in 0..12_000 {
            task::spawn(pending::<()>()).detach();
        }
    });
    let (mut observer, _) = Observer::connect(&path);
    let answer = observer.ask("tasks");
    let runtime = of_runtime(&answer, running.number);
    assert_eq!(runtime["tasks"].as_array().unwrap().len(), 10_000);
    assert_eq!(runtime["omitted"], 2000);
}

#[test]
fn answer_with_long_names_has_fewer_tasks() {
    const TASKS: u64 = 3000;
    let (_folder, _console, path) = listen();
    let running = Running::new(|| {
        let name = "x".repeat(8 * 1024);
        for _ in 0..TASKS {
            let builder = task::Builder::new().name(&name);
            builder.spawn(pending::<()>()).detach();
        }
    });
    let (mut observer, _) = Observer::connect(&path);
    let answer = observer.ask("tasks");
    assert_eq!(answer["type"], "tasks", "{}", answer["message"]);
    let runtime = of_runtime(&answer, running.number);
    let shown = runtime["tasks"].as_array().unwrap().len() as u64;
    assert!(shown >= 600, "{shown}");
    assert!(shown + runtime["omitted"].as_u64().unwrap() >= TASKS);
}

#[test]
fn socket_has_its_mode_and_is_removed_at_the_end() {
    let (_folder, console, path) = listen();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (observer, _) = Observer::connect(&path);
    drop(console);
    assert!(!path.exists());
    observer.check_end();
}

#[test]
fn stale_socket_is_replaced_and_others_are_not() {
    let (folder, console, path) = listen();
    let in_use = |path: &Path| {
        let error = console::listen(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    };
    in_use(&path);
    let (mut observer, _) = Observer::connect(&path);
    assert_eq!(observer.ask("metrics")["type"], "metrics");
    // The std listener leaves its file behind.
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    drop(console::listen(&stale).unwrap());
    assert!(!stale.exists());
    // A file, and a link to a stale socket.
    let file = folder.path().join("file");
    fs::write(&file, "content").unwrap();
    in_use(&file);
    assert_eq!(fs::read_to_string(&file).unwrap(), "content");
    drop(UnixListener::bind(&stale).unwrap());
    let link = folder.path().join("link");
    symlink(&stale, &link).unwrap();
    in_use(&link);
    assert!(stale.exists());
    // Another process has replaced the socket: it stays.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(console);
    assert!(path.exists());
    drop(other);
    let missing = folder.path().join("missing/console");
    let error = console::listen(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn socket_of_a_process_that_ends_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    // The kernel closes the listener of a killed process after its end: connections wait in its queue until then.
    let dying = UnixListener::bind(&path).unwrap();
    let end = thread::spawn(move || {
        // One connection is reset, and further ones are refused.
        dying.set_nonblocking(false).unwrap();
        drop(dying.accept().unwrap());
        drop(dying);
    });
    let console = console::listen(&path).unwrap();
    end.join().unwrap();
    assert_eq!(Observer::connect(&path).1["type"], "hello");
    drop(console);
    // A process that listens and says nothing is alive.
    let silent = UnixListener::bind(&path).unwrap();
    let error = console::listen(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
    drop(silent);
}

#[test]
fn other_users_are_not_served() {
    const OTHER: u32 = 65534;
    let (folder, _console, path) = listen();
    // Another user needs root.
    let is_root = fs::metadata(folder.path())
        .is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    if !is_root {
        eprintln!("skipped: only root can become another user");
        return;
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The second time with a mode that admits all: the user of the peer is compared.
    for (mode, expected) in [(0o600, "refused"), (0o777, "")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let code = "import socket, sys\n\
                    one = socket.socket(socket.AF_UNIX)\n\
                    try:\n    one.connect(sys.argv[1])\n    print(one.recv(1000).decode(), end='')\n\
                    except PermissionError:\n    print('refused', end='')\n";
        let output = Command::new("python3")
            .args(["-c", code])
            .arg(&path)
            .uid(OTHER)
            .gid(OTHER)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said,
            expected,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(Observer::connect(&path).1["type"], "hello");
}

#[test]
fn consoles_come_and_go_while_runtimes_run() {
    let folder = tempfile::tempdir().unwrap();
    let before = metrics::all().len();
    for round in 0..20 {
        let path = folder.path().join("console");
        let console = console::listen(&path).unwrap();
        let observer = (round % 2 == 0).then(|| Observer::connect(&path));
        drop(console);
        if let Some((observer, _)) = observer {
            observer.check_end();
        }
    }
    // Other tests of this process have runtimes, too, but none of a console stays.
    let threads = metrics::all();
    assert!(
        threads
            .iter()
            .all(|one| one.thread().name() != Some("compio-console")),
        "{before}: {threads:?}"
    );
}
