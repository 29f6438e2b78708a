//! Wrong calls.

use std::{future::poll_fn, panic::resume_unwind, pin::Pin, task::Poll, time::Duration};

use compio::{
    runtime::Runtime,
    task::{block_on, spawn, yield_now},
    time::{advance, pause, resume, sleep},
};

use crate::support::{HOUR, Limit, SECOND, message_of, paused_runtime};

#[test]
fn calls_outside_of_a_runtime_panic() {
    let outside = "no runtime is running on this thread";
    let message = message_of(pause);
    assert!(message.contains(outside), "{message}");
    assert!(message.contains("`compio::time::pause`"), "{message}");
    assert!(message_of(resume).contains(outside));
    let poll = || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = std::pin::pin!(advance(SECOND)).poll(&mut cx);
    };
    assert!(message_of(poll).contains(outside));
}

#[test]
fn second_pause_panics() {
    let runtime = Runtime::new().unwrap();
    runtime.enter(pause);
    let message = message_of(|| runtime.enter(pause));
    assert!(message.contains("paused already"), "{message}");
    // It is still usable.
    runtime.block_on(sleep(HOUR));
    let runtime = paused_runtime();
    assert!(message_of(|| runtime.block_on(async { pause() })).contains("paused already"));
}

#[test]
fn resume_of_running_time_panics() {
    let runtime = Runtime::new().unwrap();
    let not_paused = "the time of this runtime is not paused";
    let message = message_of(|| runtime.enter(resume));
    assert!(message.contains(not_paused), "{message}");
    runtime.enter(|| {
        pause();
        resume();
    });
    assert!(message_of(|| runtime.enter(resume)).contains(not_paused));
}

#[test]
fn advance_of_running_time_panics() {
    let message = message_of(|| block_on(advance(SECOND)));
    let expected = "call `compio::time::pause` before `compio::time::advance`";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn advance_beyond_the_clock_panics() {
    let runtime = paused_runtime();
    let message = message_of(|| runtime.block_on(advance(Duration::MAX)));
    assert!(message.contains("cannot represent"), "{message}");
}

#[test]
fn resume_during_an_advance_panics_in_the_advance() {
    let runtime = paused_runtime();
    let message = message_of(|| {
        runtime.block_on(async {
            spawn(async {
                sleep(SECOND).await;
                resume();
            })
            .detach();
            advance(HOUR).await;
        });
    });
    assert!(
        message.contains("`compio::time::resume` was called"),
        "{message}"
    );
}

/// An advance of this runtime, after a poll in a task of another one.
async fn begun_advance(runtime: &Runtime) -> Pin<Box<dyn Future<Output = ()>>> {
    let mut advance = Box::pin(advance(HOUR));
    let first = poll_fn(|cx| Poll::Ready(runtime.enter(|| advance.as_mut().poll(cx))));
    assert!(first.await.is_pending());
    advance
}

#[test]
fn advance_of_a_runtime_that_does_not_run_panics() {
    let _limit = Limit::new();
    let runtime = paused_runtime();
    let message = message_of(|| {
        block_on(async { begun_advance(&runtime).await.await });
    });
    assert!(message.contains("is not running"), "{message}");
}

#[test]
fn drop_of_a_runtime_panics_in_its_advances() {
    let _limit = Limit::new();
    let runtime = paused_runtime();
    let message = message_of(|| {
        block_on(async {
            // An outer loop drives it.
            runtime.run();
            let mut advance = begun_advance(&runtime).await;
            assert!(
                poll_fn(|cx| Poll::Ready(advance.as_mut().poll(cx)))
                    .await
                    .is_pending()
            );
            let waiter = spawn(advance);
            yield_now().await;
            drop(runtime);
            resume_unwind(waiter.await.unwrap_err().into_panic());
        });
    });
    assert!(message.contains("was dropped"), "{message}");
}

#[test]
fn advance_beyond_the_timers_panics() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let _limit = Limit::new();
    let runtime = paused_runtime();
    let message = message_of(|| {
        runtime.block_on(async {
            spawn(sleep(10_000 * YEAR)).detach();
            advance(400 * YEAR).await;
            advance(400 * YEAR).await;
        })
    });
    assert!(message.contains("cannot represent"), "{message}");
}
