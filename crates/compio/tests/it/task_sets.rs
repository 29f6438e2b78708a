//! Sets of tasks, scopes and task-local values.

use std::{
    cell::{Cell, RefCell},
    future::pending,
    mem,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use compio::{
    io::AsyncReadExt,
    task::{self, JoinSet, Scope, yield_now},
    time::{sleep, timeout},
};
use compio_testkit::{buffer::on_drop, check::panics, waker::Bell};

use crate::support::{LONG, run};

#[test]
fn join_next_returns_outputs_in_order_of_ends() {
    run(async {
        let mut set: JoinSet<u64> = JoinSet::new();
        assert!(set.join_next().await.is_none());
        let third = set.spawn(async {
            sleep(Duration::from_millis(20)).await;
            3
        });
        let first = set.spawn(async { 1 });
        let second = set.spawn(async {
            sleep(Duration::from_millis(2)).await;
            2
        });
        assert_eq!(set.len(), 3);
        for expected in 1..=3 {
            assert_eq!(set.join_next().await.unwrap().unwrap(), expected);
        }
        assert!(set.is_empty());
        assert!([first, second, third].iter().all(|task| task.is_finished()));
    });
}

#[test]
fn join_set_reports_panics_and_aborts() {
    run(async {
        let mut set = JoinSet::new();
        set.spawn(async { panic!("in the set") });
        assert!(set.join_next().await.unwrap().unwrap_err().is_panic());
        let abort = set.spawn(pending());
        assert!(set.try_join_next().is_none());
        abort.abort();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        // From another thread.
        let abort = set.spawn(pending());
        let thread = thread::spawn(move || abort.abort());
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        thread.join().unwrap();
    });
}

#[test]
fn dropped_join_set_aborts_tasks() {
    run(async {
        let held = Rc::new(());
        let task = || {
            let held = held.clone();
            async move {
                let _held = held;
                pending::<()>().await;
            }
        };
        let mut set: JoinSet<()> = (0..3).map(|_| task()).collect();
        yield_now().await;
        set.shutdown().await;
        assert_eq!((set.len(), Rc::strong_count(&held)), (0, 1));
        let set: JoinSet<()> = (0..3).map(|_| task()).collect();
        drop(set);
        while Rc::strong_count(&held) > 1 {
            yield_now().await;
        }
    });
}

#[test]
fn detached_tasks_continue() {
    run(async {
        let done = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        for _ in 0..3 {
            let done = done.clone();
            set.spawn(async move {
                yield_now().await;
                done.set(done.get() + 1);
            });
        }
        assert!(set.try_join_next().is_none());
        set.detach_all();
        assert!(set.join_next().await.is_none());
        while done.get() < 3 {
            yield_now().await;
        }
        // Places are used again; wakes of earlier members have no effect.
        set.spawn(async {});
        assert!(set.join_next().await.unwrap().is_ok());
    });
}

#[test]
fn cancelled_join_next_loses_no_output() {
    run(async {
        let mut set = JoinSet::new();
        set.spawn(async {
            sleep(Duration::from_millis(5)).await;
            7
        });
        assert!(
            timeout(Duration::from_millis(1), set.join_next())
                .await
                .is_err()
        );
        assert_eq!(set.join_next().await.unwrap().unwrap(), 7);
    });
}

#[test]
fn join_all_returns_outputs_or_resumes_panic() {
    run(async {
        let set: JoinSet<_> = (0..100).map(|number| async move { number }).collect();
        let sum: i32 = set.join_all().await.into_iter().sum();
        assert_eq!(sum, 4950);
    });
    assert!(panics(|| run(async {
        let mut set: JoinSet<()> = JoinSet::new();
        set.spawn(pending());
        set.spawn(async { panic!("in the set") });
        set.join_all().await;
    })));
}

#[test]
fn join_set_polls_only_woken_members() {
    run(async {
        // Quadratic work would be 10^10 polls.
        let mut set: JoinSet<()> = (0..100_000).map(|_| yield_now()).collect();
        let mut ends = 0;
        while set.join_next().await.is_some() {
            ends += 1;
        }
        assert_eq!(ends, 100_000);
    });
}

#[test]
fn scope_children_borrow_and_run_concurrently() {
    run(async {
        let numbers = vec![1, 2, 3];
        let sum = Cell::new(0);
        let output = task::scope(|scope: Scope<'_>| {
            let (numbers, sum) = (&numbers, &sum);
            async move {
                let children: Vec<_> = numbers
                    .iter()
                    .map(|number| {
                        scope.spawn(async move {
                            sleep(Duration::from_millis(1)).await;
                            sum.set(sum.get() + number);
                            number * 2
                        })
                    })
                    .collect();
                let mut doubled = Vec::new();
                for child in children {
                    doubled.push(child.await);
                }
                doubled
            }
        })
        .await;
        assert_eq!((output, sum.get()), (vec![2, 4, 6], 6));
    });
}

#[test]
fn scope_waits_for_detached_and_nested_children() {
    run(async {
        let done = Cell::new(0);
        task::scope(|scope| {
            let done = &done;
            let inner = scope.clone();
            drop(scope.spawn(async move {
                yield_now().await;
                for _ in 0..10 {
                    inner.spawn(async move {
                        sleep(Duration::from_millis(1)).await;
                        done.set(done.get() + 1);
                    });
                }
            }));
            async {}
        })
        .await;
        assert_eq!(done.get(), 10);
    });
}

