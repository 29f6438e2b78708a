//! The waker of a loop's own future.

use std::{sync::Arc, thread};

use compio_executor::MainWaker;
use compio_testkit::waker::Bell;

#[test]
fn it_is_woken_at_first() {
    let main = MainWaker::new(Bell::new().0.waker());
    assert!(main.is_woken());
    assert!(main.take_woken());
    assert!(!main.take_woken() && !main.is_woken());
}

#[test]
fn at_home_it_only_sets_a_flag() {
    let unpark = Bell::new().0;
    let main = MainWaker::new(unpark.waker());
    main.take_woken();
    main.waker().wake_by_ref();
    let clone = main.waker().clone();
    clone.wake();
    assert!(main.take_woken());
    assert!(!main.take_woken());
    assert_eq!(unpark.rings(), 0);
}

#[test]
fn from_elsewhere_it_unparks_once_until_taken() {
    let unpark = Bell::new().0;
    let main = MainWaker::new(unpark.waker());
    main.take_woken();
    for expected in 1..3 {
        let waker = main.waker();
        let clone = waker.clone();
        thread::scope(|scope| {
            scope.spawn(|| waker.wake_by_ref()).join().unwrap();
            scope.spawn(|| clone.wake()).join().unwrap();
        });
        assert_eq!(unpark.rings(), expected);
        assert!(main.is_woken());
        assert!(main.take_woken());
        assert!(!main.is_woken());
    }
}

#[test]
fn its_clones_outlive_it_anywhere() {
    let unpark = Bell::new().0;
    let main = MainWaker::new(unpark.waker());
    let waker = main.waker().clone();
    drop(main);
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(unpark.rings(), 1);
    // The last of them lets go of `unpark`.
    assert_eq!(Arc::strong_count(&unpark), 1);
}
