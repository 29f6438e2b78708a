//! Children that `fork` makes of this process, and threads that leave their runtimes behind
//! (scenarios 25 and 49). The tests run one after the other: a child has all descriptors of the process.

#![cfg(unix)]

#[cfg(feature = "compat-tokio")]
#[path = "fork/compat_tokio.rs"]
mod compat_tokio;
#[cfg(feature = "console")]
#[path = "fork/console.rs"]
mod console;
#[cfg(target_os = "linux")]
#[path = "fork/namespaces.rs"]
mod namespaces;

use std::{
    io::{self, Read, Write},
    os::unix::{
        net::UnixStream as StdStream,
        process::{CommandExt, ExitStatusExt},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use compio::{
    driver::ThreadPool,
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    task::{block_on, spawn, spawn_blocking, yield_now},
    time::{sleep, timeout},
};

/// A limit that only a hang exceeds.
const LONG: Duration = Duration::from_secs(60);

/// Whether this is a child. The leaks that a detector would find there belong to the parent's threads.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// A leak detector calls this function at the end.
#[unsafe(no_mangle)]
extern "C" fn __lsan_is_turned_off() -> i32 {
    IS_CHILD.load(Relaxed).into()
}

fn take_turn() -> impl Sized {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `code` in a child, and ends the child with the returned code. No destructor of this thread
/// runs there.
fn fork(code: impl FnOnce() -> i32) -> ExitStatus {
    // SAFETY: the child only makes calls that the allocator and the system permit after a fork, and
    // ends by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", io::Error::last_os_error());
    if child == 0 {
        IS_CHILD.store(true, Relaxed);
        let code = catch_unwind(AssertUnwindSafe(code)).unwrap_or(101);
        // SAFETY: it does not return.
        unsafe { libc::_exit(code) };
    }
    wait(child)
}

/// Returns how the child has ended. Kills a child that does not end in time.
fn wait(child: libc::pid_t) -> ExitStatus {
    let began = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: the status outlives the call.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 if began.elapsed() > LONG => {
                // SAFETY: no pointers are passed, and the child has not been waited for.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            0 => thread::sleep(Duration::from_millis(1)),
            ended => {
                assert_eq!(ended, child);
                return ExitStatus::from_raw(status);
            }
        }
    }
}

/// A runtime of its own, with a pool of its own: the threads of another one are not in this process.
fn runtime() -> Runtime {
    Runtime::builder()
        .pool(ThreadPool::new(2))
        .build()
        .expect("a runtime")
}

/// A few operations of each kind.
async fn use_all() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let echo = spawn(async move {
        let (_, bytes) = other.read_exact([0; 4]).await;
        other.write_all(bytes).await.0.unwrap();
        other
    });
    one.write_all("ping").await.0.unwrap();
    assert_eq!(&one.read_exact([0; 4]).await.1, b"ping");
    let other = echo.await.unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(spawn_blocking(|| 42).await.unwrap(), 42);
    let in_vain = timeout(Duration::from_millis(1), one.read([0; 4])).await;
    assert!(in_vain.is_err());
    drop(other);
    assert_eq!(one.read([0; 4]).await.0.unwrap(), 0);
}

/// With a read, a timer and blocking work in flight in the parent, makes a child that runs `code` with
/// the parent's runtime. The operations in flight end normally.
fn check_parent(code: impl FnOnce(&Runtime) -> i32) -> ExitStatus {
    let _turn = take_turn();
    let runtime = runtime();
    let (ours, mut theirs) = StdStream::pair().unwrap();
    let mut ours = runtime.enter(|| UnixStream::from_std(ours).unwrap());
    let (mut read_now, ready_peer) = runtime.enter(|| UnixStream::pair().unwrap());
    let reading = runtime.spawn(async move { ours.read(Vec::with_capacity(8)).await.1 });
    let napping = runtime.spawn(sleep(Duration::from_millis(30)));
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let working = runtime.enter(|| spawn_blocking(move || blocked.recv_timeout(LONG)));
    runtime.block_on(async {
        for _ in 0..3 {
            yield_now().await;
        }
        sleep(Duration::from_millis(1)).await;
    });
    drop(runtime.spawn(async move { read_now.read([0; 8]).await.0 }));
    runtime.run();

    let status = fork(|| code(&runtime));

    theirs.write_all(b"still").unwrap();
    release.send(()).unwrap();
    runtime.block_on(async {
        let rest = async {
            assert_eq!(reading.await.unwrap(), b"still");
            napping.await.unwrap();
            working.await.unwrap().unwrap();
            use_all().await;
        };
        timeout(LONG, rest).await.expect("the parent goes on");
    });
    drop((runtime, ready_peer));
    assert_eq!(theirs.read(&mut [0; 8]).unwrap(), 0);
    status
}

#[test]
fn s25_a_child_that_ends_leaves_its_parents_operations_alone() {
    let status = check_parent(|_| 7);
    assert_eq!(status.code(), Some(7));
}

#[test]
fn s25_a_child_that_becomes_another_program_leaves_its_parents_operations_alone() {
    let status = check_parent(|_| {
        let _never = Command::new("true").exec();
        1
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn s25_a_child_makes_a_runtime_of_its_own() {
    let status = check_parent(|_| {
        runtime().block_on(use_all());
        0
    });
    assert_eq!(status.code(), Some(0));
}

/// The child ends by exit(3), which runs the destructors of the thread's locals. The thread's runtime
/// with its operations in flight is one of them.
#[test]
fn s25_a_child_that_exits_leaves_its_threads_runtime_to_the_parent() {
    let _turn = take_turn();
    let status = thread::spawn(|| {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut reading = None;
        block_on(async {
            reading = Some(spawn(
                async move { ours.read(Vec::with_capacity(8)).await.1 },
            ));
            sleep(Duration::from_millis(1)).await;
        });
        let reading = reading.expect("it was begun");
        // SAFETY: the child uses no state after the call.
        let status = fork(|| unsafe { libc::exit(3) });
        compio::task::block_on(async {
            (&theirs).write_all("still").await.0.unwrap();
            let read = timeout(LONG, reading).await.expect("the parent goes on");
            assert_eq!(read.unwrap(), b"still");
            use_all().await;
        });
        status
    })
    .join()
    .unwrap();
    assert_eq!(status.code(), Some(3), "{status}");
}

#[test]
fn s25_a_runtime_and_a_driver_that_a_child_drops_are_still_the_parents() {
    let driver = compio::driver::Driver::new().unwrap();
    let status = check_parent(|runtime| {
        // SAFETY: the originals are not used again in this process, which ends by `_exit`.
        unsafe {
            drop(std::ptr::read(runtime));
            drop(std::ptr::read(&driver));
        }
        0
    });
    assert_eq!(status.code(), Some(0), "{status}");
    driver.turn(Some(Duration::ZERO)).unwrap();
}

/// A ring's memory is not inherited: the child that uses it ends, and the parent goes on.
#[test]
fn s25_a_child_that_uses_its_parents_ring_ends_and_the_parent_goes_on() {
    let kind = runtime().backend().kind();
    if kind != compio::driver::BackendKind::IoUring {
        return;
    }
    let status = check_parent(|runtime| {
        // The driver has a turn in between.
        runtime.block_on(async {
            yield_now().await;
            yield_now().await;
        });
        0
    });
    assert!(!status.success(), "{status}");
}

/// Parent and child share no descriptor for their signals.
#[test]
fn s45_forked_child_and_parent_hear_their_own_signals() {
    let _turn = take_turn();
    let mut listener = signal(SignalKind::user_defined1()).unwrap();
    let is_silent = async |listener: &mut compio::signal::unix::Signal| {
        timeout(Duration::from_millis(5), listener.recv())
            .await
            .is_err()
    };
    let ours = runtime();
    assert!(ours.block_on(is_silent(&mut listener)));
    let status = fork(|| {
        let runtime = runtime();
        let heard = runtime.block_on(async {
            // SAFETY: no pointers are passed.
            unsafe { libc::raise(libc::SIGUSR1) };
            timeout(LONG, listener.recv()).await
        });
        if matches!(heard, Ok(Ok(()))) { 7 } else { 1 }
    });
    assert_eq!(status.code(), Some(7));
    assert!(ours.block_on(is_silent(&mut listener)));
    // SAFETY: no pointers are passed.
    unsafe { libc::raise(libc::SIGUSR1) };
    let heard = ours.block_on(async { timeout(LONG, listener.recv()).await });
    assert!(matches!(heard, Ok(Ok(()))));
}

/// How often a test forks at an arbitrary moment.
const FORKS: usize = 150;

/// Runs `code` in children that are made while other threads call `beside` in a loop. At some of the
/// forks, one of the threads holds a lock that `beside` takes.
fn fork_beside(beside: impl Fn() + Send + Sync, code: impl Fn() -> i32) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    beside();
                }
            });
        }
        let statuses: Vec<_> = (0..FORKS).map(|_| fork(&code)).collect();
        is_over.store(true, Relaxed);
        let failed = statuses.iter().find(|status| !status.success());
        assert_eq!(failed, None);
    });
}

