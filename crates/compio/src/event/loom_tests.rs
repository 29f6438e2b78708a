//! Loom tests: every interleaving, within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p compio --no-default-features --features event --lib
//! --release loom_tests::`
//!
//! A wait that never ends is a deadlock, which loom reports. It also reports unordered accesses of
//! two threads to a cell, and leaked reference counts.

use std::{
    pin::pin,
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    cell::Cell,
    sync::{
        Arc, Notify,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use super::{Event, EventHandle};

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(3));
    builder.check(model);
}

/// Ends the wait for a notification.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let bell = StdArc::new(Bell(Notify::new()));
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        bell.0.wait();
    }
}

/// A cell that one thread writes and another reads, which is sound only if the accesses are
/// ordered.
struct Written(Cell<bool>);

// SAFETY: loom's cell reports unordered accesses.
unsafe impl Sync for Written {}
// SAFETY: as above.
unsafe impl Send for Written {}

fn signal_by_thread(handle: EventHandle) -> (Arc<Written>, thread::JoinHandle<()>) {
    let written = Arc::new(Written(Cell::new(false)));
    let thread = thread::spawn({
        let written = written.clone();
        move || {
            written.0.set(true);
            handle.notify();
        }
    });
    (written, thread)
}

#[test]
fn a_signal_ends_the_wait_and_publishes_earlier_writes() {
    check(|| {
        let event = Event::new();
        let (written, thread) = signal_by_thread(event.handle());
        block_on(event.wait());
        assert!(written.0.get());
        thread.join().unwrap();
    });
}

#[test]
fn two_waits_on_two_threads_end_with_one_signal() {
    check(|| {
        let event = Event::new();
        let other = event.wait();
        let waiting = thread::spawn(move || block_on(other));
        let handle = event.handle();
        let signalling = thread::spawn(move || handle.notify());
        block_on(event.wait());
        waiting.join().unwrap();
        signalling.join().unwrap();
    });
}

#[test]
fn a_reset_before_the_work_is_looked_for_loses_none() {
    check(|| {
        let event = Event::new();
        let work = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (handle, work) = (event.handle(), work.clone());
            thread::spawn(move || {
                work.fetch_add(1, Relaxed);
                handle.notify();
            })
        });
        let mut done = 0;
        while done < 2 {
            block_on(event.wait());
            event.reset();
            done += work.swap(0, Relaxed);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_waiting_task_continues_even_if_the_event_is_reset_at_once() {
    check(|| {
        let event = Event::new();
        let mut wait = pin!(event.wait());
        let bell = StdArc::new(Bell(Notify::new()));
        let waker = Waker::from(bell.clone());
        let mut poll = || wait.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        let (handle, shared) = (event.handle(), Arc::new(event));
        let thread = thread::spawn({
            let event = shared.clone();
            move || {
                handle.notify();
                event.reset();
            }
        });
        while poll().is_pending() {
            bell.0.wait();
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_dropped_wait_meets_a_signal() {
    check(|| {
        let event = Event::new();
        let (_written, thread) = signal_by_thread(event.handle());
        let mut wait = Box::pin(event.wait());
        let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut next = pin!(event.wait());
        let _ = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(wait);
        block_on(next);
        thread.join().unwrap();
    });
}
