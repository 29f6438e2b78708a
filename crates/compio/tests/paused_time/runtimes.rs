//! Several runtimes, workers, and outer event loops.

use std::{
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use compio::{
    cores::Dispatcher,
    dump::{self, RuntimeDump, Wait},
    runtime::{Runtime, RuntimeBuilder},
    task::{JoinHandle, spawn, spawn_blocking},
    time::{advance, now, pause, resume, sleep},
};

use crate::support::{HOUR, Limit, MILLI, builders, paused_runtime};

#[test]
fn pause_of_one_runtime_leaves_others_of_the_thread_running() {
    let _limit = Limit::new();
    let (paused, running) = (paused_runtime(), Runtime::new().unwrap());
    let task = running.spawn(sleep(HOUR));
    let begin = paused.enter(now);
    paused.block_on(async {
        sleep(HOUR).await;
        assert_eq!(now() - begin, HOUR);
        // Inside of a task of the paused runtime.
        let real = Instant::now();
        running.block_on(async {
            assert!(now() - real < HOUR);
            sleep(MILLI).await;
        });
        assert!(real.elapsed() >= MILLI);
        assert_eq!(now() - begin, HOUR);
    });
    assert!(!task.is_finished());
    running.enter(pause);
    running.block_on(task).unwrap();
    assert_eq!(paused.enter(now) - begin, HOUR);
}

#[test]
fn paused_runtimes_have_clocks_of_their_own() {
    let (one, other) = (paused_runtime(), paused_runtime());
    let begin = other.enter(now);
    one.block_on(advance(HOUR));
    one.block_on(async {
        other.block_on(async { sleep(2 * HOUR).await });
    });
    assert_eq!(other.enter(now) - begin, 2 * HOUR);
}

/// A minimal outer loop, which waits for the descriptor within `poll`.
fn drive<T>(runtime: &Runtime, task: JoinHandle<T>) -> T {
    let mut task = std::pin::pin!(task);
    loop {
        runtime.run();
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = task.as_mut().poll(&mut cx) {
            return output.unwrap();
        }
        runtime.poll(runtime.current_timeout()).unwrap();
    }
}

#[test]
fn clock_jumps_in_an_outer_loop() {
    for builder in builders() {
        let _limit = Limit::new();
        let runtime = builder.start_paused(true).build().unwrap();
        // The flag of an earlier `block_on` does not count.
        runtime.block_on(compio::task::yield_now());
        let begin = runtime.enter(now);
        let task = runtime.spawn(async {
            sleep(HOUR).await;
            let work = spawn_blocking(|| std::thread::sleep(5 * MILLI));
            work.await.unwrap();
            advance(HOUR).await;
            now()
        });
        assert_eq!(drive(&runtime, task) - begin, 2 * HOUR);

        let task = runtime.spawn(async {
            sleep(HOUR).await;
            resume();
            sleep(MILLI).await;
        });
        drive(&runtime, task);
    }
}

#[test]
fn clock_jumps_as_a_task_of_another_executor() {
    for builder in builders() {
        let runtime = builder.start_paused(true).build().unwrap();
        let begin = runtime.enter(now);
        let task = runtime.spawn(async {
            for _ in 0..10 {
                sleep(HOUR).await;
            }
            now()
        });
        let mut polls = 0;
        while !task.is_finished() {
            polls += 1;
            assert!(polls < 100, "no jump");
            let mut cx = Context::from_waker(Waker::noop());
            let timeout = runtime.poll_with(&mut cx).unwrap();
            assert!(task.is_finished() || timeout == Some(Duration::ZERO));
        }
        assert_eq!(runtime.block_on(task).unwrap() - begin, 10 * HOUR);
    }
}

#[test]
fn dump_has_the_remaining_times_of_the_paused_clock() {
    let _limit = Limit::new();
    let runtime = paused_runtime();
    runtime.block_on(async {
        sleep(1000 * HOUR).await;
        let sleeper = spawn(sleep(3 * HOUR));
        advance(HOUR).await;
        let dumps = spawn_blocking(dump::all).await.unwrap();
        let tasks = dumps.iter().flat_map(RuntimeDump::tasks);
        let id = sleeper.id();
        let task = tasks.into_iter().find(|task| task.meta.id() == id);
        let waits = &task.expect("the task").waits;
        let is_wait = matches!(waits[..], [Wait::Timer { left }] if left == 2 * HOUR);
        assert!(is_wait, "{waits:?}");
    });
}

#[test]
fn workers_have_clocks_of_their_own() {
    let _limit = Limit::new();
    let builder = RuntimeBuilder::new().start_paused(true);
    let workers = Dispatcher::builder().workers(2).runtime(builder);
    let workers = workers.build().unwrap();
    compio::task::block_on(async {
        for worker in 0..2 {
            let passed = workers.dispatch_to(worker, async || {
                let begin = now();
                sleep(HOUR).await;
                now() - begin
            });
            assert_eq!(passed.await.unwrap(), HOUR);
        }
    });
}