#[test]
fn scope_of_a_forgotten_future_never_touches_borrowed_data() {
    let data = Box::new(Cell::new(0));
    let bell = std::sync::Arc::<Bell>::default();
    let waker = bell.waker();
    let kept = Rc::new(RefCell::new(None));
    {
        let (data, kept) = (&data, kept.clone());
        let mut scope = Box::pin(task::scope(move |scope| {
            scope.spawn(async move {
                std::future::poll_fn(|cx| {
                    *kept.borrow_mut() = Some(cx.waker().clone());
                    data.set(data.get() + 1);
                    Poll::<()>::Pending
                })
                .await;
            });
            async {}
        }));
        assert!(
            scope
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(data.get(), 1);
        mem::forget(scope);
    }
    drop(data);
    let child: Waker = kept.borrow_mut().take().unwrap();
    // Wakes the task of the scope, which does not poll it any more.
    child.wake();
    assert_eq!(bell.rings(), 1);
}

#[test]
fn dropped_scope_drops_children() {
    run(async {
        let dropped = Cell::new(0);
        let scope = task::scope(|scope| {
            let dropped = &dropped;
            for _ in 0..3 {
                let guard = on_drop(move || dropped.set(dropped.get() + 1));
                scope.spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
            }
            pending::<()>()
        });
        assert!(timeout(Duration::from_millis(1), scope).await.is_err());
        assert_eq!(dropped.get(), 3);
    });
}

#[test]
fn panic_of_child_is_panic_of_scope() {
    let dropped = Cell::new(false);
    assert!(panics(|| run(async {
        task::scope(|scope| {
            let guard = on_drop(|| dropped.set(true));
            scope.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            scope.spawn(async { panic!("child") });
            async {}
        })
        .await;
    })));
    assert!(dropped.get());
}

#[test]
fn scope_that_ended_refuses_children() {
    run(async {
        let kept = RefCell::new(None);
        task::scope(|scope| {
            *kept.borrow_mut() = Some(scope);
            async {}
        })
        .await;
        let scope = kept.take().unwrap();
        assert!(panics(|| drop(scope.spawn(async {}))));
    });
}

#[test]
fn child_that_wakes_itself_starves_no_task() {
    run(async {
        let stop = Rc::new(Cell::new(false));
        let timer = task::spawn({
            let stop = stop.clone();
            async move {
                sleep(Duration::from_millis(2)).await;
                stop.set(true);
            }
        });
        let scope = task::scope(|scope| {
            let stop = &stop;
            for _ in 0..3 {
                scope.spawn(async move {
                    while !stop.get() {
                        yield_now().await;
                    }
                });
            }
            async {}
        });
        timeout(LONG, scope).await.unwrap();
        timer.await.unwrap();
    });
}

#[test]
fn scope_reads_into_borrowed_state() {
    run(async {
        let mut first = Vec::new();
        let mut second = Vec::new();
        task::scope(|scope| {
            for (buffer, byte) in [(&mut first, 1), (&mut second, 2)] {
                scope.spawn(async move {
                    let mut source = compio::io::repeat(byte);
                    let (read, bytes) = source.read_exact(Vec::with_capacity(100)).await;
                    read.unwrap();
                    *buffer = bytes;
                });
            }
            async {}
        })
        .await;
        assert_eq!((first, second), (vec![1; 100], vec![2; 100]));
    });
}

compio::task_local! {
    static NUMBER: u32;
    static NAME: String
}

#[test]
fn task_local_is_value_of_its_scope() {
    run(async {
        assert!(NUMBER.try_get().is_err());
        let outer = NUMBER.scope(1, async {
            yield_now().await;
            assert_eq!(NUMBER.get(), 1);
            NUMBER
                .scope(2, async {
                    yield_now().await;
                    assert_eq!(NUMBER.get(), 2);
                    NAME.sync_scope("a".into(), || assert_eq!(NAME.get(), "a"));
                    assert!(NAME.try_with(|_| ()).is_err());
                    // Another task has no part in it.
                    assert!(
                        task::spawn(async { NUMBER.try_get() })
                            .await
                            .unwrap()
                            .is_err()
                    );
                })
                .await;
            assert_eq!(NUMBER.get(), 1);
        });
        let other = NUMBER.scope(3, async {
            for _ in 0..3 {
                assert_eq!(NUMBER.get(), 3);
                yield_now().await;
            }
        });
        let _ = compio_testkit::future::both(outer, other).await;
        assert!(NUMBER.try_get().is_err());
    });
}

#[test]
fn task_local_exists_in_destructors_of_its_future() {
    let seen = Rc::new(Cell::new(0));
    let inside = seen.clone();
    let mut scope = Box::pin(NUMBER.scope(4, async move {
        let _guard = on_drop(move || inside.set(NUMBER.get()));
        pending::<()>().await;
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(scope.as_mut().poll(&mut cx).is_pending());
    drop(scope);
    assert_eq!(seen.get(), 4);
}

#[test]
fn task_local_survives_panic_of_its_scope() {
    let mut outer = pin!(NUMBER.scope(5, async {
        assert!(panics(|| NUMBER.sync_scope(6, || panic!("inside"))));
        assert_eq!(NUMBER.get(), 5);
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(outer.as_mut().poll(&mut cx).is_ready());
    assert!(panics(|| NUMBER.with(|_| ())));
    assert!(panics(|| {
        NUMBER.sync_scope(7, || NUMBER.with(|_| NUMBER.sync_scope(8, || ())));
    }));
}
