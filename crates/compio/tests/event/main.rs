//! Events, signalled from any thread.

#[path = "../support/run.rs"]
mod run;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use compio::{
    event::{Event, EventHandle},
    runtime::Runtime,
    task::{block_on, spawn, yield_now},
    time::timeout,
};
use compio_testkit::waker::Bell;

use run::run;

fn poll<F: Future>(future: &mut Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn signalled_before_the_wait() {
    run(async {
        let event = Event::new();
        assert!(!event.is_set());
        event.handle().notify();
        assert!(event.is_set());
        event.wait().await;
        // It stays signalled.
        event.wait().await;
        assert!(event.is_set());
    });
}

#[test]
fn signalled_during_the_wait() {
    run(async {
        let event = Event::new();
        let handle = event.handle();
        let waiting = spawn(event.wait());
        yield_now().await;
        assert!(!waiting.is_finished());
        handle.notify();
        waiting.await.unwrap();
    });
}

#[test]
fn signalled_after_the_wait_was_dropped() {
    run(async {
        let event = Event::new();
        assert!(timeout(Duration::ZERO, event.wait()).await.is_err());
        event.handle().notify();
        event.wait().await;
    });
}

#[test]
fn reset_and_signalled_again() {
    run(async {
        let event = Event::new();
        assert!(!event.reset());
        event.handle().notify();
        assert!(event.reset());
        assert!(!event.reset());
        assert!(timeout(Duration::ZERO, event.wait()).await.is_err());
        event.handle().notify();
        event.wait().await;
    });
}

#[test]
fn all_waiting_tasks_are_woken() {
    run(async {
        let event = Event::new();
        let waiting: Vec<_> = (0..100).map(|_| spawn(event.wait())).collect();
        yield_now().await;
        event.handle().notify();
        for task in waiting {
            task.await.unwrap();
        }
    });
}

#[test]
fn waiting_tasks_are_woken_though_the_event_is_reset_at_once() {
    let event = Event::new();
    let (count, waker) = Bell::new();
    let mut wait = pin!(event.wait());
    assert!(poll(&mut wait, &waker).is_pending());
    event.handle().notify();
    event.reset();
    assert_eq!(count.rings(), 1);
    let mut late = pin!(event.wait());
    assert!(poll(&mut late, &waker).is_pending());
    assert!(poll(&mut wait, &waker).is_ready());
    assert!(poll(&mut late, &waker).is_pending());
}

#[test]
fn only_the_last_waker_is_woken() {
    let event = Event::new();
    let ((one, first), (two, second)) = (Bell::new(), Bell::new());
    let mut wait = pin!(event.wait());
    assert!(poll(&mut wait, &first).is_pending());
    assert!(poll(&mut wait, &first).is_pending());
    assert!(poll(&mut wait, &second).is_pending());
    event.handle().notify();
    event.handle().notify();
    assert_eq!((one.rings(), two.rings()), (0, 1));
}

#[test]
fn a_dropped_wait_is_not_woken_and_its_waker_is_released() {
    let event = Event::new();
    let (count, waker) = Bell::new();
    for _ in 0..1000 {
        let mut wait = Box::pin(event.wait());
        assert!(poll(&mut wait.as_mut(), &waker).is_pending());
    }
    // The test's own reference, and the waker's.
    assert_eq!(Arc::strong_count(&count), 2);
    let (mut old, mut gone) = (pin!(event.wait()), Box::pin(event.wait()));
    assert!(poll(&mut old, &waker).is_pending());
    assert!(poll(&mut gone.as_mut(), &waker).is_pending());
    event.handle().notify();
    drop(gone);
    assert_eq!(count.rings(), 2);
}

#[test]
fn a_waker_may_use_the_event_again() {
    struct Again(EventHandle, Mutex<Option<Event>>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.notify();
            let event = self.1.lock().unwrap().take().unwrap();
            assert!(event.is_set());
            event.reset();
            self.0.notify();
        }
    }
    let event = Event::new();
    let handle = event.handle();
    let mut wait = pin!(event.wait());
    let again = Again(event.handle(), Mutex::new(Some(event)));
    let waker = Waker::from(Arc::new(again));
    assert!(poll(&mut wait, &waker).is_pending());
    handle.notify();
    assert!(poll(&mut wait, &waker).is_ready());
}

#[test]
fn handles_outlive_the_event_and_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.block_on(async {
        let event = Event::new();
        drop(spawn(event.wait()));
        yield_now().await;
        event.handle()
    });
    drop(runtime);
    handle.clone().notify();
    thread::spawn(move || handle.notify()).join().unwrap();
}

#[test]
fn a_hundred_thousand_times_from_another_thread() {
    run(async {
        let (here, there) = (Event::new(), Event::new());
        let (to_here, to_there) = (here.handle(), there.handle());
        let rounds = 100_000;
        let other = thread::spawn(move || {
            block_on(async {
                for _ in 0..rounds {
                    there.wait().await;
                    there.reset();
                    to_here.notify();
                }
            });
        });
        for _ in 0..rounds {
            to_there.notify();
            here.wait().await;
            assert!(here.reset());
        }
        other.join().unwrap();
    });
}

#[test]
fn writes_before_the_signal_are_visible() {
    run(async {
        const EACH: usize = 100_000;
        let event = Event::new();
        let written = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (handle, written) = (event.handle(), Arc::clone(&written));
                thread::spawn(move || {
                    for _ in 0..EACH {
                        // Relaxed: the event's lock orders it.
                        written.fetch_add(1, Relaxed);
                        handle.notify();
                    }
                })
            })
            .collect();
        let mut seen = 0;
        while seen < 4 * EACH {
            event.wait().await;
            event.reset();
            seen = written.load(Relaxed);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn waits_on_several_threads() {
    let event = Arc::new(Event::new());
    let begun = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (event, begun) = (Arc::clone(&event), Arc::clone(&begun));
            thread::spawn(move || {
                run(async {
                    let mut wait = pin!(event.wait());
                    poll_fn(|cx| {
                        let polled = wait.as_mut().poll(cx);
                        begun.fetch_add(1, SeqCst);
                        polled
                    })
                    .await;
                });
            })
        })
        .collect();
    while begun.load(SeqCst) < 8 {
        thread::yield_now();
    }
    event.handle().notify();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn endless_waits_for_set_event_starve_no_timer() {
    run(async {
        let event = Event::new();
        event.handle().notify();
        let endless = async {
            loop {
                event.wait().await;
            }
        };
        let ended = timeout(Duration::from_millis(5), endless).await;
        assert!(ended.is_err());
    });
}
