//! Whose turn it is.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

use compio_executor::{Tick, yield_now};

use crate::support::{executor, run, waiting_task};

#[test]
fn tasks_run_in_the_order_they_were_spawned() {
    let executor = executor();
    let order = Rc::new(RefCell::new(Vec::new()));
    for task in 0..5 {
        let order = order.clone();
        drop(executor.spawn(async move { order.borrow_mut().push(task) }));
    }
    run(&executor);
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
}

#[cfg(feature = "sim")]
#[test]
fn shuffled_tasks_run_before_others() {
    let order_of = |seed| {
        let executor = executor();
        let order = Rc::new(RefCell::new(Vec::new()));
        for task in 0..6 {
            let order = order.clone();
            drop(executor.spawn(async move { order.borrow_mut().push(task) }));
        }
        assert_eq!(executor.shuffle_ready(4, seed), 4);
        executor.tick(4);
        assert_eq!(executor.shuffle_ready(4, seed), 2);
        run(&executor);
        assert_eq!(executor.shuffle_ready(4, seed), 0);
        order.take()
    };
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..1000 {
        // Neighbouring seeds give equal orders.
        let order = order_of(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        assert!(order[..4].iter().all(|task| *task < 4), "{order:?}");
        orders.insert(order[..4].to_vec());
    }
    assert_eq!(orders.len(), 24);
}

#[test]
fn the_budget_limits_a_tick() {
    let executor = executor();
    for _ in 0..5 {
        drop(executor.spawn(async {}));
    }
    assert_eq!(
        executor.tick(0),
        Tick {
            polled: 0,
            has_ready: true
        }
    );
    assert_eq!(
        executor.tick(3),
        Tick {
            polled: 3,
            has_ready: true
        }
    );
    assert_eq!(
        executor.tick(3),
        Tick {
            polled: 2,
            has_ready: false
        }
    );
    assert_eq!(
        executor.tick(3),
        Tick {
            polled: 0,
            has_ready: false
        }
    );
}

#[test]
fn self_waking_task_starves_no_other() {
    let executor = executor();
    drop(executor.spawn(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })));
    let done = Rc::new(Cell::new(0));
    for _ in 0..10 {
        let done = done.clone();
        drop(executor.spawn(async move {
            for _ in 0..10 {
                yield_now().await;
            }
            done.set(done.get() + 1);
        }));
    }
    for _ in 0..11 {
        assert!(executor.tick(11).has_ready);
    }
    assert_eq!(done.get(), 10);
}

#[test]
fn waking_twice_is_waking_once() {
    let executor = executor();
    let (_handle, waker, polls) = waiting_task(&executor);
    waker.wake_by_ref();
    waker.wake_by_ref();
    assert!(executor.has_ready());
    assert_eq!(
        executor.tick(64),
        Tick {
            polled: 1,
            has_ready: false
        }
    );
    assert_eq!(polls.get(), 2);
}

#[test]
fn remote_wakes_keep_their_order_and_come_behind_local_ones_that_were_first() {
    let executor = executor();
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut wakers = Vec::new();
    for task in 0..4 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let order = order.clone();
        let mut first = true;
        drop(executor.spawn(poll_fn(move |cx| {
            if std::mem::take(&mut first) {
                sender.send(cx.waker().clone()).unwrap();
            } else {
                order.borrow_mut().push(task);
            }
            Poll::<()>::Pending
        })));
        run(&executor);
        wakers.push(receiver.recv().unwrap());
    }
    wakers[3].wake_by_ref();
    std::thread::scope(|scope| {
        scope.spawn(|| wakers[..3].iter().for_each(std::task::Waker::wake_by_ref));
    });
    run(&executor);
    assert_eq!(*order.borrow(), [3, 0, 1, 2]);
}

#[test]
fn the_inbox_is_looked_at_when_nothing_else_is_ready() {
    let executor = executor();
    let (_handle, waker, polls) = waiting_task(&executor);
    drop(executor.spawn(async move {
        std::thread::spawn(move || waker.wake()).join().unwrap();
    }));
    assert_eq!(
        executor.tick(64),
        Tick {
            polled: 2,
            has_ready: false
        }
    );
    assert_eq!(polls.get(), 2);
}
