//! One system call refused at a time, by a seccomp filter: the table of docs/seccomp.md (scenario 50).
//!
//! A child gets, before its exec, a filter that fails one call with one error. It tries all kinds of
//! work with this crate. There is one child for each backend and each of the two usual errors. The test
//! compares the outcomes with the page.
//!
//! With `COMPIO_SECCOMP_TABLE=print`, it prints the table instead.

use std::{
    env, io,
    os::unix::process::CommandExt,
    process::{Command, Output},
    time::Duration,
};

use compio::{
    driver::BackendKind,
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    pipe::Position,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use compio_testkit::{LONG, process::skip, sys::seccomp::refuse};

/// The backend of a child: the best one, if the variable is empty.
const BACKEND: &str = "TEST_BACKEND";

/// The calls, by the names that strace gives them, and their purposes.
const CALLS: &[(&str, libc::c_long, &str)] = &[
    ("io_uring_setup", libc::SYS_io_uring_setup, "a ring"),
    (
        "io_uring_enter",
        libc::SYS_io_uring_enter,
        "each turn of a ring",
    ),
    (
        "io_uring_register",
        libc::SYS_io_uring_register,
        "asking a ring for its operations",
    ),
    ("eventfd2", libc::SYS_eventfd2, "wakes, signals"),
    ("epoll_create1", libc::SYS_epoll_create1, "readiness"),
    ("epoll_ctl", libc::SYS_epoll_ctl, "readiness"),
    // Other architectures have `epoll_pwait` alone, under the same name in libc.
    #[cfg(target_arch = "x86_64")]
    ("epoll_wait", libc::SYS_epoll_wait, "readiness"),
    #[cfg(not(target_arch = "x86_64"))]
    ("epoll_wait", libc::SYS_epoll_pwait, "readiness"),
    (
        "epoll_pwait2",
        libc::SYS_epoll_pwait2,
        "sleeps in nanoseconds",
    ),
    (
        "madvise",
        libc::SYS_madvise,
        "telling a process from its forked children",
    ),
    ("sched_getaffinity", libc::SYS_sched_getaffinity, "spinning"),
    ("clone3", libc::SYS_clone3, "threads"),
    ("statx", libc::SYS_statx, "metadata"),
    ("preadv2", libc::SYS_preadv2, "reads that do not wait"),
    ("pwritev2", libc::SYS_pwritev2, "writes that do not wait"),
    ("accept4", libc::SYS_accept4, "accepts"),
    ("socket", libc::SYS_socket, "sockets"),
    ("sendmsg", libc::SYS_sendmsg, "messages"),
    ("pidfd_open", libc::SYS_pidfd_open, "the end of a child"),
    ("pipe2", libc::SYS_pipe2, "pipes"),
    ("splice", libc::SYS_splice, "splices"),
    (
        "copy_file_range",
        libc::SYS_copy_file_range,
        "copies of files",
    ),
    ("fdatasync", libc::SYS_fdatasync, "File::sync_data"),
    ("getrandom", libc::SYS_getrandom, "hash maps of std"),
];

const ERRORS: [(&str, i32); 2] = [("EPERM", libc::EPERM), ("ENOSYS", libc::ENOSYS)];

/// Prints one line for each piece of work.
fn report<T>(work: &str, result: io::Result<T>) {
    match result {
        Ok(_) => println!("DOES {work}"),
        Err(error) => println!("FAILS {work}: {}", name(&error)),
    }
}

/// The error, as far as it is the same on each machine.
fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::ENOSYS) => "ENOSYS".into(),
        Some(libc::EAGAIN) => "EAGAIN".into(),
        Some(code) => format!("error {code}"),
        None => error.to_string(),
    }
}

const TEST: &str = "s50_each_refused_call_has_the_documented_outcome";

/// Replaces the test harness, which could not start its threads.
pub(crate) fn main() {
    if let Ok(kind) = env::var(BACKEND) {
        return try_all(&kind);
    }
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|word| word == "--skip")
        && arguments.split_off(at).iter().any(|word| word == TEST)
    {
        return;
    }
    let mut words = arguments.iter().filter(|word| !word.starts_with('-'));
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{TEST}: test");
    } else if arguments.is_empty() || words.all(|word| TEST.contains(word)) {
        check_page();
        println!("test {TEST} ... ok");
    }
}

/// The work of a child.
fn try_all(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Runtime::builder();
    if kind == "poll" {
        builder = builder.backend(BackendKind::Poll);
    }
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("NONE {}", error.to_string().split(" (os").next().unwrap());
            return;
        }
    };
    println!("RUNS {}", runtime.backend());
    runtime.block_on(async {
        sleep(Duration::from_micros(100)).await;
        report("threads", threads().await);
        report("files", files(dir.path()).await);
        report("metadata", metadata(dir.path()).await);
        report("TCP", tcp().await);
        report("Unix sockets", unix().await);
        report("children", children().await);
        report("signals", signals().await);
        report("splices", splices().await);
    });
}

async fn bounded<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LONG, work).await.expect("it hangs")
}

async fn threads() -> io::Result<()> {
    // The handle of `spawn_blocking` turns the error of a failed thread start into a panic, so this
    // submits the operation directly.
    let work = compio::driver::op::Blocking::new(|| ());
    let done = bounded(compio::runtime::submit(work)).await?;
    done.expect("no panic");
    spawn_blocking(|| ()).await.map_err(io::Error::other)
}

