//! Children with the pid of their parent: each is the first process of a pid namespace.
//!
//! `unshare(CLONE_NEWPID)` (Linux 3.8) leaves its caller in its namespace, and gives its next child pid 1
//! in a new namespace. A caller with pid 1 so has a child with the same pid.

use std::{env, io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    net::UnixStream,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    task::{block_on, spawn, spawn_blocking},
    time::{sleep, timeout},
};
use compio_testkit::process::{skip, this_test};

use crate::{LONG, fork, limit_life, wait};

/// The scenario below that the first process of the namespace runs.
const SCENARIO: &str = "TEST_SCENARIO";

/// Makes each child of this process the first one of a new namespace. Afterwards this process can
/// start no threads.
fn unshare() -> io::Result<()> {
    // SAFETY: no pointers are passed.
    match unsafe { libc::unshare(libc::CLONE_NEWPID) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether this process is the first one of its namespace.
fn is_first() -> bool {
    std::process::id() == 1
}

/// Runs the scenario in a process with pid 1, or reports why that is impossible.
fn run_as_first(scenario: &str) {
    let mut command = this_test("namespaces::a_child");
    command
        .env(SCENARIO, scenario)
        .env("ASAN_OPTIONS", "detect_leaks=0");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some((_, why)) = said.split_once("SKIPS ") {
        skip(
            "children with their parent's number",
            why.lines().next().unwrap(),
        );
        return;
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    assert!(said.contains("PASSES"), "{said}{complaint}");
}

#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn a_child() {
    let Ok(scenario) = env::var(SCENARIO) else {
        return;
    };
    if let Err(error) = unshare() {
        println!("SKIPS no pid namespace can be made: {error}");
        return;
    }
    let status = fork(|| {
        assert!(is_first());
        limit_life();
        match &scenario[..] {
            "exit" => exit_in_child(),
            "clone" => exit_in_cloned_child(),
            "signal" => raise_in_child(),
            _ => work_in_child(),
        }
        0
    });
    assert!(status.success(), "{status}");
    println!("PASSES");
}

/// With a read in flight in the thread's own runtime, makes a child with this process's pid, and uses
/// the runtime afterwards.
fn check_child(make: impl FnOnce() -> ExitStatus) -> ExitStatus {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut reading = None;
    block_on(async {
        reading = Some(spawn(
            async move { ours.read(Vec::with_capacity(8)).await.1 },
        ));
        spawn_blocking(|| ()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    });
    let reading = reading.expect("it was begun");
    unshare().unwrap();
    let status = make();
    block_on(async {
        (&theirs).write_all("still").await.0.unwrap();
        let read = timeout(LONG, reading).await.expect("the parent goes on");
        assert_eq!(read.unwrap(), b"still");
    });
    status
}

fn exit_in_child() {
    let status = check_child(|| {
        fork(|| {
            assert!(is_first());
            limit_life();
            // SAFETY: the child uses no state after the call.
            unsafe { libc::exit(7) }
        })
    });
    assert_eq!(status.code(), Some(7), "{status}");
}

/// clone(2) as in container runtimes: no handlers of `pthread_atfork` run.
fn exit_in_cloned_child() {
    let status = check_child(|| {
        // SAFETY: without a stack and flags that share memory, this is a `fork`; the child only makes
        // system calls.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        assert!(child >= 0, "{}", io::Error::last_os_error());
        if child == 0 {
            // SAFETY: as above.
            unsafe {
                if !is_first() {
                    libc::_exit(101);
                }
                libc::exit(7);
            }
        }
        wait(child as libc::pid_t)
    });
    assert_eq!(status.code(), Some(7), "{status}");
}

fn raise_in_child() {
    let kind = SignalKind::user_defined1();
    let mut listener = signal(kind).unwrap();
    let status = check_child(|| {
        fork(|| {
            assert!(is_first());
            limit_life();
            // SAFETY: no pointers are passed.
            unsafe { libc::raise(kind.as_raw_value()) }
        })
    });
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    block_on(async {
        let heard = timeout(Duration::from_millis(5), listener.recv()).await;
        assert!(heard.is_err(), "the child's signal is heard");
        // SAFETY: no pointers are passed.
        unsafe { libc::raise(kind.as_raw_value()) };
        timeout(LONG, listener.recv()).await.unwrap().unwrap();
    });
}

fn work_in_child() {
    let status = check_child(|| {
        fork(|| {
            assert!(is_first());
            limit_life();
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async { spawn_blocking(|| 7).await.unwrap() })
        })
    });
    assert_eq!(status.code(), Some(7), "{status}");
}

#[test]
fn s49_exit_of_child_with_parents_number_gives_its_code() {
    run_as_first("exit");
}

#[test]
fn s49_exit_of_cloned_child_with_parents_number_gives_its_code() {
    run_as_first("clone");
}

#[test]
fn s49_signal_of_child_with_parents_number_is_unheard_by_parent() {
    run_as_first("signal");
}

#[test]
fn s49_blocking_work_in_child_with_parents_number_runs() {
    run_as_first("work");
}
