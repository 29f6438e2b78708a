//! The heap against a naive model.

use std::{
    sync::{Arc, Mutex},
    task::{Wake, Waker},
    time::{Duration, Instant},
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
        let begin = Instant::now();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut timers = Timers::default();
        let mut keys: Vec<TimerKey> = Vec::new();
        // Number and deadline of what has neither fired nor been taken back.
        let mut model: Vec<(usize, Duration)> = Vec::new();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Insert(after) => {
                    let deadline = now + Duration::from_millis(after);
                    let waker = Waker::from(Arc::new(Note(keys.len(), log.clone())));
                    model.push((keys.len(), deadline));
                    keys.push(timers.insert(begin + deadline, waker));
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
                    expected.sort_by_key(|timer| timer.1);
                    for waker in timers.take_due(begin + now) {
                        waker.wake();
                    }
                    let fired = std::mem::take(&mut *log.lock().unwrap());
                    assert!(expected.into_iter().map(|timer| timer.0).eq(fired));
                }
            }
            let next = model.iter().map(|timer| begin + timer.1).min();
            assert_eq!(timers.next_deadline(), next);
            assert_eq!(timers.is_empty(), model.is_empty());
        }
    }
}

#[test]
fn taking_timers_back_leaves_no_heap_of_dead_wood() {
    let mut timers = Timers::default();
    let deadline = Instant::now() + Duration::from_secs(3600);
    for _ in 0..10_000 {
        let key = timers.insert(deadline, Waker::noop().clone());
        assert!(timers.remove(key).is_some());
    }
    assert!(timers.deadlines.len() <= super::DEAD_FREE + 1);
}
