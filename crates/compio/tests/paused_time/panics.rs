//! Wrong calls.

use std::time::Duration;

use compio::{
    runtime::Runtime,
    task::{block_on, spawn},
    time::{advance, pause, resume, sleep},
};

use crate::support::{HOUR, SECOND, message_of, paused_runtime};

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