/// Ends a child that hangs: SIGALRM kills it.
fn limit_life() {
    // SAFETY: no pointers are passed.
    unsafe { libc::alarm(20) };
}

#[test]
fn s49_blocking_work_in_child_runs_while_parent_has_idle_threads() {
    let _turn = take_turn();
    block_on(async { spawn_blocking(|| ()).await.unwrap() });
    let status = fork(|| {
        limit_life();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { spawn_blocking(|| 7).await.unwrap() })
    });
    assert_eq!(status.code(), Some(7), "{status}");
}

#[test]
fn s49_blocking_work_in_child_runs_on_pool_made_by_parent() {
    let _turn = take_turn();
    let pool = ThreadPool::new(1);
    let build = || {
        let builder = Runtime::builder().pool(pool.clone());
        builder.build().unwrap()
    };
    let runtime = build();
    let (release, blocked) = mpsc::channel::<()>();
    let work = runtime.enter(|| spawn_blocking(move || blocked.recv_timeout(LONG)));
    // The work waits in the queue, and does not run in the child.
    let queued = runtime.enter(|| spawn_blocking(|| ()));
    let status = fork(|| {
        limit_life();
        let inner = fork(|| build().block_on(async { spawn_blocking(|| 7).await.unwrap() }));
        let here = build().block_on(async { spawn_blocking(|| 1).await.unwrap() });
        inner.code().unwrap() + here
    });
    assert_eq!(status.code(), Some(8), "{status}");
    release.send(()).unwrap();
    runtime.block_on(async {
        work.await.unwrap().unwrap();
        queued.await.unwrap();
    });
}

