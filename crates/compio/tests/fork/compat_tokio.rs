//! The reactor of tokio in children of `fork`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio::{
    compat::tokio::{Compat, JoinHandle, Run, run, spawn},
    task::block_on,
};
use tokio::sync::oneshot;

use super::{fork, fork_beside, limit_life, take_turn};

/// Uses the reactor: a timer, a task, a wake from there.
fn use_reactor() -> i32 {
    block_on(async {
        let answer = run(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::spawn(async { 3 }).await.unwrap()
        });
        answer.await + spawn(async { 4 }).await.unwrap()
    })
}

/// Whether a poll panics with advice.
fn is_refused<F: Future + Unpin>(future: &mut F) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let poll = || matches!(Pin::new(future).poll(&mut cx), Poll::Ready(_));
    let panic = catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
    let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
    message.contains("parent")
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn reactor_of_child_is_a_new_one() {
    let _turn = take_turn();
    assert_eq!(use_reactor(), 7);
    let (release, released) = oneshot::channel();
    let waiting = spawn(released);
    let status = fork(|| {
        limit_life();
        let inner = fork(use_reactor);
        use_reactor() + inner.code().unwrap()
    });
    assert_eq!(status.code(), Some(14), "{status}");
    release.send(9).unwrap();
    assert_eq!(block_on(waiting).unwrap(), Ok(9));
    assert_eq!(use_reactor(), 7);
}

#[test]
fn inherited_tasks_and_values_are_the_parents() {
    let _turn = take_turn();
    let drops = Arc::new(AtomicUsize::new(0));
    let (release, released) = oneshot::channel::<i32>();
    let mut request = Box::pin(run(released));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(request.as_mut().poll(&mut cx).is_pending());
    let (other_release, other_released) = oneshot::channel::<i32>();
    let task = spawn(other_released);
    let value = Compat::new(Counted(Arc::clone(&drops)));
    let future = Compat::new(std::future::pending::<()>());
    let status = fork(|| {
        limit_life();
        // SAFETY: the originals are not used again in this process, which ends by `_exit`.
        let (mut request, mut task, value, mut future) = unsafe {
            use std::ptr::read;
            (read(&request), read(&task), read(&value), read(&future))
        };
        let refused = [
            is_refused(&mut request),
            is_refused(&mut task),
            is_refused(&mut future),
        ];
        drop(future);
        task.abort();
        let drop_all = |_: Pin<Box<Run<_>>>, _: JoinHandle<_>, _: Compat<_>| ();
        drop_all(request, task, value);
        let dropped = drops.load(SeqCst);
        if refused == [true; 3] && dropped == 0 {
            use_reactor()
        } else {
            1
        }
    });
    assert_eq!(status.code(), Some(7), "{status}");
    release.send(8).unwrap();
    other_release.send(9).unwrap();
    assert_eq!(block_on(request), Ok(8));
    assert_eq!(block_on(task).unwrap(), Ok(9));
    drop(value);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn reactor_in_child_works_while_parent_uses_its_own() {
    let _turn = take_turn();
    fork_beside(
        || assert_eq!(use_reactor(), 7),
        || {
            limit_life();
            use_reactor() - 7
        },
    );
}
