//! The timer wheels against a naive model.

use std::{
    mem,
    sync::{Arc, Mutex},
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::Strategy, prop_oneof, proptest};

use super::{TimerKey, Timers};

/// Logs its number when it is woken.
struct Note(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Its deadline is so many nanoseconds ahead, or in the past.
    Insert(i64),
    /// Another timer with the deadline of an earlier one.
    Again(usize),
    Remove(usize),
    /// Removes all but every n-th timer, in either order: with many timers, enough for a sweep.
    Cull(usize, bool),
    Replace(usize),
    Advance(u64),
    /// Advances to the moment at which the thread wakes, or one nanosecond before.
    ToNext(bool),
}

/// A duration of any order of magnitude.
fn nanos() -> impl Strategy<Value = u64> {
    (0..44_u32, 0..u64::MAX).prop_map(|(bits, any)| any & ((1 << bits) - 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => nanos().prop_map(|after| Step::Insert(after as i64)),
        2 => (0..120_i64).prop_map(|ms| Step::Insert(ms * 1_000_000)),
        1 => nanos().prop_map(|before| Step::Insert(-(before as i64))),
        1 => (0..40_usize).prop_map(Step::Again),
        3 => (0..80_usize).prop_map(Step::Remove),
        1 => (2..9_usize, 0..2_u8).prop_map(|(part, one)| Step::Cull(part, one == 1)),
        1 => (0..80_usize).prop_map(Step::Replace),
        1 => nanos().prop_map(Step::Advance),
        1 => (0..20_u64).prop_map(|ms| Step::Advance(ms * 1_000_000)),
        2 => (0..2_u8).prop_map(|one| Step::ToNext(one == 1)),
    ]
}

/// Timers that have neither fired nor been removed.
#[derive(Debug)]
struct Model {
    number: usize,
    deadline: u64,
    /// It must fire by then.
    limit: u64,
    /// The value that its waker records.
    note: usize,
}

/// Timers and a simple list of them, which must agree.
struct Pair {
    log: Arc<Mutex<Vec<usize>>>,
    timers: Timers,
    keys: Vec<(TimerKey, u64)>,
    model: Vec<Model>,
    now: u64,
    notes: usize,
}

impl Pair {
    fn new() -> Self {
        Self {
            log: Arc::default(),
            timers: Timers::new(),
            keys: Vec::new(),
            model: Vec::new(),
            // Far enough from the epoch for deadlines long before.
            now: 1 << 45,
            notes: 0,
        }
    }

    fn at(&self, nanos: u64) -> Instant {
        self.timers.epoch + Duration::from_nanos(nanos)
    }

    fn waker(&mut self) -> (usize, Waker) {
        self.notes += 1;
        let note = Note(self.notes, self.log.clone());
        (self.notes, Waker::from(Arc::new(note)))
    }

    fn insert(&mut self, deadline: u64) {
        let (note, waker) = self.waker();
        let (at, now) = (self.at(deadline), self.at(self.now));
        let key = self.timers.insert(at, now, waker, 0);
        self.model.push(Model {
            number: self.keys.len(),
            deadline,
            limit: limit(self.now, deadline),
            note,
        });
        self.keys.push((key, deadline));
    }

    fn place(&self, number: usize) -> Option<usize> {
        self.model.iter().position(|timer| timer.number == number)
    }

    fn remove(&mut self, number: usize) {
        let place = self.place(number);
        let removed = self.timers.remove(self.keys[number].0);
        assert_eq!(removed.is_some(), place.is_some());
        place.map(|place| self.model.remove(place));
    }

    fn replace(&mut self, number: usize) {
        let (note, waker) = self.waker();
        let place = self.place(number);
        let replaced = self.timers.replace(self.keys[number].0, waker, 0);
        assert_eq!(replaced.is_ok(), place.is_some());
        if let Some(place) = place {
            self.model[place].note = note;
        }
    }

    fn advance(&mut self, now: u64) {
        self.now = now;
        let mut expected: Vec<_> = self
            .model
            .extract_if(.., |timer| timer.deadline <= now)
            .collect();
        expected.sort_by_key(|timer| (timer.deadline, timer.number));
        let mut due = self.timers.take_due(self.at(now));
        due.drain(..).for_each(Waker::wake);
        self.timers.give_back(due);
        let fired = mem::take(&mut *self.log.lock().unwrap());
        assert!(expected.into_iter().map(|timer| timer.note).eq(fired));
    }

    /// The next wake of the thread, and the ideal one.
    fn next(&mut self) -> Option<(u64, u64)> {
        let next = self.timers.next();
        assert_eq!(next.is_some(), !self.model.is_empty());
        assert_eq!(self.timers.len(), self.model.len());
        #[cfg(feature = "test-util")]
        {
            let first = self.model.iter().map(|timer| self.at(timer.deadline)).min();
            assert_eq!(self.timers.first_deadline(), first);
        }
        let next = (next? - self.timers.epoch).as_nanos() as u64;
        let limit = self.model.iter().map(|timer| timer.limit).min()?;
        let limit = limit.max(self.now);
        assert!(next <= limit, "{next}: {:?}", self.model);
        let deadlines = self.model.iter().map(|timer| timer.deadline);
        let best = deadlines.filter(|deadline| *deadline <= limit).max()?;
        Some((next, best))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Insert(after) => self.insert(self.now.saturating_add_signed(after)),
            Step::Again(number) if number < self.keys.len() => self.insert(self.keys[number].1),
            Step::Remove(number) if number < self.keys.len() => self.remove(number),
            Step::Cull(part, is_reversed) => {
                let numbers = (0..self.keys.len()).filter(|number| number % part != 0);
                if is_reversed {
                    numbers.rev().for_each(|number| self.remove(number));
                } else {
                    numbers.for_each(|number| self.remove(number));
                }
                assert!(
                    self.timers.wheels.len() <= 2 * self.model.len() + 65 + self.keys.len() / 2
                );
            }
            Step::Replace(number) if number < self.keys.len() => self.replace(number),
            Step::Again(_) | Step::Remove(_) | Step::Replace(_) => {}
            Step::Advance(by) => self.advance(self.now + by),
            Step::ToNext(is_there) => {
                if let Some((next, _)) = self.next() {
                    let to = if is_there { next } else { next - 1 };
                    self.advance(to.max(self.now));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn timers_fire_once_in_the_order_of_their_deadlines(steps in vec(step(), 0..60)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            if let Some((next, best)) = pair.next() {
                // A wake that is known already may serve fewer timers than the best.
                assert!(next <= best);
                assert!(pair.model.iter().any(|timer| timer.deadline == next));
            }
        }
    }

    #[test]
    fn one_wake_serves_as_many_as_it_can(steps in vec(step(), 0..60)) {
        let mut pair = Pair::new();
        for step in steps {
            // Skips removals and advances, after which a known wake can be worse than the best.
            let worsens = matches!(
                step,
                Step::Remove(_) | Step::Cull(..) | Step::Advance(_) | Step::ToNext(false)
            );
            if !worsens {
                pair.step(step);
            }
            if let Some((next, best)) = pair.next() {
                assert_eq!(next.max(pair.now), best.max(pair.now));
            }
        }
    }

    /// With so many timers that some slots are not searched.
    #[test]
    fn many_timers_fire_once_and_no_wait_is_too_long(
        steps in vec(step(), 0..60),
        crowds in vec((0..44_u32, 50..150_u64), 1..4),
    ) {
        let mut pair = Pair::new();
        for (bits, count) in crowds {
            for part in 0..count {
                pair.insert(pair.now + (1 << bits) + ((part << bits) >> 10));
            }
        }
        for step in steps {
            pair.step(step);
            pair.next();
        }
        // Like the event loop: each wait leads to the next, until all timers have fired.
        let mut waits = 0;
        while let Some((next, _)) = pair.next() {
            pair.advance(next.max(pair.now));
            waits += 1;
        }
        assert!(pair.model.is_empty());
        // A slot that is not searched costs one wait for each wheel that its entries pass.
        let timers = pair.keys.len();
        assert!(waits <= timers + 12, "{waits} waits for {timers} timers");
    }
}

/// The rule of the model: a timer may be late by a sixteenth of its time, at most by 2^20 ns.
fn limit(now: u64, deadline: u64) -> u64 {
    deadline + (deadline.saturating_sub(now) / 16).min(1 << 20)
}

#[test]
fn a_timer_alone_is_not_late() {
    for run in [0, 15, 1_600, 160_000, 1 << 40] {
        let mut timers = Timers::new();
        let now = timers.epoch + Duration::from_nanos(12_345);
        let deadline = now + Duration::from_nanos(run);
        timers.insert(deadline, now, Waker::noop().clone(), 0);
        assert_eq!(timers.next(), Some(deadline));
    }
}

#[test]
fn a_timer_waits_for_others_for_a_sixteenth_of_its_time_at_most() {
    for (run, late_max) in [
        (0, 0),
        (15, 0),
        (1_600, 100),
        (160_000, 10_000),
        (1 << 40, 1 << 20),
    ] {
        for late in [late_max, late_max + 1] {
            let mut timers = Timers::new();
            let now = timers.epoch + Duration::from_nanos(12_345);
            let deadline = now + Duration::from_nanos(run);
            let other = deadline + Duration::from_nanos(late);
            timers.insert(deadline, now, Waker::noop().clone(), 0);
            timers.insert(other, now, Waker::noop().clone(), 0);
            let expected = if late == late_max { other } else { deadline };
            assert_eq!(timers.next(), Some(expected), "{run}");
        }
    }
}

#[test]
fn a_deadline_beyond_all_time_is_kept() {
    let mut timers = Timers::new();
    let deadline = timers.epoch + Duration::from_secs(86_400 * 365 * 1_000);
    timers.insert(deadline, timers.epoch, Waker::noop().clone(), 0);
    assert!(
        timers.next().expect("a timer") > timers.epoch + Duration::from_secs(86_400 * 365 * 500)
    );
    assert_ne!(timers.len(), 0);
}

#[test]
fn removing_timers_leaves_few_tombstones() {
    let mut timers = Timers::new();
    let deadline = timers.epoch + Duration::from_secs(3600);
    for _ in 0..10_000 {
        let key = timers.insert(deadline, timers.epoch, Waker::noop().clone(), 0);
        assert!(timers.remove(key).is_some());
    }
    assert!(timers.wheels.len() <= 66);
}

#[test]
fn timers_of_long_before_and_of_the_epoch_are_due() {
    let mut timers = Timers::new();
    let now = timers.epoch + Duration::from_secs(5);
    assert!(timers.take_due(now).is_empty());
    for back in [0, 1, 5, 6] {
        let deadline = now.checked_sub(Duration::from_secs(back)).unwrap();
        timers.insert(deadline, now, Waker::noop().clone(), 0);
    }
    assert!(timers.next().expect("a timer") <= now);
    assert_eq!(timers.take_due(now).len(), 4);
    assert_eq!(timers.len(), 0);
}

#[test]
fn a_clock_that_stands_or_goes_back_fires_nothing_early_and_loses_nothing() {
    let mut timers = Timers::new();
    let epoch = timers.epoch;
    let at = |ms| epoch + Duration::from_millis(ms);
    timers.insert(at(50), at(0), Waker::noop().clone(), 0);
    assert_eq!(timers.take_due(at(40)).len(), 0);
    assert_eq!(timers.take_due(at(40)).len(), 0);
    // The clock goes back: a due timer waits until its deadline comes again.
    timers.insert(at(30), at(20), Waker::noop().clone(), 0);
    assert_eq!(timers.take_due(at(20)).len(), 0);
    assert!(timers.next().expect("a timer") <= at(40));
    assert_eq!(timers.take_due(at(40)).len(), 1);
    assert_eq!(timers.take_due(at(49)).len(), 0);
    assert_eq!(timers.take_due(at(50)).len(), 1);
}
