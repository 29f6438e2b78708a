//! The heap against a naive model.

use std::{
    sync::{Arc, Mutex},
    task::{Wake, Waker},
    time::Duration,
};

use proptest::{collection::vec, prelude::Strategy, prop_oneof, proptest};

use super::{TimerKey, Timers};

/// Notes its number when it is woken.
struct Note(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Remove(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..50_u64).prop_map(Step::Insert),
        (0..40_usize).prop_map(Step::Remove),
        (0..20_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn timers_fire_once_in_the_order_of_their_deadlines(steps in vec(step(), 0..200)) {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut timers = Timers::new();
        let begin = timers.epoch;
        let mut keys: Vec<TimerKey> = Vec::new();
        // Number, time of firing and deadline of what has neither fired nor been taken back.
        let mut model: Vec<(usize, Duration, Duration)> = Vec::new();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Insert(after) => {
                    let deadline = now + Duration::from_millis(after);
                    let waker = Waker::from(Arc::new(Note(keys.len(), log.clone())));
                    model.push((keys.len(), fires(now, deadline), deadline));
                    keys.push(timers.insert(begin + deadline, begin + now, waker));
                }
                Step::Remove(number) if number < keys.len() => {
                    let known = model.iter().position(|timer| timer.0 == number);
                    assert_eq!(timers.remove(keys[number]).is_some(), known.is_some());
                    known.map(|place| model.remove(place));
                }
                Step::Remove(_) => {}
                Step::Advance(by) => {
                    now += Duration::from_millis(by);
                    let mut expected: Vec<_> =
                        model.extract_if(.., |timer| timer.1 <= now).collect();
                    expected.sort_by_key(|timer| (timer.1, timer.2));
                    for waker in timers.take_due(begin + now) {
                        waker.wake();
                    }
                    let fired = std::mem::take(&mut *log.lock().unwrap());
                    assert!(expected.into_iter().map(|timer| timer.0).eq(fired));
                }
            }
            let next = model.iter().map(|timer| begin + timer.1).min();
            assert_eq!(timers.next(), next);
            assert_eq!(timers.is_empty(), model.is_empty());
        }
    }
}

/// The rule, told anew: the next multiple of the largest power of two that is neither more than a
/// sixteenth of the time nor than a millisecond of 2^20 ns.
fn fires(now: Duration, deadline: Duration) -> Duration {
    let run = (deadline - now).as_nanos();
    let mut grain = 1;
    while grain * 2 <= run / 16 && grain < 1 << 20 {
        grain *= 2;
    }
    Duration::from_nanos(deadline.as_nanos().next_multiple_of(grain) as u64)
}

#[test]
fn a_timer_is_late_by_a_sixteenth_at_most() {
    for (run, late_max) in [
        (0, 0),
        (15, 0),
        (1_600, 100),
        (160_000, 10_000),
        (1 << 40, 1 << 20),
    ] {
        let mut timers = Timers::new();
        let now = timers.epoch + Duration::from_nanos(12_345);
        let deadline = now + Duration::from_nanos(run);
        timers.insert(deadline, now, Waker::noop().clone());
        let fires = timers.next().expect("a timer");
        assert!(fires >= deadline);
        assert!(
            fires - deadline <= Duration::from_nanos(late_max),
            "{run}: {fires:?}"
        );
    }
}

#[test]
fn a_deadline_beyond_all_time_is_kept() {
    let mut timers = Timers::new();
    let deadline = timers.epoch + Duration::from_secs(86_400 * 365 * 1_000);
    timers.insert(deadline, timers.epoch, Waker::noop().clone());
    assert!(
        timers.next().expect("a timer") > timers.epoch + Duration::from_secs(86_400 * 365 * 500)
    );
    assert!(!timers.is_empty());
}

#[test]
fn taking_timers_back_leaves_no_heap_of_dead_wood() {
    let mut timers = Timers::new();
    let deadline = timers.epoch + Duration::from_secs(3600);
    for _ in 0..10_000 {
        let key = timers.insert(deadline, timers.epoch, Waker::noop().clone());
        assert!(timers.remove(key).is_some());
    }
    assert!(timers.deadlines.len() <= super::DEAD_FREE + 1);
}
