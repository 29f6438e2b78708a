//! Intervals, by their schedule.

use std::time::{Duration, Instant};

use compio::time::{Interval, MissedTickBehavior, interval, interval_at, sleep, sleep_until};

use crate::support::run;

const PERIOD: Duration = Duration::from_millis(10);

/// An interval whose first tick was due at the returned time, two and a half periods ago.
fn late(behavior: MissedTickBehavior) -> (Instant, Interval) {
    let start = Instant::now() - PERIOD * 5 / 2;
    let mut ticks = interval_at(start, PERIOD);
    ticks.set_missed_tick_behavior(behavior);
    (start, ticks)
}

#[test]
fn the_first_tick_comes_at_once_and_the_others_each_period() {
    run(async {
        let start = Instant::now();
        let mut ticks = interval(PERIOD);
        let first = ticks.tick().await;
        assert!(first >= start);
        for number in 1..4 {
            assert_eq!(ticks.tick().await, first + PERIOD * number);
            assert!(Instant::now() >= first + PERIOD * number);
        }
    });
}

#[test]
fn burst_catches_up_every_missed_tick() {
    run(async {
        let (start, mut ticks) = late(MissedTickBehavior::Burst);
        for number in 0..5 {
            assert_eq!(ticks.tick().await, start + PERIOD * number);
        }
    });
}

#[test]
fn delay_restarts_the_schedule_at_the_late_tick() {
    run(async {
        let (start, mut ticks) = late(MissedTickBehavior::Delay);
        let before = Instant::now();
        assert_eq!(ticks.tick().await, start);
        let second = ticks.tick().await;
        assert!(second >= before + PERIOD);
    });
}

#[test]
fn skip_drops_missed_ticks_and_keeps_the_schedule() {
    run(async {
        let (start, mut ticks) = late(MissedTickBehavior::Skip);
        let before = Instant::now();
        assert_eq!(ticks.tick().await, start);
        let second = ticks.tick().await;
        assert!(second > before);
        let since = second.duration_since(start);
        assert_eq!(since.as_nanos() % PERIOD.as_nanos(), 0);
        assert!(since >= PERIOD * 3);
    });
}

#[test]
fn a_dropped_tick_comes_with_the_next_call() {
    run(async {
        let start = Instant::now() + PERIOD;
        let mut ticks = interval_at(start, PERIOD);
        let given_up = crate::support::select(sleep(Duration::ZERO), ticks.tick()).await;
        assert_eq!(given_up, crate::support::First::Left(()));
        assert_eq!(ticks.tick().await, start);
    });
}

#[test]
fn a_reset_restarts_the_schedule() {
    run(async {
        let mut ticks = interval(PERIOD);
        ticks.tick().await;
        sleep_until(Instant::now() + PERIOD * 2).await;
        let before = Instant::now();
        ticks.reset();
        assert!(ticks.tick().await >= before + PERIOD);
    });
}

#[test]
fn an_endless_period_ticks_once() {
    run(async {
        let mut ticks = interval(Duration::MAX);
        ticks.tick().await;
        let ended = crate::support::select(sleep(PERIOD), ticks.tick()).await;
        assert_eq!(ended, crate::support::First::Left(()));
        assert_eq!(ticks.period(), Duration::MAX);
    });
}

#[test]
#[should_panic(expected = "the period of an interval is zero")]
fn a_zero_period_panics() {
    drop(interval(Duration::ZERO));
}
