//! Aborting a task in each of its states.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    rc::Rc,
    task::Poll,
};

use compio_executor::{AbortOnDropHandle, JoinHandle, yield_now};
use compio_testkit::{buffer::on_drop, waker::Bell};

use crate::support::{
    Probe, bomb, check_cancelled, check_panicked, executor, poll_once, result, run, waiting_task,
};

type OwnHandle<T> = Rc<RefCell<Option<JoinHandle<T>>>>;

#[test]
fn before_the_first_poll() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let probe = Probe::new(&drops);
    let handle = executor.spawn(async move {
        let _probe = probe;
        unreachable!("aborted before it was polled");
    });
    handle.abort();
    assert!(!handle.is_finished());
    assert_eq!(drops.get(), 0);
    run(&executor);
    assert_eq!(drops.get(), 1);
    assert_eq!(executor.task_count(), 0);
    check_cancelled::<()>(handle);
}

#[test]
fn while_waiting() {
    let executor = executor();
    let (handle, waker, polls) = waiting_task(&executor);
    handle.abort();
    handle.abort();
    waker.wake();
    assert_eq!(executor.tick(64).polled, 1);
    assert_eq!(polls.get(), 1);
    check_cancelled(handle);
}

#[test]
fn while_ready() {
    let executor = executor();
    let (handle, waker, polls) = waiting_task(&executor);
    waker.wake();
    handle.abort();
    run(&executor);
    assert_eq!(polls.get(), 1);
    check_cancelled(handle);
}

#[test]
fn while_in_the_inbox() {
    let executor = executor();
    let (handle, waker, polls) = waiting_task(&executor);
    std::thread::scope(|scope| scope.spawn(|| waker.wake_by_ref()).join().unwrap());
    handle.abort();
    run(&executor);
    assert_eq!(polls.get(), 1);
    check_cancelled(handle);
}

#[test]
fn by_itself_and_then_pending() {
    let executor = executor();
    let own = OwnHandle::<()>::default();
    let drops = Rc::new(Cell::new(0));
    let handle = executor.spawn({
        let (own, probe) = (own.clone(), Probe::new(&drops));
        async move {
            let _probe = probe;
            own.borrow().as_ref().unwrap().abort();
            yield_now().await;
            unreachable!("aborted");
        }
    });
    own.replace(Some(handle));
    assert_eq!(executor.tick(64).polled, 1);
    assert_eq!(drops.get(), 1);
    check_cancelled(own.take().unwrap());
}

#[test]
fn by_itself_and_then_ready() {
    let executor = executor();
    let own = OwnHandle::default();
    let handle = executor.spawn({
        let own: OwnHandle<i32> = own.clone();
        async move {
            own.borrow().as_ref().unwrap().abort();
            9
        }
    });
    own.replace(Some(handle));
    run(&executor);
    assert_eq!(result(own.take().unwrap()).unwrap(), 9);
}

#[test]
fn after_the_end() {
    let executor = executor();
    let handle = executor.spawn(async { 3 });
    run(&executor);
    handle.abort();
    assert!(!executor.has_ready());
    assert_eq!(result(handle).unwrap(), 3);
}

#[test]
fn after_the_output_was_taken() {
    let executor = executor();
    let mut handle = executor.spawn(async {});
    run(&executor);
    assert!(poll_once(&mut handle).is_ready());
    handle.abort();
    assert!(handle.is_finished());
    assert!(!executor.has_ready());
}

#[test]
fn by_the_destructor_of_the_aborted_future() {
    let executor = executor();
    let own = OwnHandle::default();
    let handle = executor.spawn({
        let own: OwnHandle<()> = own.clone();
        let on_drop = on_drop(move || own.borrow().as_ref().unwrap().abort());
        async move {
            let _on_drop = on_drop;
            pending().await
        }
    });
    own.replace(Some(handle));
    run(&executor);
    own.borrow().as_ref().unwrap().abort();
    run(&executor);
    assert_eq!(executor.task_count(), 0);
    check_cancelled(own.take().unwrap());
}