async fn files(dir: &std::path::Path) -> io::Result<()> {
    bounded(async {
        let path = dir.join("file");
        let file = compio::fs::File::create(&path)?;
        file.write_at(vec![7; 100], 0).await.0?;
        file.sync_data().await?;
        file.close().await?;
        assert_eq!(compio::fs::read(&path).await?, [7; 100]);
        compio::fs::copy(&path, dir.join("copy")).await?;
        compio::fs::rename(&path, dir.join("other")).await?;
        compio::fs::remove_file(dir.join("other")).await
    })
    .await
}

async fn metadata(dir: &std::path::Path) -> io::Result<()> {
    let metadata = bounded(compio::fs::metadata(dir)).await?;
    assert!(metadata.is_dir());
    metadata.modified().map(drop)
}

async fn exchange<S>(mut near: S, mut far: S) -> io::Result<()>
where
    S: compio::io::AsyncRead + compio::io::AsyncWrite,
{
    near.write_all("ping").await.0?;
    let (read, bytes) = far.read_exact([0; 4]).await;
    read?;
    assert_eq!(&bytes, b"ping");
    Ok(())
}

async fn tcp() -> io::Result<()> {
    bounded(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let near = TcpStream::connect(listener.local_addr()?).await?;
        let (far, _) = listener.accept().await?;
        exchange(near, far).await
    })
    .await
}

async fn unix() -> io::Result<()> {
    let (near, far) = UnixStream::pair()?;
    bounded(exchange(near, far)).await
}

async fn children() -> io::Result<()> {
    let status = compio::process::Command::new("true").status();
    assert!(bounded(status).await?.success());
    Ok(())
}

async fn signals() -> io::Result<()> {
    let kind = SignalKind::user_defined1();
    let mut listener = signal(kind)?;
    // SAFETY: no pointers are passed.
    unsafe { libc::raise(kind.as_raw_value()) };
    bounded(listener.recv()).await
}

async fn splices() -> io::Result<()> {
    let (near, mut far) = UnixStream::pair()?;
    let (mut reader, writer) = compio::pipe::pipe()?;
    far.write_all("ping").await.0?;
    let (from, to) = (Position::Cursor, Position::Cursor);
    bounded(compio::pipe::splice(&near, from, &writer, to, 4)).await?;
    bounded(async { reader.read_exact([0; 4]).await.0 })
        .await
        .map(drop)
}

/// The output of a child in which this call is refused with this error.
fn ask(call: libc::c_long, error: i32, backend: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .env_remove("COMPIO_BACKEND")
        .env_remove("COMPIO_URING_WITHOUT")
        .env("RUST_BACKTRACE", "0")
        .env(BACKEND, backend);
    let refuse = move || {
        refuse(call, error);
        Ok(())
    };
    // SAFETY: it makes two system calls, and allocates nothing unless they fail.
    unsafe { command.pre_exec(refuse) };
    command.output().unwrap()
}

/// A cell of the table: the outcome.
fn outcome(call: libc::c_long, error: i32, backend: &str) -> String {
    let output = ask(call, error, backend);
    let said = String::from_utf8_lossy(&output.stdout);
    let mut fails = Vec::new();
    let mut runs = String::new();
    for line in said.lines() {
        if let Some(why) = line.strip_prefix("NONE ") {
            return format!("no runtime: {why}");
        } else if let Some(kind) = line.strip_prefix("RUNS ") {
            runs = kind.to_owned();
        } else if let Some(work) = line.strip_prefix("FAILS ") {
            fails.push(work.to_owned());
        }
    }
    let fell_back = backend != "poll" && runs.starts_with("poll");
    let mut cell = if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let panic = complaint.lines().find(|line| line.contains(": "));
        format!("ends: {}", panic.unwrap_or("without a word"))
    } else if fails.is_empty() {
        "works".to_owned()
    } else {
        format!("fails: {}", fails.join(", "))
    };
    if fell_back {
        cell.push_str(", by readiness");
    }
    cell
}

/// The table's rows. Errors with the same outcome share one.
fn table() -> Vec<String> {
    let mut rows = Vec::new();
    for &(name, call, purpose) in CALLS {
        let cells = ERRORS.map(|(_, error)| ["", "poll"].map(|kind| outcome(call, error, kind)));
        let mut row = |errors: &str, [ring, poll]: &[String; 2]| {
            rows.push(format!(
                "| `{name}` | {purpose} | {errors} | {ring} | {poll} |"
            ));
        };
        let [(first, _), (second, _)] = ERRORS;
        if cells[0] == cells[1] {
            row(&format!("{first}, {second}"), &cells[0]);
        } else {
            row(first, &cells[0]);
            row(second, &cells[1]);
        }
    }
    rows
}

fn check_page() {
    let kind = Runtime::builder().backend(BackendKind::IoUring).build();
    if let Err(error) = kind {
        skip(&format!("seccomp::{TEST}"), &error.to_string());
        return;
    }
    let rows = table();
    if env::var_os("COMPIO_SECCOMP_TABLE").is_some() {
        println!("\n{}", rows.join("\n"));
        return;
    }
    let page = include_str!("../../../../docs/seccomp.md");
    let wrong: Vec<_> = rows.iter().filter(|row| !page.contains(&row[..])).collect();
    assert!(wrong.is_empty(), "not in docs/seccomp.md: {wrong:#?}");
    let count = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(count, rows.len(), "rows of docs/seccomp.md");
}
