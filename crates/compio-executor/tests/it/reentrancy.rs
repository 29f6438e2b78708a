//! User code that calls back into the executor, from wherever it runs.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    rc::Rc,
    task::Poll,
};

use compio_executor::{Executor, JoinHandle, yield_now};
use compio_testkit::buffer::on_drop;

use crate::support::{Probe, check_cancelled, executor, result, run, waiting_task};

fn shared() -> Rc<Executor> {
    Rc::new(executor())
}

#[test]
fn a_task_spawns_tasks() {
    let executor = shared();
    let handle = executor.spawn({
        let executor = executor.clone();
        async move {
            let inner = executor.spawn(async { 4 });
            assert_eq!(executor.task_count(), 2);
            assert!(executor.has_ready());
            inner.await.unwrap() + 1
        }
    });
    run(&executor);
    assert_eq!(result(handle).unwrap(), 5);
}

#[test]
fn a_task_drops_its_own_handle() {
    let executor = executor();
    let own: Rc<RefCell<Option<JoinHandle<Probe>>>> = Rc::default();
    let drops = Rc::new(Cell::new(0));
    let handle = executor.spawn({
        let (own, probe) = (own.clone(), Probe::new(&drops));
        async move {
            drop(own.take());
            yield_now().await;
            probe
        }
    });
    own.replace(Some(handle));
    run(&executor);
    assert_eq!(drops.get(), 1);
}

#[test]
fn an_output_that_holds_its_own_handle_leaks_no_further_than_the_cycle() {
    // Dropping the output drops the handle in the midst of the task's end.
    struct Output(Rc<RefCell<Option<JoinHandle<Output>>>>);
    impl Drop for Output {
        fn drop(&mut self) {
            drop(self.0.take());
        }
    }
    let executor = executor();
    let own = Rc::default();
    let handle = executor.spawn({
        let own = Rc::clone(&own);
        async move { Output(own) }
    });
    own.replace(Some(handle));
    run(&executor);
    // Breaks the cycle: the handle drops the output, which looks for the handle.
    let handle = own.take();
    drop(handle);
    assert_eq!(Rc::strong_count(&own), 1);
}

#[test]
fn a_tick_within_a_task_runs_the_others() {
    let executor = shared();
    let other = executor.spawn(async {
        yield_now().await;
        2
    });
    let handle = executor.spawn({
        let executor = executor.clone();
        poll_fn(move |cx| {
            // Ready again, and yet not polled within itself.
            cx.waker().wake_by_ref();
            run(&executor);
            assert!(other.is_finished());
            Poll::Ready(())
        })
    });
    run(&executor);
    result(handle).unwrap();
}

#[test]
fn a_tick_within_a_task_keeps_a_remote_wake_of_that_task() {
    let executor = shared();
    let mut polls = 0;
    let handle = executor.spawn({
        let executor = executor.clone();
        poll_fn(move |cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            let waker = cx.waker();
            std::thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap());
            assert_eq!(executor.tick(64).polled, 0);
            Poll::Pending
        })
    });
    run(&executor);
    result(handle).unwrap();
}

#[test]
fn a_tick_within_a_destructor_runs_the_others() {
    let executor = shared();
    let other = executor.spawn(async {
        yield_now().await;
        2
    });
    let on_drop = on_drop({
        let executor = Rc::downgrade(&executor);
        move || run(&executor.upgrade().unwrap())
    });
    let handle = executor.spawn(async move {
        let _on_drop = on_drop;
        pending::<()>().await
    });
    handle.abort();
    run(&executor);
    check_cancelled(handle);
    assert_eq!(result(other).unwrap(), 2);
}

#[test]
fn a_task_clears_the_executor_and_goes_with_the_others() {
    let executor = shared();
    let drops = Rc::new(Cell::new(0));
    let (first, second) = (Probe::new(&drops), Probe::new(&drops));
    let other = executor.spawn(async move {
        let _first = first;
        pending::<()>().await
    });
    let handle = executor.spawn({
        let (executor, drops) = (Rc::downgrade(&executor), drops.clone());
        async move {
            let _second = second;
            executor.upgrade().unwrap().clear();
            assert_eq!(drops.get(), 1);
            // This one comes after the clearing, and stays.
            drop(executor.upgrade().unwrap().spawn(async {}));
            yield_now().await;
            unreachable!("cleared away");
        }
    });
    run(&executor);
    assert_eq!(drops.get(), 2);
    assert_eq!(executor.task_count(), 0);
    check_cancelled(other);
    check_cancelled::<()>(handle);
}

