//! `advance`.

use std::{cell::Cell, pin::pin, rc::Rc, thread, time::Duration};

use compio::{
    io::AsyncRead,
    task::{spawn, spawn_blocking, yield_now},
    time::{advance, interval, now, sleep, timeout},
};
use compio_testkit::future::begin;

use crate::support::{HOUR, Log, MILLI, NANO, SECOND, run_paused, tcp_pair};

#[test]
fn advance_moves_the_clock_exactly() {
    run_paused(async || {
        let begin = now();
        let mut sum = Duration::ZERO;
        for step in [HOUR, MILLI, NANO, Duration::from_micros(3_141_592)] {
            advance(step).await;
            sum += step;
            assert_eq!(now() - begin, sum);
        }
    });
}

#[test]
fn tasks_see_each_deadline_of_an_advance() {
    run_paused(async || {
        let log = Log::new();
        for (name, period) in [("three", 3), ("two", 2)] {
            let log = log.clone();
            spawn(async move {
                loop {
                    sleep(period * SECOND).await;
                    log.add(name);
                    // Further polls do not move the clock.
                    yield_now().await;
                }
            })
            .detach();
        }
        advance(6 * SECOND).await;
        let at = |name, seconds| (name, seconds * SECOND);
        log.check(&[
            at("two", 2),
            at("three", 3),
            at("two", 4),
            at("three", 6),
            at("two", 6),
        ]);
    });
}

#[test]
fn tasks_of_the_final_moment_have_run_after_an_advance() {
    run_paused(async || {
        let task = spawn(async {
            sleep(SECOND).await;
            for _ in 0..100 {
                yield_now().await;
            }
            sleep(SECOND).await;
            spawn(async { yield_now().await }).await.unwrap();
        });
        advance(2 * SECOND - NANO).await;
        assert!(!task.is_finished());
        advance(NANO).await;
        assert!(task.is_finished());
    });
}

#[test]
fn advance_by_zero_runs_ready_tasks_only() {
    run_paused(async || {
        let begin = now();
        let ready = spawn(async {
            for _ in 0..1000 {
                yield_now().await;
            }
        });
        let waiting = spawn(sleep(NANO));
        advance(Duration::ZERO).await;
        assert!(ready.is_finished());
        assert!(!waiting.is_finished());
        assert_eq!(now(), begin);
    });
}

#[test]
fn later_timers_do_not_end_an_advance() {
    run_paused(async || {
        let sleeper = spawn(sleep(HOUR));
        let begin = now();
        for _ in 0..59 {
            advance(60 * SECOND).await;
        }
        assert!(!sleeper.is_finished());
        advance(60 * SECOND).await;
        assert!(sleeper.is_finished());
        assert_eq!(now() - begin, HOUR);
    });
}

#[test]
fn overlapping_advances_end_at_their_own_times() {
    run_paused(async || {
        let begin = now();
        let tasks = [3, 1, 2].map(|hours| {
            spawn(async move {
                advance(hours * HOUR).await;
                assert_eq!(now() - begin, hours * HOUR);
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(now() - begin, 3 * HOUR);
    });
}

#[test]
fn dropped_advance_moves_the_clock_no_further() {
    run_paused(async || {
        let start = now();
        {
            let mut advance = pin!(advance(HOUR));
            begin(advance.as_mut()).await;
        }
        // A pending advance would not wait for it.
        let work = spawn_blocking(|| thread::sleep(5 * MILLI));
        work.await.unwrap();
        assert_eq!(now(), start);
        // The drop at the time limit.
        assert!(timeout(SECOND, advance(HOUR)).await.is_err());
        assert_eq!(now() - start, SECOND);
        sleep(SECOND).await;
        assert_eq!(now() - start, 2 * SECOND);
    });
}

#[test]
fn advance_does_not_wait_for_a_silent_socket() {
    run_paused(async || {
        let (mut client, _server) = tcp_pair().await;
        let reader = spawn(async move {
            let read = client.read(Vec::with_capacity(8));
            timeout(60 * SECOND, read).await.is_err()
        });
        advance(60 * SECOND).await;
        assert!(reader.is_finished());
        assert!(reader.await.unwrap());
    });
}

#[test]
fn interval_ticks_once_per_period_of_an_advance() {
    run_paused(async || {
        let count = Rc::new(Cell::new(0));
        let ticks = count.clone();
        spawn(async move {
            let mut interval = interval(SECOND);
            loop {
                interval.tick().await;
                ticks.set(ticks.get() + 1);
            }
        })
        .detach();
        advance(HOUR).await;
        assert_eq!(count.get(), 3601);
    });
}
