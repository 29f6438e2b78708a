//! Tokio's libraries inside of compio, and compio inside of Tokio.
//!
//! On unix, Tokio has its I/O driver as well. `tests/fork.rs` has the tests of forked children.

mod drops;
#[cfg(all(feature = "inside-tokio", unix))]
mod inside;
#[cfg(unix)]
mod net;
mod support;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Barrier,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use compio::{
    compat::tokio::{Compat, handle, spawn as spawn_on_tokio, try_handle},
    task,
};
use compio_testkit::process::this_test;
use tokio::{runtime::Handle, sync::mpsc};

use compio::compat::tokio::run as on_tokio;
use support::run;

/// The intentional leaks, by name of the test. A leak detector calls this function.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:compat_in_task_at_end_of_thread_is_leaked".as_ptr()
}

#[test]
fn run_returns_output_of_future_on_other_thread() {
    run(async {
        let here = thread::current().id();
        let there = on_tokio(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::spawn(async { thread::current().id() }).await
        });
        assert_ne!(there.await.unwrap(), here);
    });
}

#[test]
fn spawned_future_outlives_its_handle() {
    run(async {
        let (sender, mut receiver) = mpsc::channel(1);
        drop(spawn_on_tokio(async move {
            tokio::task::yield_now().await;
            sender.send(7).await
        }));
        assert_eq!(receiver.recv().await, Some(7));
        assert_eq!(receiver.recv().await, None);
    });
}

