//! Values that other threads may hold and drop.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    marker::PhantomPinned,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    thread,
};

use compio_executor::{Executor, SendWrapper};
use compio_testkit::waker::Bell;

use crate::support::{executor, run};

/// A value whose drop records its thread.
struct Recorded {
    drops: Arc<std::sync::Mutex<Vec<thread::ThreadId>>>,
    _local: Rc<()>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.drops.lock().unwrap().push(thread::current().id());
    }
}

fn recorded() -> (Recorded, Arc<std::sync::Mutex<Vec<thread::ThreadId>>>) {
    let drops = Arc::default();
    let value = Recorded {
        drops: Arc::clone(&drops),
        _local: Rc::new(()),
    };
    (value, drops)
}

/// The message of the panic of this code.
fn panic_of<T>(code: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(code)) else {
        panic!("no panic");
    };
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).into()))
        .expect("a text")
}

#[test]
fn value_returns_from_another_thread() {
    let executor = executor();
    let wrapped = SendWrapper::new(Rc::new(Cell::new(1)), Some(executor.spawner()));
    let mut wrapped = thread::spawn(move || {
        assert!(!wrapped.is_home());
        assert!(wrapped.get().is_none());
        assert_eq!(format!("{wrapped:?}"), "SendWrapper(<of another thread>)");
        wrapped
    })
    .join()
    .unwrap();
    assert!(wrapped.is_home());
    wrapped.set(2);
    assert_eq!(format!("{wrapped:?}"), "SendWrapper(Cell { value: 2 })");
    *wrapped = Rc::new(Cell::new(3));
    assert_eq!(wrapped.try_into_inner().unwrap().get(), 3);
    assert!(!executor.has_ready());
}

#[test]
fn use_on_another_thread_panics_with_advice() {
    let executor = executor();
    let mut wrapped = SendWrapper::new(Rc::new(1), Some(executor.spawner()));
    let future = SendWrapper::new(Box::pin(async { 1 }), Some(executor.spawner()));
    let wrapped = thread::spawn(move || {
        for message in [
            panic_of(|| **wrapped),
            panic_of(|| *wrapped = Rc::new(2)),
            panic_of(|| {
                let mut future = future;
                Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
            }),
        ] {
            assert!(message.contains("another thread"), "{message}");
            assert!(message.contains("Handle::spawn_with"), "{message}");
        }
        wrapped.try_into_inner().unwrap_err()
    })
    .join()
    .unwrap();
    assert_eq!(**wrapped, 1);
}

#[test]
fn drop_on_another_thread_goes_home() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (value, drops) = recorded();
    let wrapped = SendWrapper::new(value, Some(executor.spawner()));
    thread::spawn(move || drop(wrapped)).join().unwrap();
    assert!(drops.lock().unwrap().is_empty());
    assert_eq!(unpark.rings(), 1, "the home thread may be parked");
    assert!(executor.has_ready());
    run(&executor);
    assert_eq!(*drops.lock().unwrap(), [thread::current().id()]);
}

#[test]
fn drop_at_home_is_immediate() {
    for has_spawner in [true, false] {
        let executor = executor();
        let (value, drops) = recorded();
        drop(SendWrapper::new(
            value,
            has_spawner.then(|| executor.spawner()),
        ));
        assert_eq!(*drops.lock().unwrap(), [thread::current().id()]);
        assert!(!executor.has_ready());
    }
}

#[test]
fn value_on_its_way_is_dropped_with_the_executor() {
    let executor = executor();
    let (value, drops) = recorded();
    let wrapped = SendWrapper::new(value, Some(executor.spawner()));
    thread::spawn(move || drop(wrapped)).join().unwrap();
    drop(executor);
    assert_eq!(*drops.lock().unwrap(), [thread::current().id()]);
}

#[test]
fn drop_while_another_thread_unwinds_goes_home() {
    let executor = executor();
    let (value, drops) = recorded();
    let wrapped = SendWrapper::new(value, Some(executor.spawner()));
    let end = thread::spawn(move || {
        let _wrapped = wrapped;
        panic!("on purpose");
    })
    .join();
    let payload = end.unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"on purpose"));
    run(&executor);
    assert_eq!(*drops.lock().unwrap(), [thread::current().id()]);
}

#[test]
fn value_past_the_end_of_its_executor_is_leaked() {
    for has_spawner in [true, false] {
        let executor = executor();
        let (value, drops) = recorded();
        // Reachable, for leak detectors.
        let keep = Rc::clone(&value._local);
        let wrapped = SendWrapper::new(value, has_spawner.then(|| executor.spawner()));
        drop(executor);
        // While it unwinds, too.
        let end = thread::spawn(move || {
            let _wrapped = wrapped;
            panic!("on purpose");
        })
        .join();
        assert_eq!(end.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
        assert!(drops.lock().unwrap().is_empty());
        assert_eq!(Rc::strong_count(&keep), 2);
    }
}

#[test]
fn panic_of_destructor_is_contained_at_home() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let executor = executor();
    let wrapped = SendWrapper::new(Panics, Some(executor.spawner()));
    thread::spawn(move || drop(wrapped)).join().unwrap();
    run(&executor);
    let handle = executor.spawn(async { 1 });
    run(&executor);
    assert!(handle.is_finished());
}

#[test]
fn pinned_future_keeps_its_address_until_its_drop() {
    /// Records the address at its poll, and compares it in its drop.
    struct Pinned {
        place: Arc<AtomicUsize>,
        _local: Rc<RefCell<()>>,
        _pinned: PhantomPinned,
    }
    impl Future for Pinned {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let place = &raw const *self;
            self.place.store(place.addr(), SeqCst);
            Poll::Pending
        }
    }
    impl Drop for Pinned {
        fn drop(&mut self) {
            let place = &raw const *self;
            if self.place.load(SeqCst) == place.addr() {
                self.place.store(1, SeqCst);
            }
        }
    }
    let executor = executor();
    let place = Arc::new(AtomicUsize::new(0));
    let future = Pinned {
        place: Arc::clone(&place),
        _local: Rc::default(),
        _pinned: PhantomPinned,
    };
    let mut wrapped = Box::pin(SendWrapper::new(future, Some(executor.spawner())));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(wrapped.as_mut().poll(cx).is_pending());
    thread::spawn(move || drop(wrapped)).join().unwrap();
    run(&executor);
    assert_eq!(place.load(SeqCst), 1);
}

#[test]
fn wrapped_future_runs_at_home() {
    let executor = executor();
    let local = Rc::new(Cell::new(0));
    let inner = Rc::clone(&local);
    let future = SendWrapper::new(
        async move {
            poll_fn(|_| Poll::Ready(())).await;
            inner.set(7);
        },
        Some(executor.spawner()),
    );
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(future).poll(cx).is_ready());
    assert_eq!(local.get(), 7);
}
