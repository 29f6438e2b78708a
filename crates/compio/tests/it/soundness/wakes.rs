//! Wakes from other threads: none is lost, and none needs a living runtime (scenario 17).

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use compio::{
    driver::SpinPolicy,
    runtime::Runtime,
    task::{spawn, yield_now},
};

use crate::support::{Flag, bounded, on_wine, run};

/// Two runtimes on two threads wake each other, one after the other.
fn check_ping_pong(policy: SpinPolicy, in_a_task: bool) {
    // Each wake is two messages to Wine's server, which all processes share.
    let rounds = if on_wine() { 2_000 } else { 20_000 };
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
fn s17_two_tasks_on_two_threads_wake_each_other_thousands_of_times() {
    check_ping_pong(SpinPolicy::Adaptive, true);
}

#[test]
fn s17_two_tasks_that_sleep_at_once_wake_each_other_thousands_of_times() {
    check_ping_pong(SpinPolicy::Off, true);
}

#[test]
fn s17_two_futures_of_block_on_wake_each_other_thousands_of_times() {
    check_ping_pong(SpinPolicy::Off, false);
}

#[test]
fn s17_many_tasks_on_two_threads_flood_each_other_with_wakes() {
    const TASKS: usize = 64;
    const ROUNDS: usize = 300;
    let flags: Vec<(Flag, Flag)> = (0..TASKS).map(|_| Default::default()).collect();
    let there = flags.clone();
    let other = thread::spawn(move || {
        run(async {
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
    run(async {
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
fn s17_a_waker_may_be_used_after_the_death_of_its_runtime() {
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
    drop(runtime.spawn(poll_fn(move |cx| {
        give.send(cx.waker().clone()).unwrap();
        Poll::<()>::Pending
    })));
    runtime.block_on(async {
        yield_now().await;
        poll_fn(|cx| {
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
fn s17_a_wake_during_a_poll_is_not_lost() {
    let runtime = Runtime::new().unwrap();
    let mut polls = 0;
    let task = runtime.spawn(poll_fn(move |cx| {
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
fn s17_a_handle_awaited_elsewhere_on_the_thread_is_woken() {
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

#[test]
fn s17_a_handle_reports_the_death_of_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(std::future::pending::<()>());
    drop(runtime);
    assert!(task.is_finished());
    assert!(run(task).unwrap_err().is_cancelled());
}

#[test]
fn s17_a_handle_yields_its_output_after_the_death_of_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(async { 42 });
    assert!(!runtime.run());
    drop(runtime);
    assert_eq!(run(task).unwrap(), 42);
}

/// A task that waits until it is woken for the second time, and its waker.
fn waiting_task(runtime: &Runtime) -> (compio::task::JoinHandle<()>, Waker) {
    let slot = Rc::new(RefCell::new(None));
    let give = Rc::clone(&slot);
    let task = runtime.spawn(poll_fn(move |cx| {
        if give.borrow_mut().replace(cx.waker().clone()).is_some() {
            return Poll::Ready(());
        }
        Poll::Pending
    }));
    while slot.borrow().is_none() {
        runtime.run();
    }
    let waker = slot.borrow().clone().expect("it was polled");
    (task, waker)
}

/// A bounded queue would be full here and never drained: each runtime waits for the other.
#[test]
fn s17_two_runtimes_that_do_not_run_flood_each_other_with_thousands_of_wakes() {
    const TASKS: usize = 5_000;
    let meeting = Arc::new(Barrier::new(2));
    let (there, here) = (mpsc::channel(), mpsc::channel());
    let play = |meeting: Arc<Barrier>, give: mpsc::Sender<Vec<Waker>>, take: mpsc::Receiver<_>| {
        let runtime = Runtime::new().unwrap();
        let (tasks, wakers): (Vec<_>, Vec<_>) = (0..TASKS).map(|_| waiting_task(&runtime)).unzip();
        give.send(wakers).unwrap();
        let theirs: Vec<Waker> = take.recv().unwrap();
        meeting.wait();
        for waker in &theirs {
            waker.wake_by_ref();
        }
        theirs.into_iter().for_each(Waker::wake);
        // Both have been flooded, and none has run.
        meeting.wait();
        runtime.block_on(bounded(async {
            for task in tasks {
                task.await.unwrap();
            }
        }));
    };
    let other = {
        let meeting = Arc::clone(&meeting);
        thread::spawn(move || play(meeting, there.0, here.1))
    };
    play(meeting, here.0, there.1);
    other.join().unwrap();
}

#[test]
fn s17_wakes_race_with_the_death_of_a_runtime() {
    for round in 0..100 {
        let runtime = Runtime::new().unwrap();
        let (task, waker) = waiting_task(&runtime);
        let over = Arc::new(AtomicBool::new(false));
        let threads = [(); 2].map(|()| {
            let (waker, over) = (waker.clone(), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    waker.wake_by_ref();
                    drop(waker.clone());
                }
                waker.wake();
            })
        });
        drop(waker);
        if round % 2 == 0 {
            runtime.block_on(yield_now());
        }
        drop(runtime);
        over.store(true, Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(task.is_finished());
        // Woken in time, or cancelled.
        let ended = run(task);
        assert!(ended.is_ok() || ended.unwrap_err().is_cancelled());
    }
}

/// The wake comes at a different moment each time: before the sleep, while it is announced, or during it.
#[test]
fn s17_no_wake_is_lost_at_any_moment_around_the_sleep() {
    for policy in [SpinPolicy::Off, SpinPolicy::Adaptive] {
        let (asked, answered) = (Flag::default(), Flag::default());
        let (other_asked, other_answered) = (asked.clone(), answered.clone());
        let other = thread::spawn(move || {
            run(async {
                for round in 0..3_000_u32 {
                    other_asked.taken().await;
                    for _ in 0..round * 7919 % 3000 {
                        std::hint::spin_loop();
                    }
                    other_answered.raise();
                }
            });
        });
        let runtime = Runtime::builder().spin(policy).build().unwrap();
        runtime.block_on(bounded(async {
            for _ in 0..3_000 {
                asked.raise();
                answered.taken().await;
            }
        }));
        other.join().unwrap();
    }
}
