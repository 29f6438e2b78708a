//! Wakes around the sleep and the drop of a driver (scenario 17).

use std::{
    hint,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc,
    },
    task::Waker,
    thread,
    time::Instant,
};

use compio_driver::{Driver, DriverBuilder, SpinPolicy, op::Blocking};

use crate::{
    notify::POLICIES,
    support::{LONG, driver, run, turn_until},
};

pub(crate) fn driver_with(policy: SpinPolicy) -> Driver {
    DriverBuilder::new().spin(policy).build().unwrap()
}

#[test]
fn s17_a_wake_before_the_sleep_is_not_lost() {
    for policy in POLICIES {
        let driver = driver_with(policy);
        driver.waker().wake();
        let began = Instant::now();
        driver.turn(Some(LONG)).unwrap();
        assert!(began.elapsed() < LONG, "it slept");
    }
}

#[test]
fn s17_a_wake_from_another_thread_ends_the_sleep() {
    for policy in POLICIES {
        let driver = driver_with(policy);
        let flag = Arc::new(AtomicBool::new(false));
        for _ in 0..500 {
            flag.store(false, Relaxed);
            let (waker, setter) = (driver.waker(), Arc::clone(&flag));
            let thread = thread::spawn(move || {
                setter.store(true, Release);
                waker.wake();
            });
            turn_until(&driver, || flag.load(Acquire));
            thread.join().unwrap();
        }
    }
}

/// Each driver waits for the other, thousands of times: after one lost wake both sleep on.
fn check_ping_pong(policy: SpinPolicy, rounds: usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let (give, take) = mpsc::channel();
    let (give_back, take_back) = mpsc::channel();
    let play = move |driver: &Driver, count: &AtomicUsize, parity: usize, other: Waker| {
        for round in (parity..rounds).step_by(2) {
            turn_until(driver, || count.load(Acquire) == round);
            count.store(round + 1, Release);
            other.wake_by_ref();
        }
    };
    let other_count = Arc::clone(&count);
    let thread = thread::spawn(move || {
        let driver = driver_with(policy);
        give.send(driver.waker()).unwrap();
        let waker = take_back.recv().unwrap();
        play(&driver, &other_count, 1, waker);
    });
    let driver = driver_with(policy);
    give_back.send(driver.waker()).unwrap();
    play(&driver, &count, 0, take.recv().unwrap());
    thread.join().unwrap();
    assert_eq!(count.load(Relaxed), rounds);
}

#[test]
fn s17_two_sleeping_drivers_wake_each_other_thousands_of_times() {
    check_ping_pong(SpinPolicy::Off, 10_000);
}

#[test]
fn s17_two_spinning_drivers_wake_each_other_thousands_of_times() {
    check_ping_pong(SpinPolicy::Adaptive, 10_000);
    check_ping_pong(SpinPolicy::Always, 10_000);
}

#[test]
fn s17_many_threads_wake_one_driver() {
    let driver = driver_with(SpinPolicy::Off);
    let count = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (waker, count) = (driver.waker(), Arc::clone(&count));
            thread::spawn(move || {
                for _ in 0..1000 {
                    count.fetch_add(1, Release);
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    turn_until(&driver, || count.load(Acquire) == 8000);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn s17_a_waker_outlives_its_driver_on_another_thread() {
    let driver = driver();
    let waker = driver.waker();
    let other = waker.clone();
    assert!(other.will_wake(&waker));
    drop(driver);
    waker.wake_by_ref();
    thread::spawn(move || other.wake()).join().unwrap();
    waker.wake();
}

#[test]
fn s17_no_completion_of_a_pool_thread_is_lost_before_a_sleep() {
    let driver = driver();
    for number in 0..2000 {
        let work = driver.submit(Blocking::new(move || number));
        assert_eq!(run(&driver, work).unwrap().unwrap(), number);
    }
}

/// The wake comes at another moment each time: before the sleep, while the driver announces it,
/// during it.
#[test]
fn s17_no_wake_is_lost_at_any_moment_around_the_sleep() {
    for policy in POLICIES {
        const ROUNDS: usize = 5_000;
        let driver = driver_with(policy);
        let (asked, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (other_asked, other_answered) = (Arc::clone(&asked), Arc::clone(&answered));
        let waker = driver.waker();
        let thread = thread::spawn(move || {
            for round in 1..=ROUNDS {
                while other_asked.load(Acquire) < round {
                    thread::yield_now();
                }
                for _ in 0..round * 7919 % 3000 {
                    hint::spin_loop();
                }
                other_answered.store(round, Release);
                waker.wake_by_ref();
            }
        });
        for round in 1..=ROUNDS {
            asked.store(round, Release);
            turn_until(&driver, || answered.load(Acquire) == round);
        }
        thread.join().unwrap();
    }
}

#[test]
fn s17_wakes_race_with_the_drop_of_a_driver() {
    for round in 0..200 {
        let driver = driver();
        let over = Arc::new(AtomicBool::new(false));
        let threads = [(); 2].map(|()| {
            let (waker, over) = (driver.waker(), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    waker.wake_by_ref();
                    drop(waker.clone());
                }
                waker.wake();
            })
        });
        if round % 2 == 0 {
            driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        }
        drop(driver);
        over.store(true, Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
