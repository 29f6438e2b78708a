//! Panics in a task, in a destructor, in blocking work, during the shutdown: no abort, no hang, and
//! always a report (scenario 19).

use std::{
    panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::Context,
    thread,
    time::{Duration, Instant},
};

use compio::{
    driver::ThreadPool,
    io::AsyncRead,
    runtime::Runtime,
    task::{block_on, spawn, spawn_blocking, yield_now},
    time::sleep,
};
use compio_testkit::check::panics;

use super::reentrancy::hold;
use crate::support::{Canary, Deaths, Flag, LONG, begin, on_drop, run, streams, waker};

/// Panics when it is dropped.
fn bomb() -> impl Sized {
    on_drop(|| panic_any("on purpose"))
}

#[test]
fn s19_a_panic_is_reported_by_the_handle_and_the_others_go_on() {
    run(async {
        let other = spawn(async { sleep(Duration::from_millis(1)).await });
        let task = spawn(async {
            sleep(Duration::ZERO).await;
            panic!("on purpose");
        });
        let error = task.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"on purpose"));
        other.await.unwrap();
    });
}

#[test]
fn s19_a_panic_of_a_tasks_destructor_is_reported_by_the_handle() {
    run(async {
        let guard = on_drop(|| panic!("on purpose"));
        let task = spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_panic());
        sleep(Duration::from_millis(1)).await;
    });
}

#[test]
fn s19_a_panic_in_blocking_work_is_reported_by_the_handle() {
    run(async {
        let work = spawn_blocking(|| panic!("on purpose"));
        let error = work.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"on purpose"));
        assert_eq!(spawn_blocking(|| 42).await.unwrap(), 42);
    });
}

#[test]
fn s19_after_a_panic_of_its_future_a_runtime_works_as_before() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(async {
        sleep(Duration::from_millis(1)).await;
        42
    });
    assert!(panics(|| runtime.block_on(async { panic!("on purpose") })));
    assert_eq!(runtime.block_on(task).unwrap(), 42);
}

#[test]
fn s19_a_timer_whose_waker_panics_keeps_no_other_from_firing() {
    let runtime = Runtime::new().unwrap();
    let woken = Flag::default();
    let mark = woken.clone();
    let (bad, good) = (waker(|| panic!("on purpose")), waker(move || mark.raise()));
    let (mut first, mut second) = (sleep(LONG), sleep(LONG));
    runtime.enter(|| {
        assert!(
            pin!(&mut first)
                .poll(&mut Context::from_waker(&bad))
                .is_pending()
        );
        assert!(
            pin!(&mut second)
                .poll(&mut Context::from_waker(&good))
                .is_pending()
        );
        let deadline = Instant::now() + Duration::from_millis(1);
        first.reset(deadline);
        second.reset(deadline);
    });
    let mut panicked = false;
    while runtime.current_timeout().is_some() {
        let poll = std::panic::AssertUnwindSafe(|| runtime.poll(runtime.current_timeout()));
        match std::panic::catch_unwind(poll) {
            Ok(polled) => polled.unwrap(),
            Err(_) => panicked = true,
        }
    }
    assert!(woken.is_raised());
    assert!(panicked, "the panic goes on when all is done");
}

/// Tasks of which every other one panics when it is dropped.
fn spawn_bombs(runtime: &Runtime, deaths: &Deaths) -> Vec<compio::task::JoinHandle<()>> {
    let tasks = (0..6).map(|number| {
        let guard = deaths.guard();
        let bomb = (number % 2 == 0).then(bomb);
        runtime.spawn(hold((bomb, guard)))
    });
    let tasks = tasks.collect();
    runtime.run();
    tasks
}

/// Checks that the tasks that panicked report it, and the others were cancelled.
#[track_caller]
fn check_bombs(tasks: Vec<compio::task::JoinHandle<()>>, deaths: &Deaths) {
    assert_eq!(deaths.count(), 6);
    for (number, task) in tasks.into_iter().enumerate() {
        let error = run(task).unwrap_err();
        assert_eq!(error.is_panic(), number % 2 == 0, "{error}");
    }
}

#[test]
fn s19_destructors_that_panic_while_their_runtime_is_dropped_are_reported() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let tasks = spawn_bombs(&runtime, &deaths);
    drop(runtime);
    check_bombs(tasks, &deaths);
}

/// A second panic during the unwinding would abort the process.
#[test]
fn s19_destructors_that_panic_while_their_runtime_is_unwound_are_reported() {
    let deaths = Deaths::default();
    let mut tasks = Vec::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let runtime = Runtime::new().unwrap();
        tasks = spawn_bombs(&runtime, &deaths);
        panic_any("the first");
    }));
    let panic = panic.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the first"));
    check_bombs(tasks, &deaths);
}

