//! Handles: awaiting, detaching, dropping in every order.

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::{pending, poll_fn, ready},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
};

use compio_executor::{Executor, JoinError, JoinHandle, MainWaker, TaskMeta, yield_now};
use compio_testkit::waker::Bell;

use crate::support::{
    Probe, block_on, check_cancelled, executor, poll_once, result, run, unpark_here, waiting_task,
};

#[test]
fn a_task_yields_its_output() {
    let executor = executor();
    let handle = executor.spawn(async { String::from("output") });
    assert!(!handle.is_finished());
    assert_eq!(executor.task_count(), 1);
    run(&executor);
    assert!(handle.is_finished());
    assert_eq!(executor.task_count(), 0);
    assert_eq!(result(handle).unwrap(), "output");
}

#[test]
fn outputs_of_every_shape_fit() {
    #[repr(align(256))]
    #[derive(Debug, PartialEq)]
    struct Aligned(u8);

    let executor = executor();
    let unit = executor.spawn(ready(()));
    let large = executor.spawn(async { [7u8; 10_000] });
    let aligned = executor.spawn(async { Aligned(3) });
    let large_future = executor.spawn(async {
        let array = [1u8; 10_000];
        yield_now().await;
        array.iter().map(|&byte| usize::from(byte)).sum::<usize>()
    });
    run(&executor);
    result(unit).unwrap();
    assert_eq!(result(large).unwrap(), [7; 10_000]);
    assert_eq!(result(aligned).unwrap(), Aligned(3));
    assert_eq!(result(large_future).unwrap(), 10_000);
}

#[test]
fn tasks_join_tasks() {
    let executor = executor();
    let inner = executor.spawn(async {
        yield_now().await;
        1
    });
    let outer = executor.spawn(async { inner.await.unwrap() + 1 });
    let main = block_on(&executor, unpark_here(), async { outer.await.unwrap() + 1 });
    assert_eq!(main, 3);
}

#[test]
fn the_last_waker_that_polled_a_handle_is_woken() {
    let executor = executor();
    let (first, second) = (Bell::new().0, Bell::new().0);
    let mut handle = executor.spawn(async {});
    for waker in [first.waker(), first.waker(), second.waker()] {
        let mut pinned = std::pin::pin!(&mut handle);
        assert!(
            pinned
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    run(&executor);
    assert_eq!((first.rings(), second.rings()), (0, 1));
    assert!(poll_once(&mut handle).is_ready());
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn polling_a_handle_twice_panics() {
    let executor = executor();
    let mut handle = executor.spawn(async {});
    run(&executor);
    assert!(poll_once(&mut handle).is_ready());
    let _ = poll_once(&mut handle);
}

#[test]
fn a_dropped_handle_detaches() {
    let executor = executor();
    let done = Rc::new(Cell::new(false));
    drop(executor.spawn({
        let done = done.clone();
        async move {
            yield_now().await;
            done.set(true);
        }
    }));
    run(&executor);
    assert!(done.get());
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn a_detached_output_is_dropped_when_it_is_there() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let probe = Probe::new(&drops);
    drop(executor.spawn(async move { probe }));
    run(&executor);
    assert_eq!(drops.get(), 1);
}

#[test]
fn an_output_not_taken_is_dropped_with_its_handle() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let probe = Probe::new(&drops);
    let handle = executor.spawn(async move { probe });
    run(&executor);
    assert_eq!(drops.get(), 0);
    drop(executor);
    assert_eq!(drops.get(), 0);
    drop(handle);
    assert_eq!(drops.get(), 1);
}

#[test]
fn future_and_output_are_dropped_once_each() {
    let executor = executor();
    let (future_drops, output_drops) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let handle = executor.spawn({
        let mut output = Some(Probe::new(&output_drops));
        let future = Probe::new(&future_drops);
        poll_fn(move |_| {
            let _ = &future;
            Poll::Ready(output.take().unwrap())
        })
    });
    run(&executor);
    assert_eq!((future_drops.get(), output_drops.get()), (1, 0));
    drop(result(handle).unwrap());
    assert_eq!((future_drops.get(), output_drops.get()), (1, 1));
}

#[test]
fn a_handle_may_be_dropped_while_the_thread_unwinds() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let (done, probe) = (Rc::new(Cell::new(false)), Probe::new(&drops));
    let finished = executor.spawn(async move { probe });
    run(&executor);
    let unfinished = executor.spawn({
        let done = done.clone();
        async move { done.set(true) }
    });
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _handles = (finished, unfinished);
        crate::support::quiet_panic("unwind");
    }));
    assert!(unwound.is_err());
    assert_eq!(drops.get(), 1);
    run(&executor);
    assert!(done.get());
}

#[test]
fn a_handle_outlives_its_executor() {
    let executor = executor();
    let finished = executor.spawn(async { 1 });
    run(&executor);
    let mut unfinished = executor.spawn(pending::<()>());
    assert!(poll_once(&mut unfinished).is_pending());
    drop(executor);
    assert!(unfinished.is_finished());
    unfinished.abort();
    check_cancelled(unfinished);
    assert_eq!(result(finished).unwrap(), 1);
}