#[test]
fn s49_thread_runtime_in_child_is_a_new_one() {
    let _turn = take_turn();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut reading = None;
    block_on(async {
        reading = Some(spawn(
            async move { ours.read(Vec::with_capacity(8)).await.1 },
        ));
        sleep(Duration::from_millis(1)).await;
    });
    let reading = reading.expect("it was begun");
    let status = fork(|| {
        limit_life();
        block_on(async {
            use_all().await;
            7
        })
    });
    assert_eq!(status.code(), Some(7), "{status}");
    block_on(async {
        (&theirs).write_all("still").await.0.unwrap();
        assert_eq!(reading.await.unwrap(), b"still");
    });
}

#[test]
fn s49_command_in_child_runs_while_parent_starts_commands() {
    let _turn = take_turn();
    let start = || {
        let status = compio::process::Command::new("true").status();
        i32::from(!block_on(status).unwrap().success())
    };
    // Each spawn tries to reap the dropped children, under the lock of their list. They live until
    // their input ends, with this test.
    let inputs: Vec<_> = (0..100)
        .map(|_| {
            let mut command = compio::process::Command::new("cat");
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            child.stdin.take()
        })
        .collect();
    fork_beside(
        || assert_eq!(start(), 0),
        || {
            limit_life();
            start()
        },
    );
    drop(inputs);
}

/// Whether this process has a child, zombies included.
fn has_child() -> bool {
    // SAFETY: the call fills in a plain C struct.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        libc::waitid(libc::P_ALL, 0, &mut info, flags) == 0
    }
}

#[test]
fn s49_killed_command_in_child_leaves_no_zombie() {
    let _turn = take_turn();
    let start = || {
        let mut command = compio::process::Command::new("sleep");
        command.arg("300").kill_on_drop(true);
        command.spawn().unwrap()
    };
    // The parent's thread that waits for them does not exist in the child.
    let ours: Vec<_> = (0..20).map(|_| start()).collect();
    drop(ours);
    let status = fork(|| {
        limit_life();
        drop(start());
        // The child starts its own thread for it. If the parent's thread counted as the child's, no
        // thread would wait for the zombie.
        while has_child() {
            thread::sleep(Duration::from_millis(1));
        }
        0
    });
    assert!(status.success(), "{status}");
}

#[test]
fn s49_runtimes_in_child_work_while_parent_makes_runtimes_and_work() {
    let _turn = take_turn();
    let use_own = || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { spawn_blocking(|| 0).await.unwrap() })
    };
    fork_beside(
        || {
            // A new thread takes a new number.
            assert_eq!(thread::spawn(use_own).join().unwrap(), 0);
        },
        || {
            limit_life();
            // No std thread: its start may wait for a lock of std that the parent held.
            use_own()
        },
    );
}

#[test]
fn s49_signal_of_child_is_heard_by_child_only() {
    let _turn = take_turn();
    let kind = SignalKind::user_defined1();
    let mut listener = block_on(async { signal(kind).unwrap() });
    let status = fork(|| {
        limit_life();
        block_on(async {
            let mut own = signal(kind).unwrap();
            // SAFETY: no pointers are passed.
            unsafe { libc::raise(kind.as_raw_value()) };
            own.recv().await.unwrap();
        });
        0
    });
    assert!(status.success(), "{status}");
    block_on(async {
        let heard = timeout(Duration::from_millis(5), listener.recv()).await;
        assert!(heard.is_err());
    });
}
