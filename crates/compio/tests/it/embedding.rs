//! A runtime embedded in an outer event loop.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use compio::{
    io::AsyncRead,
    runtime::Runtime,
    task::{JoinHandle, spawn, spawn_blocking},
    time::sleep,
};

use crate::support::{Flag, LONG, is_readable, streams};

/// An outer loop that relies on the descriptor and on `current_timeout` alone.
fn drive<T>(runtime: &Runtime, task: JoinHandle<T>) -> T {
    let mut task = pin!(task);
    loop {
        runtime.run();
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = task.as_mut().poll(&mut cx) {
            return output.expect("no panic");
        }
        match runtime.current_timeout() {
            Some(timeout) => drop(is_readable(runtime, timeout)),
            None => assert!(is_readable(runtime, LONG), "nothing makes it readable"),
        }
        runtime.poll(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn a_timer_wakes_the_outer_loop() {
    let runtime = Runtime::new().unwrap();
    let begin = Instant::now();
    let task = runtime.spawn(sleep(Duration::from_millis(20)));
    drive(&runtime, task);
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_socket_wakes_the_outer_loop() {
    let runtime = Runtime::new().unwrap();
    let (mut ours, theirs) = streams();
    let theirs = theirs.into_std().unwrap();
    let task = runtime.spawn(async move { ours.read(Vec::with_capacity(8)).await.1 });
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(10));
        std::io::Write::write_all(&mut &theirs, b"hello").unwrap();
    });
    assert_eq!(drive(&runtime, task), b"hello");
    writer.join().unwrap();
}

#[test]
fn another_thread_wakes_the_outer_loop_again_and_again() {
    let runtime = Runtime::new().unwrap();
    let (ping, pong) = (Flag::default(), Flag::default());
    let (there_ping, there_pong) = (ping.clone(), pong.clone());
    let other = thread::spawn(move || {
        crate::support::run(async {
            for _ in 0..500 {
                there_ping.taken().await;
                there_pong.raise();
            }
        });
    });
    let task = runtime.spawn(async move {
        for _ in 0..500 {
            ping.raise();
            pong.taken().await;
        }
    });
    drive(&runtime, task);
    other.join().unwrap();
}

#[test]
fn blocking_work_wakes_the_outer_loop() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(async {
        let work = spawn_blocking(|| thread::sleep(Duration::from_millis(10)));
        work.await.unwrap();
        42
    });
    assert_eq!(drive(&runtime, task), 42);
}

#[test]
fn the_timeout_is_zero_while_tasks_are_ready_and_none_when_idle() {
    let runtime = Runtime::new().unwrap();
    assert_eq!(runtime.current_timeout(), None);
    drop(runtime.spawn(async {}));
    assert_eq!(runtime.current_timeout(), Some(Duration::ZERO));
    assert!(!runtime.run());
    assert_eq!(runtime.current_timeout(), None);
}

#[test]
fn the_timeout_is_the_time_to_the_next_timer() {
    let runtime = Runtime::new().unwrap();
    for seconds in [300, 200, 400] {
        drop(runtime.spawn(sleep(Duration::from_secs(seconds))));
    }
    runtime.run();
    let timeout = runtime.current_timeout().expect("a timer");
    assert!(timeout < Duration::from_secs(201));
    assert!(timeout > Duration::from_secs(100));
}

#[test]
fn a_wake_after_current_timeout_is_seen_without_a_sleep() {
    let runtime = Runtime::new().unwrap();
    let flag = Flag::default();
    let there = flag.clone();
    let task = runtime.spawn(async move { there.taken().await });
    runtime.run();
    // Announces a sleep that does not follow.
    assert_eq!(runtime.current_timeout(), None);
    thread::spawn(move || flag.raise()).join().unwrap();
    assert_eq!(runtime.current_timeout(), Some(Duration::ZERO));
    assert!(is_readable(&runtime, LONG));
    runtime.block_on(task).unwrap();
}

#[test]
fn a_wake_between_two_announced_sleeps_is_seen() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..100 {
        let flag = Flag::default();
        let there = flag.clone();
        let task = runtime.spawn(async move { there.taken().await });
        runtime.run();
        runtime.current_timeout();
        runtime.poll(Some(Duration::ZERO)).unwrap();
        runtime.current_timeout();
        thread::spawn(move || flag.raise()).join().unwrap();
        drive(&runtime, task);
    }
}

#[test]
fn block_on_works_after_a_sleep_was_announced() {
    let runtime = Runtime::new().unwrap();
    runtime.current_timeout();
    let answer = runtime.block_on(async {
        sleep(Duration::from_millis(1)).await;
        spawn(async { 42 }).await.unwrap()
    });
    assert_eq!(answer, 42);
}

#[test]
fn poll_returns_by_its_timeout() {
    let runtime = Runtime::new().unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(5) {
        runtime.poll(Some(Duration::from_millis(5))).unwrap();
    }
}

#[test]
fn tasks_spawned_by_a_waker_during_poll_belong_to_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let spawned = Flag::default();
    let mark = spawned.clone();
    let waker = crate::support::waker(move || {
        let mark = mark.clone();
        drop(spawn(async move { mark.raise() }));
    });
    let mut nap = sleep(LONG);
    runtime.enter(|| {
        assert!(
            pin!(&mut nap)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        nap.reset(Instant::now() + Duration::from_millis(1));
    });
    while !nap.is_elapsed() {
        runtime.poll(runtime.current_timeout()).unwrap();
    }
    runtime.poll(Some(Duration::ZERO)).unwrap();
    runtime.run();
    assert!(spawned.is_raised());
}
