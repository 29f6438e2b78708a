//! Thread pool, remote completions and arena without a kernel, so that Miri can check the memory accesses.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
};

use super::{Job, RemoteCompletions, ThreadPool};
use crate::{
    arena::{Abandoned, Arena, OnComplete},
    key::Key,
    notify::Notifier,
    op::Blocking,
    operation::Operation,
    request::RawResult,
    sys::Event,
};

/// The parts of a driver for blocking work.
struct Home {
    arena: Arena,
    pool: ThreadPool,
    remote: Arc<RemoteCompletions>,
    notifier: Arc<Notifier>,
}

impl Home {
    fn new(threads: usize) -> Self {
        let notifier = Arc::new(Notifier::new(Event::of_nobody().unwrap()));
        Self {
            arena: Arena::new(),
            pool: ThreadPool::new(threads),
            remote: Arc::new(RemoteCompletions::new(Arc::clone(&notifier))),
            notifier,
        }
    }

    fn begin<O: Operation>(&self, operation: O) -> Key {
        // SAFETY: the handle is dropped here: see `take`.
        let (handle, request) = unsafe { self.arena.insert(operation) };
        let key = handle.key();
        self.arena.mark_in_thread_pool(key);
        let remote = Arc::clone(&self.remote);
        let job = Job {
            key,
            request,
            remote,
            is_repeated: false,
        };
        self.pool.dispatch(job).unwrap();
        key
    }

    /// Polls for the next completions, as a driver that never sleeps.
    fn answers(&self) -> Vec<(Key, RawResult)> {
        let mut answers = Vec::new();
        while answers.is_empty() {
            if self.notifier.take() {
                self.remote.take(&mut answers);
            }
            thread::yield_now();
        }
        answers
    }

    /// Completes `jobs` jobs and releases them.
    fn answer_all(&self, jobs: usize) {
        let mut answered = 0;
        while answered < jobs {
            for (key, answer) in self.answers() {
                self.arena.complete(key, answer);
                assert!(matches!(self.arena.abandon(key), Abandoned::ReleaseOrphan));
                self.arena.release_orphan(key);
                answered += 1;
            }
        }
    }

    fn complete_one(&self, key: Key) -> OnComplete {
        let answers = self.answers();
        assert_eq!(answers, [(key, Ok(0))]);
        self.arena.complete(key, Ok(0))
    }
}

/// Takes an operation out of the arena. `_like` determines its type, which has no name.
fn take<O: Operation>(home: &Home, key: Key, _like: impl FnOnce() -> O) -> O {
    // SAFETY: the callers have begun an operation of this type.
    let handle = unsafe { home.arena.handle_of::<O>(key) };
    handle.take(&home.arena).0
}

#[test]
fn a_thread_fills_the_operation_in_its_cell() {
    let home = Home::new(1);
    for number in 0..10 {
        let make = move || Blocking::new(move || vec![number; 8]);
        let key = home.begin(make());
        assert!(matches!(home.complete_one(key), OnComplete::Nothing));
        // SAFETY: the work has run.
        let result = unsafe { take(&home, key, make).finish(Ok(0)) };
        let result = result.unwrap().unwrap();
        assert_eq!(result, [number; 8]);
    }
}

#[test]
fn a_thread_fills_the_operation_after_it_was_abandoned() {
    let home = Home::new(1);
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let key = home.begin(Blocking::new(move || {
        begun.send(()).unwrap();
        released.recv().unwrap();
        vec![7; 8]
    }));
    has_begun.recv().unwrap();
    // The cell's header changes while the thread uses the operation in the same cell.
    assert!(matches!(home.arena.abandon(key), Abandoned::Cancel(_)));
    assert!(!home.pool.remove_queued(key, &home.remote));
    release.send(()).unwrap();
    assert!(matches!(
        home.complete_one(key),
        OnComplete::ReleaseOrphan(_)
    ));
    home.arena.release_orphan(key);
}

#[test]
fn a_waiting_job_is_withdrawn_once() {
    let home = Home::new(1);
    let (release, released) = mpsc::channel::<()>();
    let first = home.begin(Blocking::new(move || released.recv().unwrap()));
    let make = || Blocking::new(|| ());
    let second = home.begin(make());
    let other_desk = Arc::new(RemoteCompletions::new(Arc::clone(&home.notifier)));
    assert!(
        !home.pool.remove_queued(second, &other_desk),
        "another driver's"
    );
    assert!(home.pool.remove_queued(second, &home.remote));
    assert!(!home.pool.remove_queued(second, &home.remote));
    assert!(matches!(
        home.arena.complete(second, Err(1)),
        OnComplete::Nothing
    ));
    drop(take(&home, second, make));

    release.send(()).unwrap();
    assert!(matches!(home.arena.abandon(first), Abandoned::Cancel(_)));
    assert!(matches!(
        home.complete_one(first),
        OnComplete::ReleaseOrphan(_)
    ));
    home.arena.release_orphan(first);
}

#[test]
fn completions_of_many_threads_all_arrive() {
    const JOBS: usize = 30;
    let home = Home::new(3);
    for number in 0..JOBS {
        home.begin(Blocking::new(move || number));
    }
    home.answer_all(JOBS);
    assert_eq!(home.arena.in_flight_count(), 0);
}

/// Each job blocks until all have begun, so each needs a thread of its own. At the second time all threads wait.
#[test]
fn jobs_that_wait_for_each_other_all_begin() {
    const JOBS: usize = 20;
    let home = Home::new(JOBS);
    for _ in 0..2 {
        let all = Arc::new(Barrier::new(JOBS));
        for _ in 0..JOBS {
            let all = Arc::clone(&all);
            home.begin(Blocking::new(move || {
                all.wait();
            }));
        }
        home.answer_all(JOBS);
    }
}

/// The first job ends after the last one.
#[test]
fn blocked_job_holds_up_no_other() {
    let home = Home::new(2);
    for _ in 0..10 {
        let (release, released) = mpsc::channel::<()>();
        home.begin(Blocking::new(move || released.recv().unwrap()));
        for _ in 0..5 {
            home.begin(Blocking::new(|| ()));
        }
        home.answer_all(5);
        release.send(()).unwrap();
        home.answer_all(1);
    }
}

#[test]
fn a_panic_stays_in_the_operation() {
    let home = Home::new(1);
    let make = || Blocking::new(|| -> () { panic!("in the work") });
    let key = home.begin(make());
    assert!(matches!(home.complete_one(key), OnComplete::Nothing));
    // SAFETY: the work has run.
    let result = unsafe { take(&home, key, make).finish(Ok(0)) };
    let panic = result.unwrap().unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"in the work"));
}
