//! Wakes from other threads: none is lost, and none needs a living runtime.

use std::{
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use compio::{
    driver::SpinPolicy,
    runtime::Runtime,
    task::{spawn, yield_now},
};

use crate::support::{Flag, bounded};

/// Two runtimes on two threads wake each other this many times.
fn check_ping_pong(policy: SpinPolicy, rounds: usize, in_a_task: bool) {
    let (ping, pong) = (Flag::default(), Flag::default());
    let play = move |ours: Flag, theirs: Flag, serves: bool| {
        let runtime = Runtime::builder().spin(policy).build().unwrap();
        let game = async move {
            for _ in 0..rounds {
                if serves {
                    theirs.raise();
                }
                ours.taken().await;
                if !serves {
                    theirs.raise();
                }
            }
        };
        runtime.block_on(async {
            if in_a_task {
                bounded(spawn(game)).await.unwrap();
            } else {
                bounded(game).await;
            }
        });
    };
    let other = {
        let (ping, pong) = (ping.clone(), pong.clone());
        thread::spawn(move || play(ping, pong, false))
    };
    play(pong, ping, true);
    other.join().unwrap();
}

#[test]
fn two_tasks_on_two_threads_wake_each_other_20_000_times() {
    check_ping_pong(SpinPolicy::Adaptive, 20_000, true);
}

#[test]
fn two_tasks_that_sleep_at_once_wake_each_other_20_000_times() {
    check_ping_pong(SpinPolicy::Off, 20_000, true);
}

#[test]
fn two_futures_of_block_on_wake_each_other_20_000_times() {
    check_ping_pong(SpinPolicy::Off, 20_000, false);
}

#[test]
fn many_tasks_on_two_threads_flood_each_other_with_wakes() {
    const TASKS: usize = 64;
    const ROUNDS: usize = 300;
    let flags: Vec<(Flag, Flag)> = (0..TASKS).map(|_| Default::default()).collect();
    let there = flags.clone();
    let other = thread::spawn(move || {
        crate::support::run(async {
            let tasks: Vec<_> = there
                .into_iter()
                .map(|(ping, pong)| {
                    spawn(async move {
                        for _ in 0..ROUNDS {
                            ping.taken().await;
                            pong.raise();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    crate::support::run(async {
        let tasks: Vec<_> = flags
            .into_iter()
            .map(|(ping, pong)| {
                spawn(async move {
                    for _ in 0..ROUNDS {
                        ping.raise();
                        pong.taken().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    other.join().unwrap();
}

#[test]
fn a_waker_may_be_used_after_the_death_of_its_runtime() {
    let (sender, receiver) = mpsc::channel::<Waker>();
    let other = thread::spawn(move || {
        let wakers: Vec<Waker> = receiver.iter().collect();
        for waker in &wakers {
            waker.wake_by_ref();
            drop(waker.clone());
        }
    });
    let runtime = Runtime::new().unwrap();
    let give = sender.clone();
    drop(runtime.spawn(std::future::poll_fn(move |cx| {
        give.send(cx.waker().clone()).unwrap();
        Poll::<()>::Pending
    })));
    runtime.block_on(async {
        yield_now().await;
        std::future::poll_fn(|cx| {
            sender.send(cx.waker().clone()).unwrap();
            Poll::Ready(())
        })
        .await;
    });
    drop(runtime);
    drop(sender);
    other.join().unwrap();
}

#[test]
fn a_wake_during_a_poll_is_not_lost() {
    let runtime = Runtime::new().unwrap();
    let mut polls = 0;
    let task = runtime.spawn(std::future::poll_fn(move |cx| {
        polls += 1;
        if polls == 100 {
            return Poll::Ready(polls);
        }
        let waker = cx.waker().clone();
        thread::spawn(move || waker.wake()).join().unwrap();
        Poll::Pending
    }));
    assert_eq!(runtime.block_on(bounded(task)).unwrap(), 100);
}

#[test]
fn a_handle_awaited_elsewhere_on_the_thread_is_woken() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let mut task = one.spawn(compio::time::sleep(Duration::from_millis(1)));
    let woken = Flag::default();
    let mark = woken.clone();
    let bell = crate::support::waker(move || mark.raise());
    assert!(
        pin!(&mut task)
            .poll(&mut Context::from_waker(&bell))
            .is_pending()
    );
    one.block_on(bounded(woken.taken()));
    other.block_on(bounded(task)).unwrap();
}
