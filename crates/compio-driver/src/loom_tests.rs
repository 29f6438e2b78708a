//! Loom tests: each model runs in every interleaving (up to a number of preemptions).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p compio-driver --lib --release loom_tests::`
//!
//! Loom reports a sleep without a wake as a deadlock. It also reports cells that two threads access
//! without an order between the accesses.

use std::sync::Arc;

use loom::{
    cell::Cell,
    sync::{
        Notify,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use crate::{
    key::Key,
    notify::Notifier,
    request::{BlockingCall, RawResult, Request, Threads},
    sync::Event,
    thread_pool::{Job, RemoteCompletions, ThreadPool},
};

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(3));
    builder.check(model);
}

/// The parts of a driver that other threads use.
struct Home {
    notifier: Arc<Notifier>,
    remote: Arc<RemoteCompletions>,
}

impl Home {
    fn new() -> Self {
        let notifier = Arc::new(Notifier::new(Event::new(None)));
        let remote = Arc::new(RemoteCompletions::new(Arc::clone(&notifier)));
        Self { notifier, remote }
    }

    /// As `Driver::turn`: whether there was a notification, and the remote completions.
    fn turn(&self) -> (bool, Vec<(Key, RawResult)>) {
        self.notifier.unpark();
        let is_notified = self.notifier.take();
        if !is_notified && self.notifier.park() {
            self.notifier.event().sleep();
        }
        let mut answers = Vec::new();
        self.remote.take(&mut answers);
        (is_notified, answers)
    }

    /// Turns until there are `count` completions.
    fn answers(&self, count: usize) -> Vec<(Key, RawResult)> {
        let mut answers = Vec::new();
        while answers.len() < count {
            answers.extend(self.turn().1);
        }
        answers.sort_by_key(|(key, _)| u64::from(*key));
        answers
    }

    fn job(&self, number: u64) -> Job {
        Job {
            key: Key::from(number),
            request: Request::Nop,
            remote: Arc::clone(&self.remote),
            is_repeated: false,
        }
    }
}

fn key(number: u64) -> Key {
    Key::from(number)
}

/// Shared by threads of a model, which checks that their accesses are ordered.
struct Shared(Cell<u32>);

// SAFETY: loom's cell reports unordered accesses.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

#[test]
fn a_write_before_a_notification_is_visible_after_it() {
    check(|| {
        let home = Home::new();
        let written = Arc::new(Shared(Cell::new(0)));
        let thread = thread::spawn({
            let (notifier, written) = (Arc::clone(&home.notifier), Arc::clone(&written));
            move || {
                written.0.set(1);
                notifier.notify();
            }
        });
        // A wake is one turn that does not sleep.
        while !home.turn().0 {}
        assert_eq!(written.0.get(), 1);
        thread.join().unwrap();
    });
}

#[test]
fn a_second_notification_is_not_lost_behind_the_first() {
    check(|| {
        let home = Home::new();
        let written = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let threads = written.clone().map(|written| {
            let notifier = Arc::clone(&home.notifier);
            thread::spawn(move || {
                written.store(true, Relaxed);
                notifier.notify();
            })
        });
        // Checked after each notification, and only then.
        let mut seen = 0;
        while seen < 2 {
            if home.turn().0 {
                let is_written = |written: &&Arc<AtomicBool>| written.load(Relaxed);
                seen = written.iter().filter(is_written).count();
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn an_announced_sleep_ends_with_a_notification() {
    check(|| {
        let home = Home::new();
        let notifier = Arc::clone(&home.notifier);
        let thread = thread::spawn(move || notifier.notify());
        // An outer loop sleeps for the driver, or must not.
        if home.notifier.park() {
            home.notifier.event().sleep();
        }
        // The sleep may also have ended spuriously.
        while !home.turn().0 {}
        thread.join().unwrap();
    });
}

#[test]
fn completions_of_two_threads_are_found() {
    check(|| {
        let home = Home::new();
        let threads = [1, 2].map(|number| {
            let remote = Arc::clone(&home.remote);
            thread::spawn(move || remote.put(key(number.into()), Ok(number)))
        });
        assert_eq!(home.answers(2), [(key(1), Ok(1)), (key(2), Ok(2))]);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn one_thread_runs_all_jobs() {
    check(|| {
        let (home, pool) = (Home::new(), ThreadPool::new(1));
        for number in 1..=2 {
            pool.dispatch(home.job(number)).unwrap();
        }
        let answers = home.answers(2);
        assert_eq!(
            answers.iter().map(|(key, _)| u64::from(*key)).sum::<u64>(),
            3
        );
        assert_eq!(pool.threads(), 1);
        pool.expire();
    });
}

#[test]
fn a_job_dispatched_after_a_completion_needs_no_further_thread() {
    check(|| {
        let (home, pool) = (Home::new(), ThreadPool::new(2));
        for number in 1..=2 {
            pool.dispatch(home.job(number)).unwrap();
            assert_eq!(home.answers(1)[0].0, key(number));
            assert_eq!(pool.threads(), 1);
        }
        pool.expire();
    });
}

#[test]
fn job_that_waits_for_a_later_one_holds_up_no_other() {
    unsafe fn wait(event: *mut ()) {
        // SAFETY: it lives until both jobs have ended.
        unsafe { &*event.cast::<Notify>() }.wait();
    }
    unsafe fn notify(event: *mut ()) {
        // SAFETY: as in `wait`.
        unsafe { &*event.cast::<Notify>() }.notify();
    }
    check(|| {
        let (home, pool) = (Home::new(), ThreadPool::new(2));
        let event = Notify::new();
        let runs: [unsafe fn(*mut ()); 2] = [wait, notify];
        for (number, run) in (1..).zip(runs) {
            let data = (&raw const event).cast_mut().cast();
            let request = Request::Blocking(BlockingCall {
                threads: Threads::Pool,
                data,
                run,
            });
            let job = home.job(number);
            pool.dispatch(Job { request, ..job }).unwrap();
        }
        assert_eq!(home.answers(2).len(), 2);
        pool.expire();
    });
}

#[test]
fn two_drivers_share_a_pool() {
    check(|| {
        let pool = ThreadPool::new(1);
        let thread = thread::spawn({
            let pool = pool.clone();
            move || {
                let home = Home::new();
                pool.dispatch(home.job(1)).unwrap();
                home.answers(1);
            }
        });
        let home = Home::new();
        pool.dispatch(home.job(2)).unwrap();
        home.answers(1);
        thread.join().unwrap();
        pool.expire();
    });
}

#[test]
fn a_job_is_withdrawn_or_answered() {
    check(|| {
        let (home, pool) = (Home::new(), ThreadPool::new(1));
        pool.dispatch(home.job(1)).unwrap();
        pool.dispatch(home.job(2)).unwrap();
        let is_withdrawn = pool.remove_queued(key(2), &home.remote);
        let answers = home.answers(if is_withdrawn { 1 } else { 2 });
        assert_eq!(answers.len(), if is_withdrawn { 1 } else { 2 });
        pool.expire();
    });
}