#[test]
fn a_handle_may_be_dropped_by_a_thread_locals_destructor() {
    struct Locals {
        handles: Vec<JoinHandle<Probe>>,
        executor: Option<Executor>,
        drops: Rc<Cell<usize>>,
    }
    impl Drop for Locals {
        fn drop(&mut self) {
            drop(self.handles.pop());
            drop(self.executor.take());
            self.handles.clear();
            // Three futures, or outputs, each with one probe.
            assert_eq!(self.drops.get(), 3);
            REACHED.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    static REACHED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    thread_local! {
        static LOCALS: RefCell<Option<Locals>> = const { RefCell::new(None) };
    }

    thread::spawn(|| {
        let executor = executor();
        let drops = Rc::new(Cell::new(0));
        let (first, second, third) = (Probe::new(&drops), Probe::new(&drops), Probe::new(&drops));
        let handles = vec![
            executor.spawn(async move {
                let _first = first;
                pending::<Probe>().await
            }),
            executor.spawn(async move { second }),
            executor.spawn(async move { third }),
        ];
        run(&executor);
        LOCALS.set(Some(Locals {
            handles,
            executor: Some(executor),
            drops,
        }));
    })
    .join()
    .unwrap();
    assert!(REACHED.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn a_task_may_wait_for_itself_and_leaks_nothing() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let handle = executor.spawn({
        let (own, probe) = (own.clone(), Probe::new(&drops));
        async move {
            let _probe = probe;
            let handle = own.take().unwrap();
            handle.await.unwrap();
        }
    });
    own.replace(Some(handle));
    run(&executor);
    drop(executor);
    assert_eq!(drops.get(), 1);
}

#[test]
fn dropping_a_handle_drops_the_waker_it_registered() {
    let executor = executor();
    let count = Bell::new().0;
    let mut handle = executor.spawn(pending::<()>());
    let waker = count.waker();
    let polled = std::pin::pin!(&mut handle).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    assert_eq!(Arc::strong_count(&count), 3);
    drop(handle);
    assert_eq!(Arc::strong_count(&count), 2);
}

#[test]
fn wakers_of_ended_tasks_do_nothing() {
    let executor = executor();
    let (handle, waker, polls) = waiting_task(&executor);
    handle.abort();
    run(&executor);
    waker.wake_by_ref();
    assert!(!executor.has_ready());
    check_cancelled(handle);
    waker.wake_by_ref();
    let clone = waker.clone();
    drop(waker);
    clone.wake();
    assert_eq!(polls.get(), 1);
}

#[test]
fn clones_of_a_waker_will_wake_the_same_task() {
    let executor = executor();
    let (_one, first, _) = waiting_task(&executor);
    let (_two, second, _) = waiting_task(&executor);
    assert!(first.will_wake(&first.clone()));
    assert!(!first.will_wake(&second));
}

#[test]
fn errors_can_be_sent_and_shared_and_handles_cannot() {
    trait AmbiguousIfSend<A> {
        fn check() {}
    }
    impl<T: ?Sized> AmbiguousIfSend<()> for T {}
    impl<T: ?Sized + Send> AmbiguousIfSend<u8> for T {}
    fn send_and_sync<T: Send + Sync + 'static>() {}

    send_and_sync::<JoinError>();
    // These do not compile if the type is `Send`.
    <JoinHandle<()> as AmbiguousIfSend<_>>::check();
    <Executor as AmbiguousIfSend<_>>::check();
    <MainWaker as AmbiguousIfSend<_>>::check();
}

#[test]
fn debug_output_names_the_type() {
    let executor = executor();
    let handle = executor.spawn(async {});
    let expected = "Executor { task_count: 1, has_ready: true }";
    assert_eq!(format!("{executor:?}"), expected);
    assert_eq!(
        format!("{handle:?}"),
        format!(
            "JoinHandle {{ id: {:?}, is_finished: false, .. }}",
            handle.id()
        )
    );
    let main = MainWaker::new(Waker::noop().clone());
    assert_eq!(format!("{main:?}"), "MainWaker { is_woken: true }");
}

#[test]
fn a_waker_that_ends_the_task_while_it_is_cloned_is_not_waited_for() {
    // The handle is polled with a waker whose clone runs the executor.
    use std::task::{RawWaker, RawWakerVTable};
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: the test keeps the executor alive, on this thread.
            run(unsafe { &*data.cast::<Executor>() });
            RawWaker::new(data, &VTABLE)
        },
        |_| {},
        |_| {},
        |_| {},
    );
    let executor = executor();
    let mut handle = executor.spawn(async { 5 });
    // SAFETY: the functions of the table do not leave this thread.
    let waker = unsafe { Waker::new((&raw const executor).cast(), &VTABLE) };
    let polled = std::pin::pin!(&mut handle).poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Ready(Ok(5))));
}

#[test]
fn name_is_dropped_with_last_reference_on_any_thread() {
    let name: Arc<str> = "ticker".into();
    let executor = executor();
    let waker = Rc::new(OnceCell::new());
    let seen = waker.clone();
    let future = poll_fn(move |cx| {
        seen.get_or_init(|| cx.waker().clone());
        Poll::Ready(())
    });
    let handle = executor.spawn_as(TaskMeta::new().with_name(name.clone()), future);
    run(&executor);
    result(handle).unwrap();
    drop(executor);
    assert_eq!(Arc::strong_count(&name), 2);
    let waker = Rc::into_inner(waker).unwrap().into_inner().unwrap();
    thread::spawn(move || drop(waker)).join().unwrap();
    assert_eq!(Arc::strong_count(&name), 1);
}

#[test]
fn inner_tick_runs_inner_task_and_returns_to_outer_one() {
    let executor = Rc::new(executor());
    let inner = executor.clone();
    let outer = executor.spawn(async move {
        let here = inner.current_task().unwrap().id();
        let own = inner.clone();
        let task = inner.spawn(async move { own.current_task().unwrap().id() });
        inner.tick(64);
        assert_eq!(task.id(), task.await.unwrap());
        assert_eq!(inner.current_task().unwrap().id(), here);
        here
    });
    let id = outer.id();
    run(&executor);
    assert_eq!(result(outer).unwrap(), id);
    assert!(executor.current_task().is_none());
}