#[test]
fn the_destructor_may_drop_the_own_handle() {
    let executor = executor();
    let own = OwnHandle::default();
    let handle = executor.spawn({
        let own: OwnHandle<()> = own.clone();
        let on_drop = on_drop(move || drop(own.take()));
        async move {
            let _on_drop = on_drop;
            pending().await
        }
    });
    handle.abort();
    own.replace(Some(handle));
    run(&executor);
    assert!(own.take().is_none());
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn by_another_task() {
    let executor = executor();
    let victim = executor.spawn(pending::<()>());
    let other = executor.spawn(async move {
        victim.abort();
        assert!(!victim.is_finished());
        victim.await.unwrap_err().is_cancelled()
    });
    run(&executor);
    assert!(result(other).unwrap());
}

#[test]
fn waiting_task_is_woken() {
    let executor = executor();
    let count = Bell::new().0;
    let waker = count.waker();
    let mut handle = executor.spawn(pending::<()>());
    let polled = std::pin::pin!(&mut handle).poll(&mut std::task::Context::from_waker(&waker));
    assert!(polled.is_pending());
    handle.abort();
    assert_eq!(count.rings(), 0);
    run(&executor);
    assert_eq!(count.rings(), 1);
}

#[test]
fn a_panic_of_the_destructor_is_reported() {
    let executor = executor();
    let bomb = bomb("destructor");
    let handle = executor.spawn(async move {
        let _bomb = bomb;
        pending::<()>().await
    });
    handle.abort();
    run(&executor);
    check_panicked(handle, "destructor");
}

#[test]
fn an_aborted_and_detached_task_ends() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let probe = Probe::new(&drops);
    let handle = executor.spawn(poll_fn(move |_| {
        let _ = &probe;
        Poll::<()>::Pending
    }));
    handle.abort();
    drop(handle);
    run(&executor);
    assert_eq!(drops.get(), 1);
}

#[test]
fn dropped_abort_on_drop_handle_ends_the_task() {
    let executor = executor();
    let (handle, _waker, polls) = waiting_task(&executor);
    run(&executor);
    let before = polls.get();
    let handle = AbortOnDropHandle::new(handle);
    assert!(!handle.is_finished());
    drop(handle);
    run(&executor);
    assert_eq!(executor.task_count(), 0);
    assert_eq!(polls.get(), before);
}

#[test]
fn abort_on_drop_handle_yields_the_output() {
    let executor = executor();
    let mut handle = AbortOnDropHandle::from(executor.spawn(async {
        yield_now().await;
        7
    }));
    // Dropping a future that borrows the handle has no effect.
    assert!(poll_once(&mut handle).is_pending());
    run(&executor);
    assert!(handle.as_ref().is_finished());
    let Poll::Ready(output) = poll_once(&mut handle) else {
        panic!("the task has ended");
    };
    assert_eq!(output.unwrap(), 7);
    drop(handle);
}

#[test]
fn aborted_abort_on_drop_handle_reports_the_cancel() {
    let executor = executor();
    let (handle, _waker, _) = waiting_task(&executor);
    let mut handle = AbortOnDropHandle::new(handle);
    handle.abort();
    run(&executor);
    let Poll::Ready(Err(error)) = poll_once(&mut handle) else {
        panic!("the task was aborted");
    };
    assert!(error.is_cancelled());
}

#[test]
fn detached_abort_on_drop_handle_leaves_the_task_alone() {
    let executor = executor();
    let ends = Rc::new(Cell::new(0));
    let counted = Rc::clone(&ends);
    let handle = AbortOnDropHandle::new(executor.spawn(async move {
        yield_now().await;
        counted.set(counted.get() + 1);
    }));
    drop(handle.detach());
    run(&executor);
    assert_eq!(ends.get(), 1);
}