#[test]
fn a_task_that_clears_and_is_ready_yields_its_output() {
    let executor = shared();
    let handle = executor.spawn({
        let executor = executor.clone();
        async move {
            executor.clear();
            6
        }
    });
    run(&executor);
    assert_eq!(result(handle).unwrap(), 6);
}

#[test]
fn a_cleared_executor_goes_on() {
    let executor = executor();
    let (handle, waker, polls) = waiting_task(&executor);
    waker.wake_by_ref();
    executor.clear();
    assert!(!executor.has_ready());
    check_cancelled(handle);
    let next = executor.spawn(async { 8 });
    waker.wake_by_ref();
    run(&executor);
    assert_eq!(result(next).unwrap(), 8);
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_destructor_spawns_while_the_executor_is_cleared() {
    let executor = shared();
    let drops = Rc::new(Cell::new(0));
    let spawned = Rc::new(RefCell::new(None));
    let on_drop = on_drop({
        let (executor, drops, spawned) = (Rc::downgrade(&executor), drops.clone(), spawned.clone());
        move || {
            let probe = Probe::new(&drops);
            let handle = executor.upgrade().unwrap().spawn(async move {
                let _probe = probe;
                unreachable!("never polled");
            });
            assert_eq!(drops.get(), 1);
            spawned.replace(Some(handle));
        }
    });
    drop(executor.spawn(async move {
        let _on_drop = on_drop;
        pending::<()>().await
    }));
    executor.clear();
    assert_eq!(executor.task_count(), 0);
    check_cancelled::<()>(spawned.take().unwrap());
}

#[test]
fn destructors_wake_abort_drop_and_clear_while_the_executor_goes() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let handles: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
    let wakers = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..8 {
        let probe = Probe::new(&drops);
        let on_drop = on_drop({
            let (handles, wakers) = (handles.clone(), wakers.clone());
            move || {
                for handle in handles.borrow().iter() {
                    handle.abort();
                }
                for waker in wakers.borrow().iter() {
                    std::task::Waker::wake_by_ref(waker);
                }
                let handle = handles.borrow_mut().pop();
                drop(handle);
            }
        });
        let wakers = wakers.clone();
        let handle = executor.spawn(poll_fn(move |cx| {
            let _held = (&probe, &on_drop);
            wakers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        }));
        handles.borrow_mut().push(handle);
    }
    run(&executor);
    drop(executor);
    assert_eq!(drops.get(), 8);
    assert!(handles.borrow().is_empty());
    for waker in wakers.take() {
        waker.wake();
    }
}

#[test]
fn clearing_within_clearing() {
    let executor = shared();
    let drops = Rc::new(Cell::new(0));
    for _ in 0..4 {
        let probe = Probe::new(&drops);
        let on_drop = on_drop({
            let executor = Rc::downgrade(&executor);
            move || executor.upgrade().unwrap().clear()
        });
        drop(executor.spawn(async move {
            let _held = (probe, on_drop);
            pending::<()>().await
        }));
    }
    executor.clear();
    assert_eq!(drops.get(), 4);
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn a_tick_within_clearing_runs_nothing() {
    let executor = shared();
    let polls = Rc::new(Cell::new(0));
    let on_drop = on_drop({
        let executor = Rc::downgrade(&executor);
        move || assert_eq!(executor.upgrade().unwrap().tick(64).polled, 0)
    });
    drop(executor.spawn(async move {
        let _on_drop = on_drop;
        pending::<()>().await
    }));
    drop(executor.spawn({
        let polls = polls.clone();
        async move { polls.set(polls.get() + 1) }
    }));
    executor.clear();
    assert_eq!((polls.get(), executor.task_count()), (0, 0));
}

#[test]
fn a_destructor_at_the_end_of_a_task_clears_the_executor() {
    let executor = shared();
    let on_drop = on_drop({
        let executor = Rc::downgrade(&executor);
        move || executor.upgrade().unwrap().clear()
    });
    let other = executor.spawn(pending::<()>());
    let handle = executor.spawn(poll_fn(move |_| {
        let _ = &on_drop;
        Poll::Ready(5)
    }));
    run(&executor);
    check_cancelled(other);
    assert_eq!(result(handle).unwrap(), 5);
}