/// A destructor of a thread's locals that panics would abort the process.
#[test]
fn s19_destructors_that_panic_while_their_thread_ends_abort_nothing() {
    let (task_ended, buffer_ended) = (Flag::default(), Flag::default());
    let (task_mark, buffer_mark) = (task_ended.clone(), buffer_ended.clone());
    thread::spawn(move || {
        block_on(async {
            let bomb = on_drop(move || {
                task_mark.raise();
                panic_any("on purpose");
            });
            drop(spawn(hold(bomb)));
            let (mut ours, theirs) = streams();
            let buffer = Explosive(
                Vec::with_capacity(8),
                on_drop(move || {
                    buffer_mark.raise();
                    panic_any("on purpose");
                }),
            );
            drop(spawn(async move { drop(ours.read(buffer).await) }));
            drop(spawn(hold(theirs)));
            yield_now().await;
        });
    })
    .join()
    .unwrap();
    assert!(task_ended.is_raised() && buffer_ended.is_raised());
}

/// A buffer whose destructor panics.
struct Explosive<T>(Vec<u8>, T);

// SAFETY: the vector's contract is this type's.
unsafe impl<T: 'static> compio::buf::IoBuf for Explosive<T> {
    fn as_init(&self) -> &[u8] {
        self.0.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.0.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl<T: 'static> compio::buf::IoBufMut for Explosive<T> {
    unsafe fn as_uninit(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.0.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.0.set_init(len) };
    }
}

/// The runtime's drop reaps the completions of all buffers, and does not panic itself.
#[test]
fn s19_buffers_that_panic_while_their_runtime_is_dropped_keep_no_other_from_its_end() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let mut peers = Vec::new();
    for number in 0..6 {
        let (mut ours, theirs) = runtime.enter(streams);
        peers.push(theirs);
        let (guard, canary) = (deaths.guard(), Canary::new(&deaths));
        drop(runtime.spawn(async move {
            if number % 2 == 0 {
                let buffer = Explosive(Vec::with_capacity(8), (guard, bomb()));
                drop(ours.read(buffer).await);
            } else {
                drop(ours.read(canary).await);
            }
        }));
    }
    runtime.block_on(yield_now());
    drop(runtime);
    assert_eq!(deaths.count(), 12);
}

#[test]
fn s19_outputs_and_panics_whose_destructors_panic_leave_the_runtime_working() {
    /// A panic's payload. It has no size, since the payload of its destructor's panic is leaked.
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            resume_unwind(Box::new(()));
        }
    }
    run(async {
        drop(spawn(async { bomb() }));
        drop(spawn(async { resume_unwind(Box::new(Payload)) }));
        let (output, panic) = (
            spawn(async { bomb() }),
            spawn(async { resume_unwind(Box::new(Payload)) }),
        );
        yield_now().await;
        yield_now().await;
        drop::<(_, compio::task::JoinHandle<()>)>((output, panic));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
    });
}

#[test]
fn s19_blocking_work_that_panics_while_its_runtime_is_dropped_is_waited_for() {
    let runtime = Runtime::builder().pool(ThreadPool::new(1)).build().unwrap();
    let (begun, begins) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    let unwound = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&unwound);
    let work = runtime.enter(|| {
        spawn_blocking(move || {
            let _mark = on_drop(move || mark.store(true, SeqCst));
            begun.send(()).unwrap();
            blocked.recv_timeout(LONG).unwrap();
            panic!("on purpose");
        })
    });
    begins.recv_timeout(LONG).unwrap();
    let releaser = thread::spawn(move || release.send(()).unwrap());
    drop(runtime);
    assert!(unwound.load(SeqCst));
    // The task was dropped before: the handle reports this, and the panic hook the panic.
    assert!(run(work).unwrap_err().is_cancelled());
    releaser.join().unwrap();
}

#[test]
fn s19_blocking_work_that_panics_after_its_handle_was_dropped_leaves_the_runtime_working() {
    let runtime = Runtime::builder().pool(ThreadPool::new(1)).build().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            drop(spawn_blocking(|| panic!("on purpose")));
        }
        assert_eq!(spawn_blocking(|| 42).await.unwrap(), 42);
    });
}

/// The runtime runs in a destructor during the unwinding of another panic.
#[test]
fn s19_a_runtime_runs_while_a_panic_unwinds() {
    let slept = Flag::default();
    let mark = slept.clone();
    assert!(panics(|| {
        let _sleeper = on_drop(move || {
            let task = block_on(async {
                sleep(Duration::from_millis(1)).await;
                spawn(async { panic_any("a task") }).await
            });
            assert!(task.unwrap_err().is_panic());
            mark.raise();
        });
        panic!("on purpose");
    }));
    assert!(slept.is_raised());
}

#[test]
fn s19_a_panic_inside_of_another_runtime_leaves_the_outer_one_current() {
    let (outer, inner) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    outer.block_on(async {
        assert!(panics(|| inner.enter(|| panic!("on purpose"))));
        assert!(panics(|| inner.block_on(async { panic!("on purpose") })));
        assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
        let mut nap = sleep(Duration::from_millis(1));
        begin(&mut nap).await;
        nap.await;
    });
}
