//! Wakes on the home thread while it may be parked in a foreign event loop.

use std::sync::Arc;

use compio_executor::Executor;
use compio_testkit::waker::Bell;

use crate::support::{run, waiting_task};

#[test]
fn home_wake_of_parked_executor_unparks_once_per_park() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (_first, first, _) = waiting_task(&executor);
    let (_second, second, _) = waiting_task(&executor);
    first.wake_by_ref();
    run(&executor);
    assert_eq!(unpark.rings(), 0);
    for park in 1..3 {
        executor.set_parked(true);
        first.wake_by_ref();
        second.wake_by_ref();
        assert_eq!(unpark.rings(), park);
        // That wake has ended the park.
        run(&executor);
        first.wake_by_ref();
        run(&executor);
        assert_eq!(unpark.rings(), park);
    }
}

#[test]
fn spawn_on_parked_executor_unparks() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    executor.set_parked(true);
    drop(executor.spawn(async {}));
    assert_eq!(unpark.rings(), 1);
}

#[test]
fn home_wake_after_park_has_ended_does_not_unpark() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (_task, waker, _) = waiting_task(&executor);
    executor.set_parked(true);
    executor.set_parked(false);
    waker.wake();
    assert!(executor.has_ready());
    assert_eq!(unpark.rings(), 0);
}