#[test]
fn aborted_future_reports_its_abort() {
    run(async {
        for by_handle in [false, true] {
            let task = spawn_on_tokio(std::future::pending::<()>());
            assert!(!task.is_finished());
            if by_handle {
                task.abort_handle().abort();
            } else {
                task.abort();
            }
            assert!(task.await.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn panic_of_future_continues_in_caller() {
    run(async {
        let failing = spawn_on_tokio(async { panic!("as intended") });
        let error: compio::compat::tokio::JoinError = failing.await.unwrap_err();
        assert!(error.is_panic());
    });
    let panicked = catch_unwind(|| run(on_tokio(async { panic!("as intended") })));
    let payload = panicked.unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"as intended"));
    // The reactor goes on.
    assert_eq!(run(on_tokio(async { 7 })), 7);
}

#[test]
fn future_polled_after_its_end_panics() {
    run(async {
        let mut once = on_tokio(async {});
        (&mut once).await;
        let mut cx = Context::from_waker(Waker::noop());
        let again = || Pin::new(&mut once).poll(&mut cx).is_ready();
        assert!(catch_unwind(AssertUnwindSafe(again)).is_err());
    });
}

#[test]
fn compat_polls_in_both_contexts() {
    run(async {
        assert!(Handle::try_current().is_err());
        let local = Rc::new(42);
        let there = Rc::clone(&local);
        let answer = Compat::new(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            compio::time::sleep(Duration::from_millis(1)).await;
            let spawned = task::spawn(async { Handle::try_current().is_ok() });
            // Another task of the same thread is in no context.
            assert!(!spawned.await.unwrap());
            let counted = tokio::spawn(async { 1 }).await.unwrap();
            *there + counted
        });
        assert_eq!(answer.await, 43);
        assert!(Handle::try_current().is_err());
        assert_eq!(Rc::strong_count(&local), 1);
    });
}

#[test]
fn compat_gives_its_value() {
    let mut value = Compat::new(vec![1]);
    value.push(2);
    assert_eq!(value.len(), 2);
    assert_eq!(format!("{value:?}"), "Compat([1, 2])");
    assert_eq!(value.into_inner(), [1, 2]);
}

/// Tokio's own blocking call on the thread of a compio runtime: the reactor is on another one.
#[test]
fn tokio_handle_blocks_on_a_thread_of_compio() {
    run(async {
        let slept = handle().block_on(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            7
        });
        assert_eq!(slept, 7);
    });
    assert!(try_handle().is_ok());
}

/// A runtime of tokio that waits for this thread cannot run anything: the reactor is not that runtime.
#[test]
fn compio_blocks_inside_of_tokio() {
    let outer = tokio::runtime::Builder::new_current_thread();
    let outer = { outer }.build().unwrap();
    let there = outer.block_on(async {
        let id = Handle::current().id();
        let inner = run(async {
            let by_run = on_tokio(async { Handle::current().id() }).await;
            let by_compat = Compat::new(async { Handle::current().id() }).await;
            assert_eq!(by_run, by_compat);
            by_run
        });
        assert_ne!(inner, id);
        assert_eq!(Handle::current().id(), id);
        inner
    });
    assert_eq!(there, handle().id());
    // Awaited by tokio itself.
    let awaited = outer.block_on(async { on_tokio(async { Handle::current().id() }).await });
    assert_eq!(awaited, there);
}

#[test]
fn calls_inside_of_reactor_use_reactor() {
    run(async {
        let nested = on_tokio(async {
            let here = Handle::current().id();
            let run = on_tokio(async { Handle::current().id() }).await;
            let spawned = spawn_on_tokio(async { Handle::current().id() }).await;
            let compat = Compat::new(async { Handle::current().id() }).await;
            [run, spawned.unwrap(), compat].map(|id| id == here)
        });
        assert_eq!(nested.await, [true; 3]);
    });
}

/// A wake that is lost stops this until its limit.
#[test]
fn ping_pong_between_task_and_reactor_loses_no_wake() {
    const COUNT: usize = 100_000;
    run(async {
        let (ping, mut pings) = mpsc::channel(1);
        let (pong, mut pongs) = mpsc::channel(1);
        let echo = spawn_on_tokio(async move {
            while let Some(number) = pings.recv().await {
                pong.send(number).await.unwrap();
            }
        });
        for number in 0..COUNT {
            ping.send(number).await.unwrap();
            assert_eq!(pongs.recv().await, Some(number));
        }
        drop(ping);
        echo.await.unwrap();
    });
}

#[test]
fn two_runtimes_talk_by_reactor() {
    let (there, mut inbox) = mpsc::channel(1);
    let (back, mut answers) = mpsc::channel(1);
    let other = thread::spawn(move || {
        run(async move {
            while let Some(number) = inbox.recv().await {
                let doubled = on_tokio(async move { 2 * number }).await;
                back.send(doubled).await.unwrap();
            }
        });
    });
    run(async move {
        for number in 0..1000 {
            let there = there.clone();
            on_tokio(async move { there.send(number).await.unwrap() }).await;
            assert_eq!(answers.recv().await, Some(2 * number));
        }
    });
    other.join().unwrap();
}

/// Threads that use it first at the same time get the same reactor, and no thread is left over.
#[test]
fn first_users_at_once_share_one_reactor() {
    const NAME: &str = "first_users_at_once_share_one_reactor";
    const VARIABLE: &str = "COMPIO_FIRST_USERS";
    if std::env::var_os(VARIABLE).is_none() {
        for _ in 0..20 {
            let output = this_test(NAME).env(VARIABLE, "1").output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        return;
    }
    // If threads ask for the number of the process for the first time at once, it may look like a forked one, whose
    // threads have no names.
    run(async {});
    const THREADS: usize = 8;
    let barrier = Barrier::new(THREADS);
    let mut ids: Vec<_> = thread::scope(|scope| {
        let use_it = || {
            barrier.wait();
            run(on_tokio(async {
                (thread::current().id(), Handle::current().id())
            }))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(use_it)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    ids.dedup();
    assert_eq!(ids.len(), 1);
    #[cfg(target_os = "linux")]
    await_one_reactor();
}

/// Waits until only one thread of this process is a reactor.
#[cfg(target_os = "linux")]
fn await_one_reactor() {
    let reactors = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
        // A thread may end while its name is read.
        let names = tasks.filter_map(|task| name(task.ok()?).ok());
        names.filter(|name| name.trim() == "compio-tokio").count()
    };
    // A list that is read while threads end may lack others.
    let began = std::time::Instant::now();
    while reactors() != 1 {
        assert!(
            began.elapsed() < compio_testkit::LONG,
            "{} reactors",
            reactors()
        );
        thread::yield_now();
    }
}
