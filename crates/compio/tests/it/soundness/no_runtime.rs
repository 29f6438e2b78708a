//! Futures and tasks whose runtime does not run (scenario 42). They panic with advice instead of waiting
//! in silence.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use compio::{
    fs,
    io::AsyncRead,
    net::{TcpListener, TcpStream},
    op::Nop,
    runtime::{Runtime, submit},
    task::{block_on, spawn, spawn_blocking},
    time::{interval, sleep, timeout},
};

use crate::support::{Flag, LONG, begin, bounded, on_drop, run, streams};

fn text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().expect("a text").to_string(),
    }
}

/// Checks that the code panics with a message that names the remedy.
#[track_caller]
fn check_advice<T>(code: impl FnOnce() -> T) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(code)) else {
        panic!("no panic");
    };
    let text = text(panic);
    assert!(text.contains("runtime"), "{text}");
    assert!(text.contains("block_on"), "{text}");
}

/// One poll by a foreign executor.
fn poll_elsewhere<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// On a thread where no runtime runs, or ever has.
fn on_bare_thread<T: Send + 'static>(code: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(code).join().unwrap()
}

#[test]
fn s42_spawn_without_runtime_panics_with_advice() {
    on_bare_thread(|| check_advice(|| spawn(async {})));
    on_bare_thread(|| check_advice(|| spawn_blocking(|| {})));
    on_bare_thread(|| {
        block_on(async {});
        check_advice(|| spawn(async {}));
    });
}

#[test]
fn s42_spawn_in_spawn_blocking_is_reported_by_handle() {
    let error = run(async {
        let work = spawn_blocking(|| drop(spawn(async {})));
        work.await.unwrap_err()
    });
    assert!(error.is_panic());
    check_advice(|| std::panic::resume_unwind(error.into_panic()));
}

#[test]
fn s42_spawn_in_entered_runtime_is_run_later() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.enter(|| spawn(async { 42 }));
    assert_eq!(runtime.block_on(task).unwrap(), 42);
}

#[test]
fn s42_timers_polled_elsewhere_panic_with_advice() {
    on_bare_thread(|| check_advice(|| poll_elsewhere(sleep(LONG))));
    on_bare_thread(|| check_advice(|| poll_elsewhere(timeout(LONG, std::future::pending::<()>()))));
    on_bare_thread(|| {
        check_advice(|| {
            let mut interval = interval(LONG);
            let _ = poll_elsewhere(interval.tick());
            let _ = poll_elsewhere(interval.tick());
        })
    });
    // An elapsed sleep needs no timer.
    on_bare_thread(|| assert!(poll_elsewhere(sleep(Duration::ZERO)).is_ready()));
}

#[test]
fn s42_operations_polled_elsewhere_panic_with_advice() {
    on_bare_thread(|| check_advice(|| poll_elsewhere(fs::read("Cargo.toml"))));
    on_bare_thread(|| check_advice(|| poll_elsewhere(fs::metadata("Cargo.toml"))));
    on_bare_thread(|| check_advice(|| poll_elsewhere(TcpStream::connect("127.0.0.1:9"))));
    on_bare_thread(|| check_advice(|| poll_elsewhere(submit(Nop::new()))));
    on_bare_thread(|| {
        let (mut ours, _theirs) = streams();
        check_advice(|| poll_elsewhere(ours.read(Vec::with_capacity(8))));
    });
    on_bare_thread(|| {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        check_advice(|| poll_elsewhere(listener.accept()));
    });
}

#[test]
fn s42_operation_made_before_block_on_runs_in_it() {
    on_bare_thread(|| {
        let operation = submit(Nop::new());
        assert_eq!(block_on(operation).unwrap(), 0);
    });
}

#[test]
fn s42_operation_begun_under_one_runtime_panics_under_other() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let begun = || {
        let (mut ours, theirs) = streams();
        let mut read = Box::pin(async move { ours.read(Vec::with_capacity(8)).await });
        one.block_on(begin(&mut read));
        (read, theirs)
    };
    let (mut read, _theirs) = begun();
    check_advice(|| other.block_on(async { begin(&mut read).await }));
    // Also if the first runtime waits for the other.
    let (mut read, _theirs) = begun();
    check_advice(|| one.block_on(async { other.block_on(async { begin(&mut read).await }) }));
    // Its own runtime accepts it, in another task than before.
    let (mut read, _theirs) = begun();
    one.block_on(async { spawn(async move { begin(&mut read).await }).await.unwrap() });
}

#[test]
fn s42_operation_polled_elsewhere_after_its_runtime_has_stopped_panics() {
    let runtime = Runtime::new().unwrap();
    let (mut ours, _theirs) = streams();
    let mut read = Box::pin(async move { ours.read(Vec::with_capacity(8)).await });
    let mut nap = sleep(LONG);
    runtime.block_on(async {
        begin(&mut read).await;
        begin(&mut nap).await;
    });
    check_advice(|| poll_elsewhere(read.as_mut()).is_pending());
    check_advice(|| poll_elsewhere(Pin::new(&mut nap)).is_pending());
}

#[test]
fn s42_handle_of_one_runtime_panics_under_other() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let mut task = one.spawn(async { 42 });
    check_advice(|| other.block_on(&mut task));
    check_advice(|| one.block_on(async { other.block_on(&mut task) }));
    assert_eq!(one.block_on(task).unwrap(), 42);
}

/// The outer loop drives both, and so each may wait for the other.
#[test]
fn s42_runtimes_of_one_outer_loop_wait_for_each_other() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (mut ours, theirs) = streams();
    let mut read = Box::pin(async move { ours.read(Vec::with_capacity(8)).await.1 });
    one.run();
    one.enter(|| assert!(poll_elsewhere(read.as_mut()).is_pending()));
    let deadline = one.spawn(sleep(Duration::from_millis(1)));
    let task = other.spawn(async move {
        deadline.await.unwrap();
        read.await
    });
    std::io::Write::write_all(&mut theirs.into_std().unwrap(), b"hello").unwrap();
    let begin = Instant::now();
    while !task.is_finished() {
        assert!(begin.elapsed() < LONG);
        for runtime in [&one, &other] {
            runtime.run();
            runtime.poll(Some(Duration::ZERO)).unwrap();
        }
    }
    assert_eq!(other.block_on(task).unwrap(), b"hello");
}

thread_local! {
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn s42_block_on_in_destructor_of_thread_local_runs() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // The thread's own runtime dies first.
        KEPT.with_borrow(Vec::len);
        block_on(sleep(Duration::from_millis(1)));
        let slept = Flag::default();
        KEPT.with_borrow_mut(|kept| {
            kept.push(Box::new(on_drop(move || {
                let answer = block_on(bounded(async {
                    sleep(Duration::from_millis(1)).await;
                    let task = spawn(async { fs::read("Cargo.toml").await });
                    task.await.unwrap().is_ok()
                }));
                slept.raise();
                sender.send((slept.is_raised(), answer)).unwrap();
            })));
        });
    })
    .join()
    .unwrap();
    assert_eq!(receiver.recv().unwrap(), (true, true));
}
